"""`cdictl generate`: CDI specs from what the kernel shows, printed, written, compared, or kept up to date."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click

from cdi_runc import parse_spec
from cdi_runc.ctl.options import Options, output_option
from cdi_runc.ctl.output import echo_aside, echo_data, echo_folded, echo_table, painted, printable
from cdi_runc.generate.changes import changes
from cdi_runc.generate.collection import Recipes, recipes
from cdi_runc.generate.files import OUTPUT_DIRECTORY, Step, has_file_of_ours, old_spec, steps, take
from cdi_runc.generate.recipe import Recipe
from cdi_runc.generate.specs import Generated, chosen, generated, has_gids
from cdi_runc.generate.text import device_nodes, document
from cdi_runc.generate.tree import Tree
from cdi_runc.host.missing import nearest

_DONE = {"write": "written", "remove": "removed"}


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


def complete_word(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The names and kinds of recipes that begin so."""
    known = recipes(Tree()).known.values()
    words = {word for recipe in known for word in (recipe.name, recipe.kind)}
    return sorted(word for word in words if word.startswith(incomplete))


def complete_explained(ctx: click.Context, option: click.Parameter, incomplete: str) -> list[str]:
    """The names and kinds of recipes that begin so; after a kind and `=`, the devices of that kind."""
    kind, equals, _ = incomplete.partition("=")
    if not equals:
        return complete_word(ctx, option, incomplete)
    try:
        look = Place(ctx.find_object(Options) or Options(), ctx.params.get("root") or "/", None).look([kind])
    except click.ClickException:
        return []
    return [name for name in _names(look) if name.startswith(incomplete)]


@click.command()
@click.argument("words", metavar="[RECIPE|KIND]...", nargs=-1, shell_complete=complete_word)
@click.option("--write", is_flag=True, help="Write the spec files that changed, and remove empty ones.")
@click.option("--check", is_flag=True, help="Say which files of ours are stale; exit status 1 if any is.")
@click.option("--diff", is_flag=True, help="Show what --write would change.")
@click.option("--watch", is_flag=True, help="Write, and again after each change, until interrupted.")
@click.option(
    "--explain",
    metavar="NAME",
    shell_complete=complete_explained,
    help="Say why a device, a kind or a recipe is there or not.",
)
@click.option(
    "--output-dir",
    metavar="DIR",
    type=click.Path(),
    help=f"Where the files are; {OUTPUT_DIRECTORY} below the root without it.",
)
@click.option(
    "--root", metavar="DIR", type=click.Path(), default="/", help="Look at /sys, /proc and /dev below this directory."
)
@output_option("table", "json", "yaml")
@click.pass_context
def generate(
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    explain: str | None,
    output_dir: str | None,
    root: str,
    output: str,
    **modes: bool,
) -> None:
    """Make CDI specs from what the kernel shows, by recipes.

    Without an option, only show them. The recipes are those of `cdictl recipes`.

    A kind that another spec file has is left to that file. A recipe for a vendor's kind is not used where the vendor's
    own generator is installed, unless it is named."""
    options = ctx.find_object(Options) or Options()
    if not os.path.isdir(root):
        raise click.ClickException(f"{root}: there is no such directory")
    mode = _only_one([name for name, given in modes.items() if given] + ["explain"] * (explain is not None))
    place = Place(options, root, output_dir)
    if explain is not None:
        _explain(place, words, explain, output)
    elif mode == "watch":
        from cdi_runc.ctl.specs.generate_watch import watch

        watch(place, words)
    elif mode:
        ctx.exit(files(place.look(words), mode, output))
    else:
        look = place.look(words)
        show(look, words, output)
        ctx.exit(1 if look.known.faults else 0)


def _only_one(modes: Sequence[str]) -> str:
    if len(modes) > 1:
        raise click.UsageError(f"give only one of {' and '.join(f'--{mode}' for mode in modes)}")
    return "".join(modes)


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


def show(look: Look, words: Sequence[str], output: str) -> None:
    """Print the specs themselves, or a table of them."""
    specs = [one.spec for one in look.made if one.spec]
    if output == "json":
        echo_data(specs, "json")
    elif output == "yaml":
        for spec in specs:
            click.echo(document(spec), nl=False)
    else:
        rows = [_row(one) for one in look.made if one.spec]
        echo_table(("KIND", "DEVICES", "NAMES", "NODES"), rows)
    for line in (*look.lines, *((*look.yielding, *_nothing(look, words)) if output == "table" else ())):
        echo_aside(line)


