"""Specs: the devices of all recipes, one spec for each kind."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cdi_runc.cdi.versions import minimum_required_version
from cdi_runc.generate.collection import Recipes
from cdi_runc.generate.devices import Candidate, candidates
from cdi_runc.generate.edits import ContainerEdits, Missing, container_edits, union
from cdi_runc.generate.recipe import Recipe
from cdi_runc.generate.tree import Tree

if TYPE_CHECKING:
    from cdi_runc.cdi.types import Spec

ALL = "all"  # the name of the device that is all devices of its kind


@dataclass(frozen=True)
class Note:
    """A line for people about a recipe, and a device if it is about one."""

    recipe: str
    device: str
    text: str

    def __str__(self) -> str:
        return f"{self.recipe}: {f'{self.device}: ' if self.device else ''}{self.text}"


@dataclass
class Generated:
    """What the recipes of one kind gave: `spec` is None where there is no device."""

    kind: str
    recipes: list[Recipe]
    candidates: list[Candidate]
    spec: Spec | None = None
    notes: list[Note] = field(default_factory=list)

    @property
    def devices(self) -> list[Candidate]:
        """The candidates that are devices."""
        return [each for each in self.candidates if each.matched and not each.fault]


def generated(recipes: Iterable[Recipe], tree: Tree, *, gids: bool = False) -> list[Generated]:
    """The specs of these recipes on a host, by their kinds. Recipes of the same kind make one spec."""
    by_kind: dict[str, list[Recipe]] = {}
    for recipe in recipes:
        by_kind.setdefault(recipe.kind, []).append(recipe)
    return [_generated(kind, found, tree, gids) for kind, found in sorted(by_kind.items())]


def chosen(
    known: Recipes, words: Collection[str], tree: Tree, kept: Callable[[str], bool] = lambda kind: False
) -> tuple[list[Recipe], dict[str, str]]:
    """The recipes to use, and for each that is not used why. A word is a recipe's name or a kind.

    All recipes of a kind go together, since they make one file. Recipes that the vendor's generator replaces are
    used if they are named, or if they were used before: `kept` says whether a kind has a file of ours. Raises
    LookupError for a word that is neither a name nor a kind.
    """
    for word in words:
        if not any(word in (recipe.name, recipe.kind) for recipe in known.known.values()):
            raise LookupError(word)
    named = {recipe.kind for recipe in known.known.values() if {recipe.name, recipe.kind} & set(words)}
    used: list[Recipe] = []
    left: dict[str, str] = {}
    for recipe in known.known.values():
        if named and recipe.kind not in named:
            continue
        program = next((path for path in recipe.generator if tree.real(path) is not None), "")
        if program and not named and not kept(recipe.kind):
            left[recipe.name] = f"the vendor's own generator is installed: {program}"
        else:
            used.append(recipe)
    return used, left


def has_gids(spec: Any) -> bool:
    """Whether any of the spec's edits has groups."""
    several = [spec, *spec["devices"]]
    return any(each.get("containerEdits", {}).get("additionalGids") for each in several)


def _generated(kind: str, recipes: list[Recipe], tree: Tree, gids: bool) -> Generated:
    found = [each for recipe in recipes for each in candidates(recipe, tree, gids=gids)]
    made = Generated(kind, recipes, found)
    shared = _shared(made, tree, gids)
    made.notes += _notes(found)
    made.notes += _drop_disputed(made.devices)
    for each in made.devices:
        if not each.names:
            each.fault = "another device has each of its names"
    if made.devices:
        made.spec = _spec(made, shared)
    return made


def _shared(made: Generated, tree: Tree, gids: bool) -> ContainerEdits:
    """The edits of all devices together. Where they cannot be made, the recipe has no devices."""
    edits = []
    for recipe in made.recipes:
        devices = [each for each in made.devices if each.recipe is recipe]
        if not devices:
            continue
        first = devices[0]

        def note(text: str, recipe: Recipe = recipe) -> None:
            made.notes.append(Note(recipe.name, "", text))

        try:
            found = container_edits(recipe.shared, tree, first.path, first.values, note, gids=gids and recipe.gids)
            edits.append(found)
        except Missing as missing:
            for each in devices:
                each.fault = f"what all devices of this recipe need is missing: {missing}"
    return union(edits)


def _notes(found: Iterable[Candidate]) -> Iterator[Note]:
    for each in found:
        if each.fault and each.matched:
            lines = [*(note for note in each.notes if note != each.fault), f"no device: {each.fault}"]
        else:
            lines = each.notes
        yield from (Note(each.recipe.name, each.label, line) for line in lines)


def _drop_disputed(devices: list[Candidate]) -> Iterator[Note]:
    """Take a name that several devices have away from all of them."""
    owners: dict[str, list[Candidate]] = {}
    for each in devices:
        for name in each.names:
            owners.setdefault(name, []).append(each)
    for name, several in owners.items():
        if len(several) > 1:
            paths = " and ".join(each.path for each in several[:3]) + (" and more" if len(several) > 3 else "")
            for each in several:
                each.names.remove(name)
            yield Note(several[0].recipe.name, name, f"{len(several)} devices have this name, so none gets it: {paths}")


def _spec(made: Generated, shared: ContainerEdits) -> Spec:
    devices = [{"name": name, "containerEdits": each.edits} for each in made.devices for name in each.names]
    names = {device["name"] for device in devices}
    if len(made.devices) > 1 and ALL not in names and all(recipe.all for recipe in made.recipes):
        devices.append({"name": ALL, "containerEdits": union([each.edits for each in made.devices])})
    spec: Any = {"cdiVersion": "", "kind": made.kind, "devices": devices}
    if shared:
        spec["containerEdits"] = shared
    spec["cdiVersion"] = minimum_required_version(spec)
    made_spec: Spec = spec
    return made_spec
