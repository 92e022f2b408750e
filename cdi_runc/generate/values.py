"""The values of a device, from the files, links and names around it, and their form in names and paths."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Any

from cdi_runc.generate.match import below
from cdi_runc.generate.recipe import Recipe, filled
from cdi_runc.generate.tree import Tree, field

Note = Callable[[str], object]  # takes a line for people

LONGEST_VALUE = 255  # characters, in a name or a part of a path: the kernel's NAME_MAX

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.:-]+")
_NOT_IN_PATHS = re.compile(r"[^A-Za-z0-9_.:@+,=#-]+")  # of one part; what udev keeps in its links
_DIGITS_AT_END = re.compile(r"\d+$")


def values(recipe: Recipe, tree: Tree, path: str, note: Note) -> dict[str, str]:
    """The values of the device at a path. A value that cannot be read is empty. `note` gets files with faults."""
    found: dict[str, str] = {}
    for name, source in recipe.values.items():
        try:
            text = _value(source, tree, path, found)
        except FileNotFoundError:
            text = ""  # a file that vanished, or an attribute that this device does not have
        except OSError as fault:
            note(f"no value {name}: {fault}")
            text = ""
        else:
            if text == "" and "read" in source and "field" not in source:
                note(f"the value {name} is empty: {source['read']}")
        found[name] = text.replace(source["drop"], "") if text and "drop" in source else text or ""
    return found


def in_name(text: str) -> str:
    """A value as a part of a device's name.

    >>> in_name(" AB/c\\n0 "), in_name("..")
    ('AB-c-0', '')
    """
    return _NOT_IN_NAMES.sub("-", text).strip("-_.:")


def in_path(text: str) -> str:
    """A value as a part of a path; never more than one part, and never a way up.

    >>> in_path("Logitech HD"), in_path("../a"), in_path("..")
    ('Logitech_HD', '.._a', '')
    """
    text = _NOT_IN_PATHS.sub("_", text.strip())
    return "" if text.strip(".") == "" or len(text) > LONGEST_VALUE else text


def path_values(found: Mapping[str, str]) -> dict[str, str]:
    """All values as parts of paths."""
    return {name: in_path(text) for name, text in found.items()}


def _value(source: Mapping[str, Any], tree: Tree, path: str, found: Mapping[str, str]) -> str | None:
    """The value, None where it is not to be had. Raises OSError."""
    if "up" in source:
        return _up(source, tree, path)
    kind = next(kind for kind in ("read", "link", "name", "number", "find") if kind in source)
    relative = filled(source[kind], path_values(found))
    if relative is None:
        return None
    if kind == "find":
        return _found(source, tree, below(path, relative), found)
    # `..` goes up from the device's directory, which has no links in it.
    first = next(iter(tree.glob(posixpath.normpath(below(path, relative)))), None)
    if first is None:
        return None
    if kind == "read":
        text = tree.read(first)
        wanted = filled(source.get("field", ""), found)
        return text if not wanted else field(text, wanted)
    if kind == "link":
        target = tree.real(first)
        return None if target is None or target == first else posixpath.basename(target)
    name = posixpath.basename(first)
    digits = _DIGITS_AT_END.search(name)
    return name if kind == "name" else digits[0] if digits else None


def _up(source: Mapping[str, Any], tree: Tree, path: str) -> str | None:
    """What the nearest directory above says, beginning with the device's own. The search ends at /sys/devices."""
    while path.startswith("/sys/devices/"):
        file = f"{path}/{source['up']}"
        if tree.real(file) is not None:
            if source.get("name") is True:
                return posixpath.basename(path)
            text = tree.read(file)
            return field(text, source["field"]) if "field" in source else text
        path = posixpath.dirname(path)
    return None


def _found(source: Mapping[str, Any], tree: Tree, glob: str, found: Mapping[str, str]) -> str | None:
    name, _, value = (filled(source["where"], found) or "").partition(" ")
    text = tree.texts_by_field(glob, name).get(value) if value else None
    return None if text is None else field(text, source["field"])
