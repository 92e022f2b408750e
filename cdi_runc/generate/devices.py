"""The devices of a recipe: what matches, with its values, names and edits, or the reason why there is no device."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field

from cdi_runc.generate.edits import ContainerEdits, Missing, container_edits
from cdi_runc.generate.match import matches
from cdi_runc.generate.recipe import Recipe, filled, places
from cdi_runc.generate.tree import Tree
from cdi_runc.generate.values import LONGEST_VALUE, in_name, values

Key = list[tuple[int, int, str]]


@dataclass
class Candidate:
    """Something that a recipe looked at. It is a device if `fault` is empty, and does not match if `matched` is false.

    `path` is its directory in /sys, or the file that matched; `notes` are lines about what is odd but does no harm.
    """

    recipe: Recipe
    path: str
    fault: str = ""
    matched: bool = True
    values: Mapping[str, str] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    edits: ContainerEdits = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        """What people may call it."""
        return self.names[0] if self.names else posixpath.basename(self.path)


def candidates(recipe: Recipe, tree: Tree, *, gids: bool = False) -> list[Candidate]:
    """Everything that the recipe's globs find, in the recipe's order. Those that do not match are at the end.

    A device whose node is missing keeps its index, so that the others have the names that they had before.
    """
    found = [Candidate(recipe, *match) for match in matches(recipe.match, tree)]
    matched, others = [each for each in found if not each.fault], [each for each in found if each.fault]
    for each in matched:
        each.values = values(recipe, tree, each.path, each.notes.append)
    matched.sort(key=lambda each: [sort_key(each.values[name]) for name in recipe.order])
    for index, each in enumerate(matched):
        each.names = _names(each, index)
        try:
            each.edits = container_edits(
                recipe.edits, tree, each.path, each.values, each.notes.append, gids=gids and recipe.gids
            )
        except Missing as missing:
            each.fault = str(missing)
        if not each.fault and not each.edits:
            each.fault = "none of its device nodes is there"
        if not each.fault and not each.names:
            each.fault = f"it has no name: no value for {' or '.join(recipe.names)}"
    return matched + others


def sort_key(text: str) -> tuple[int, int, str]:
    """A key to sort values by: numbers as numbers, and everything else, addresses too, as text.

    >>> sorted(["10", "9", "0000:07:00.0", "0000:0a:00.0"], key=sort_key)
    ['9', '10', '0000:07:00.0', '0000:0a:00.0']
    """
    if text.isdecimal() and text.isascii():
        digits = text.lstrip("0")
        return 0, len(digits), digits  # not as an int: a file may have more digits than Python converts
    return 1, 0, text


def _names(candidate: Candidate, index: int) -> list[str]:
    """The names, each once. A value that changes on its way into a name gets a note."""
    cleaned = {name: in_name(text) for name, text in candidate.values.items()} | {"index": str(index)}
    for name in {place: None for text in candidate.recipe.names for place in places(text)}:
        said = candidate.values.get(name, cleaned[name])
        if len(said) > LONGEST_VALUE:
            candidate.notes.append(f"the value {name} has {len(said)} characters, too many for a name")
            cleaned[name] = ""
        elif cleaned[name] != said:
            shown = repr(said) if len(said) <= 60 else f"{said[:57]!r}..."
            candidate.notes.append(f"the value {name}, {shown}, is {cleaned[name]!r} in names")
    found = [in_name(text) for template in candidate.recipe.names if (text := filled(template, cleaned))]
    return list(dict.fromkeys(name for name in found if name))
