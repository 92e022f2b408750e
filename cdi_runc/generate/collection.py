"""All recipes of a host: ours in this package, those of vendors' packages, and those of the administrator."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cdi_runc.cdi.errors import CDIError
from cdi_runc.generate.recipe import InvalidRecipe, Recipe, parse
from cdi_runc.generate.tree import Tree

SHIPPED = Path(__file__).with_name("recipes")
# Below the root. If two directories have a recipe of the same name, the later one counts.
VENDORS_DIRECTORY = "/usr/share/cdi-runc/recipes.d"
ADMINISTRATORS_DIRECTORY = "/etc/cdi-runc/recipes.d"


@dataclass(frozen=True)
class Recipes:
    """The recipes by their names. `faults` has why a file is not used, `off` the files that only switch one off."""

    known: Mapping[str, Recipe]
    faults: Mapping[str, str] = field(default_factory=dict)
    off: Mapping[str, str] = field(default_factory=dict)


def recipes(tree: Tree) -> Recipes:
    """The recipes of a host.

    A broken file in a directory of the host is not used. The recipe that it would replace is not used either, because
    the author of the file may have wanted to change it.
    """
    known = {path.stem: parse(path.read_text("utf-8"), path.stem, str(path), trusted=True) for path in shipped()}
    faults: dict[str, str] = {}
    off: dict[str, str] = {}
    for directory in (VENDORS_DIRECTORY, ADMINISTRATORS_DIRECTORY):
        for file in tree.names(directory):
            name, ending = os.path.splitext(file)
            if ending != ".yaml" or name.startswith("."):
                continue
            path = f"{directory}/{file}"
            known.pop(name, None)
            faults.pop(name, None)
            off.pop(name, None)
            try:
                found = _read(tree, path, name)
            except CDIError as fault:
                faults[name] = str(fault)
                continue
            if found is None:
                off[name] = tree.outside(path)
            else:
                known[name] = found
    return Recipes(dict(sorted(known.items())), faults, off)


def shipped() -> list[Path]:
    """The files of our own recipes."""
    return sorted(SHIPPED.glob("*.yaml"))


def _read(tree: Tree, path: str, name: str) -> Recipe | None:
    outside = tree.outside(path)
    try:
        text = tree.read(path)
    except FileNotFoundError:
        raise InvalidRecipe(f"{outside} is a link that leads to nothing below the root") from None
    except OSError as fault:
        raise InvalidRecipe(str(fault).replace(path, outside, 1)) from None
    if "\ufffd" in text:
        raise InvalidRecipe(f"{outside} is not UTF-8")
    return parse(text, name, outside, trusted=False) if says_something(text) else None


def says_something(text: str) -> bool:
    """Whether a file has more than comments. One that has not turns the recipe of its name off."""
    return any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines())