def files(look: Look, mode: str, output: str) -> int:
    """Write, check or compare the files; the exit status."""
    faults = [*look.known.faults]
    rows = []
    for step in look.steps:
        fault = _taken(step) if mode == "write" else ""
        faults += [fault] * bool(fault)
        # To compare the specs takes longer than to make them.
        rows.append(_data(step, fault, compared=output != "table" or mode == "check"))
    if output != "table":
        echo_data({"files": rows}, output)
    else:
        for step, row in zip(look.steps, rows, strict=True):
            _say(step, row, mode)
    for line in look.lines:
        echo_aside(line)
    stale = any(step.action in ("write", "remove") for step in look.steps)
    refused = any(step.action == "refuse" for step in look.steps)
    return 1 if faults or refused or (stale and mode == "check") else 0


def written(look: Look) -> list[str]:
    """Write the files, and say what was written. Returns what could not be written."""
    faults = []
    for step in look.steps:
        fault = _taken(step)
        faults += [fault] * bool(fault)
        if not fault and step.action in ("write", "remove"):
            click.echo(f"{step.path}: {_DONE[step.action]}")
    return faults


def _taken(step: Step) -> str:
    """Why a step could not be done; '' if it was."""
    try:
        take(step)
    except OSError as fault:
        return f"{step.path}: cannot be {_DONE[step.action]}: {fault.strerror or fault}"
    return ""


def _data(step: Step, fault: str, *, compared: bool) -> dict[str, Any]:
    changed = []
    if compared and step.action != "equal":
        changed = changes(old_spec(step), parse_spec(step.new) if step.new else None)
    return {
        "kind": step.kind,
        "path": step.path,
        "action": step.action,
        "reason": step.reason,
        "changes": changed,
        "fault": fault,
    }


def _say(step: Step, row: dict[str, Any], mode: str) -> None:
    if row["fault"]:
        echo_aside(row["fault"])
    elif mode == "diff":
        before, after = (text.splitlines(keepends=True) for text in (step.old, step.new))
        for line in difflib.unified_diff(before, after, step.path, step.path):
            style = {"+": "added", "-": "removed"}.get(line[:1])
            click.echo(painted(printable(line.rstrip("\n")), style) if style else printable(line.rstrip("\n")))
    elif step.action in ("write", "remove"):
        verb = _DONE[step.action] if mode == "write" else "stale" if step.old else "missing"
        click.echo(f"{step.path}: {verb}{f', since {step.reason}' if step.reason else ''}")
        if mode == "check":
            for line in row["changes"]:
                echo_folded(f"    {printable(line)}", 8)


def _row(made: Generated) -> tuple[str, str, str, str]:
    spec: Any = made.spec
    names = [device["name"] for device in spec["devices"]]
    nodes = device_nodes([spec.get("containerEdits", {}), *(device["containerEdits"] for device in spec["devices"])])
    interfaces = [
        net["hostInterfaceName"] for device in spec["devices"] for net in device["containerEdits"].get("netDevices", ())
    ]
    return made.kind, str(len(made.devices)), ", ".join(names), ", ".join(dict.fromkeys([*nodes, *interfaces])) or "-"


def _nothing(look: Look, words: Sequence[str]) -> Iterator[str]:
    """What to say if named recipes find nothing, or if no recipe finds anything."""
    if not any(one.spec for one in look.made) and not words:
        yield "no recipe finds a device here (cdictl recipes lists them)"
    for one in look.made if words else ():
        for recipe in one.recipes:
            if not any(each.recipe is recipe for each in one.candidates):
                yield f"{recipe.name}: nothing matches {' or '.join(recipe.match.globs)}"


def _explain(place: Place, words: Sequence[str], name: str, output: str) -> None:
    from cdi_runc.generate.explain import explained, lines

    look = place.look(words)
    told = explained(name, look.known, look.left, look.made, look.steps)
    if not told:
        raise click.ClickException(f"no recipe has anything to do with {name!r}{nearest(name, _names(look))}")
    known = {each_name for each in told for each_name in each.get("names", ())}
    if "=" in name and known and name not in known:
        echo_aside(f"no device is called {name}{nearest(name, _names(look))}")
    if output != "table":
        echo_data({"explained": told}, output)
        return
    for number, each in enumerate(told):
        if number:
            click.echo()
        for heading, text in lines(each):
            echo_folded(f"{painted(f'{heading:<8}', 'faint')} {printable(text)}", 9)


def _names(look: Look) -> list[str]:
    kinds = [f"{one.kind}={name}" for one in look.made for each in one.devices for name in each.names]
    return [*kinds, *look.known.known]


def _unknown(word: str, known: Recipes) -> str:
    if word in known.faults:
        return f"the recipe {word} is broken: {known.faults[word]}"
    if word in known.off:
        return f"the recipe {word} is turned off by the empty file {known.off[word]}"
    names = [name for recipe in known.known.values() for name in (recipe.name, recipe.kind)]
    return f"there is no recipe and no kind {word!r}{nearest(word, names)} (cdictl recipes lists them)"
