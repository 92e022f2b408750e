"""Spec files of ours in an output directory: what has to change there, and the changes themselves.

A file of ours has a name of ours and our mark in its first line. No other file is ever changed. If another file has
a kind, we write no file for this kind.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from cdi_runc.cdi.errors import CDIError
from cdi_runc.cdi.registry import spec_files
from cdi_runc.cdi.spec import parse_spec, read_file
from cdi_runc.cdi.writing import spec_file_name, write_file
from cdi_runc.generate.specs import Generated
from cdi_runc.generate.text import is_ours, spec_text

OUTPUT_DIRECTORY = "/var/run/cdi"  # empty after a boot, when device numbers may have changed

_PREFIX = "cdictl-"

Action = Literal["equal", "write", "remove", "refuse", "leave"]  # leave: to another file of the kind


@dataclass(frozen=True)
class Step:
    """The change that a file needs. `old` and `new` are its texts, '' for none; `reason` is for people."""

    action: Action
    kind: str
    path: str
    old: str = ""
    new: str = ""
    reason: str = ""


def file_name(kind: str) -> str:
    """The name of our file for a kind.

    >>> file_name("nvidia.com/gpu")
    'cdictl-nvidia.com-gpu.yaml'
    """
    return f"{_PREFIX}{spec_file_name(kind)}.yaml"


def steps(
    made: Iterable[Generated], directory: str, spec_dirs: Sequence[str], *, others_too: bool = True
) -> list[Step]:
    """The changes that a directory needs for these specs, by kind.

    With `others_too` the files of ours that no recipe makes any more are removed. `spec_dirs` are where
    another file of the same kind may be; the directory itself is looked at in any case.
    """
    places = [*dict.fromkeys((*spec_dirs, directory))]
    foreign = _foreign_kinds(places, {each.kind for each in made})
    found = [_step(each, directory, foreign.get(each.kind, "")) for each in made]
    planned = set()
    for number, step in enumerate(found):
        if step and step.path in planned:  # a-b/c and a/b-c have the same name
            found[number] = replace(step, action="refuse", reason=f"another kind has this file, not {step.kind}")
        planned |= {step.path} if step else set()
    found += [
        Step("remove", _kind(old), path, old, reason="no recipe in use makes it")
        for path, old in (our_files(directory) if others_too else ())
        if path not in planned
    ]
    return [step for step in found if step]


def take(step: Step) -> None:
    """Do what a step says. Raises OSError."""
    if step.action == "write":
        write_file(step.path, step.new.encode(), overwrite=True)
    elif step.action == "remove":
        os.unlink(step.path)


def our_files(directory: str) -> Iterator[tuple[str, str]]:
    """The path and text of each file of ours in a directory."""
    for path in _files(directory):
        if os.path.basename(path).startswith(_PREFIX) and path.endswith(".yaml"):
            text = _text(path)
            if text is not None and is_ours(text):
                yield path, text


def has_file_of_ours(kind: str, directory: str) -> bool:
    """Whether there is a file of ours for a kind in a directory."""
    return is_ours(_text(os.path.join(directory, file_name(kind))) or "")


def _step(made: Generated, directory: str, foreign: str) -> Step | None:
    path = os.path.join(directory, file_name(made.kind))
    there = os.path.lexists(path)
    old = _text(path) or "" if there else ""
    if there and not is_ours(old):
        if made.spec is None:
            return None
        return Step("refuse", made.kind, path, reason="this file was not made by cdictl generate: move it away")
    if foreign:
        return Step("remove" if there else "leave", made.kind, path, old, reason=f"{foreign} has this kind")
    if made.spec is None:
        return Step("remove", made.kind, path, old, reason="no device is left") if there else None
    new = spec_text(made.spec, made.recipes)
    return Step("equal" if new == old else "write", made.kind, path, old, new)


def _foreign_kinds(spec_dirs: Sequence[str], kinds: Collection[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in (path for directory in spec_dirs for path in _files(directory)):
        text = _text(path)
        if text is None or is_ours(text):
            continue
        # Most files are about other kinds, and reading a large one as YAML takes as long as all the rest.
        if "\\" in text or any(kind in text for kind in kinds):
            kind = _kind(text)
            if kind in kinds:
                found.setdefault(kind, path)
    return found


def _kind(text: str) -> str:
    """The kind of a spec in the first document, whether or not the rest of it is good; '' where there is none."""
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        data = next(iter(yaml.load_all(text, loader)), None)
    except (yaml.YAMLError, ValueError, RecursionError):
        return ""
    fields = {str(key).lower(): value for key, value in data.items()} if isinstance(data, dict) else {}
    return str(fields.get("kind", ""))


def _files(directory: str) -> list[str]:
    try:
        return spec_files(directory)
    except CDIError:
        return []


def _text(path: str) -> str | None:
    try:
        return read_file(path).decode("utf-8", "replace")
    except (OSError, CDIError):
        return None


def old_spec(step: Step) -> Any:
    """The spec that is in the file now; None where there is none, or one that cannot be read."""
    try:
        return parse_spec(step.old) if step.old else None
    except CDIError:
        return None
