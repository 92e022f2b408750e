"""`cdictl generate`: CDI specs from what the kernel shows, printed, written, compared, or kept up to date."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from typing import Any

import click

from cdi_runc import parse_spec
from cdi_runc.ctl.options import Options, output_option
from cdi_runc.ctl.output import echo_aside, echo_data, echo_folded, echo_table, painted, printable
from cdi_runc.ctl.specs.look import DONE, Look, Place, taken
from cdi_runc.generate.changes import changes
from cdi_runc.generate.collection import recipes
from cdi_runc.generate.files import OUTPUT_DIRECTORY, Step, old_spec
from cdi_runc.generate.specs import Generated
from cdi_runc.generate.text import device_nodes, document
from cdi_runc.generate.tree import Tree
from cdi_runc.host.missing import nearest


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
    return [name for name in look.names if name.startswith(incomplete)]


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
        fault = taken(step) if mode == "write" else ""
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
        verb = DONE[step.action] if mode == "write" else "stale" if step.old else "missing"
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
        raise click.ClickException(f"no recipe has anything to do with {name!r}{nearest(name, look.names)}")
    known = {each_name for each in told for each_name in each.get("names", ())}
    if "=" in name and known and name not in known:
        echo_aside(f"no device is called {name}{nearest(name, look.names)}")
    if output != "table":
        echo_data({"explained": told}, output)
        return
    for number, each in enumerate(told):
        if number:
            click.echo()
        for heading, text in lines(each):
            echo_folded(f"{painted(f'{heading:<8}', 'faint')} {printable(text)}", 9)
