"""One look at a host for `cdictl generate`: what the recipes find there, and what that changes in the spec files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click

from cdi_runc.ctl.options import Options
from cdi_runc.generate.collection import Recipes, recipes
from cdi_runc.generate.files import OUTPUT_DIRECTORY, Step, has_file_of_ours, steps, take
from cdi_runc.generate.recipe import Recipe
from cdi_runc.generate.specs import Generated, chosen, generated, has_gids
from cdi_runc.generate.tree import Tree
from cdi_runc.host.missing import nearest

DONE = {"write": "written", "remove": "removed"}  # what is said of a step that was taken


@dataclass(frozen=True)
class Look:
    """One look at a host: its recipes, why some are not used, the specs, and the changes to files."""

    known: Recipes
    left: dict[str, str]
    made: list[Generated]
    steps: list[Step]

    @property
    def lines(self) -> list[str]:
        """What people should know."""
        used = [str(note) for one in self.made for note in one.notes]
        broken = [f"{name}: {fault}" for name, fault in self.known.faults.items()]
        refused = [f"{step.path}: {step.reason}" for step in self.steps if step.action == "refuse"]
        return [*dict.fromkeys([*broken, *used, *refused])]

    @property
    def yielding(self) -> list[str]:
        """The kinds that are left to others."""
        unused = [f"{name} is not used: {why}" for name, why in self.left.items()]
        left = {step.kind: step.reason for step in self.steps if step.action == "leave"}
        return unused + [
            f"{one.kind}: left to another file: {left[one.kind]}" for one in self.made if one.kind in left and one.spec
        ]

    @property
    def names(self) -> list[str]:
        """What a person can name: the devices, and the recipes."""
        kinds = [f"{one.kind}={name}" for one in self.made for each in one.devices for name in each.names]
        return [*kinds, *self.known.known]


class Place:
    """The host to look at, and the directories of its spec files."""

    def __init__(self, options: Options, root: str, output_dir: str | None) -> None:
        self.options, self.root, self.output_dir = options, root, output_dir

    def look(self, words: Sequence[str]) -> Look:
        """Look at it now. Raises ClickException for a word that is no recipe and no kind."""
        tree = Tree(self.root)
        known = recipes(tree)
        directory = self.output_dir or (OUTPUT_DIRECTORY if self.root == "/" else tree.place(OUTPUT_DIRECTORY))
        try:
            used, left = chosen(known, words, tree, lambda kind: has_file_of_ours(kind, directory))
        except LookupError as word:
            raise click.ClickException(_unknown(str(word.args[0]), known)) from None
        made = self._generated(used, tree)
        return Look(known, left, made, steps(made, directory, self._spec_dirs(tree), others_too=not words))

    def _generated(self, used: Sequence[Recipe], tree: Tree) -> list[Generated]:
        """The specs, with groups only where all engines of this host can read them."""
        made = generated(used, tree, gids=self.root == "/")
        kinds = {one.kind for one in made if one.spec and has_gids(one.spec)}
        if not kinds:
            return made
        from cdi_runc.ctl.specs.engine_gids import engines_take_gids

        if engines_take_gids():
            return made
        again = {one.kind: one for one in generated([recipe for recipe in used if recipe.kind in kinds], tree)}
        return [again.get(one.kind, one) for one in made]

    def _spec_dirs(self, tree: Tree) -> list[str]:
        if self.options.spec_dirs:
            return list(self.options.spec_dirs)
        kept = self.options.fresh_snapshot()
        directories = (kept.settings if kept else self.options.settings())["spec-dirs"]
        return list(directories) if self.root == "/" else [tree.place(directory) for directory in directories]


def taken(step: Step) -> str:
    """Why a step could not be done; '' if it was."""
    try:
        take(step)
    except OSError as fault:
        return f"{step.path}: cannot be {DONE[step.action]}: {fault.strerror or fault}"
    return ""


def _unknown(word: str, known: Recipes) -> str:
    if word in known.faults:
        return f"the recipe {word} is broken: {known.faults[word]}"
    if word in known.off:
        return f"the recipe {word} is turned off by the empty file {known.off[word]}"
    names = [name for recipe in known.known.values() for name in (recipe.name, recipe.kind)]
    return f"there is no recipe and no kind {word!r}{nearest(word, names)} (cdictl recipes lists them)"
