"""`cdictl devices` and `cdictl device`: which devices there are, and what a device changes in a container."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click

from cdi_runc.ctl.names import is_pattern
from cdi_runc.ctl.options import Options, complete_device, output_option
from cdi_runc.ctl.output import echo_aside, echo_data, echo_folded, echo_table, painted, printable

if TYPE_CHECKING:
    from cdi_runc.host.known import Known


@click.command()
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...", shell_complete=complete_device)
@click.option("-v", "--verbose", is_flag=True, help="Also the edits of each device, and the files that it shadows.")
@output_option("table", "json", "yaml", "name")
@click.pass_context
def devices(ctx: click.Context, patterns: tuple[str, ...], verbose: bool, output: str) -> None:
    """List the devices there are.

    PATTERN is a part of a name, or has *, ? or [ in it. The exit status is 1 if no device has such a name. What is
    wrong with the specs is on standard error, or in the data. `-o name` prints one name on each line."""
    options = ctx.find_object(Options) or Options()
    known = options.spec_files() if verbose else options.known()
    names = sorted(name for name in known.names if matches(name, patterns))
    rows: list[dict[str, Any]] = [{"name": name, "path": found[0]} for name in names if (found := known.find(name))]
    if verbose:
        from cdi_runc.host.known import shadowed

        hidden = shadowed(known.registry)  # type: ignore[attr-defined]  # it is the spec files
        for row in rows:
            row |= {"edits": _counts(known.find(row["name"])), "shadows": hidden.get(row["name"], [])}
    if output == "name":
        for name in names:
            click.echo(name)
    elif output != "table":
        echo_data({"devices": rows, "conflicts": dict(known.conflicts), "errors": dict(known.refused)}, output)
    elif rows or not patterns:
        _echo_devices(rows, verbose)
    if output in ("table", "name"):
        for line in known.refused.values():
            echo_aside(line)
        if not rows and (patterns or not (known.refused or known.conflicts)):
            echo_aside(_none_there(patterns, known))
    ctx.exit(1 if patterns and not rows else 0)


def _echo_devices(rows: Sequence[Mapping[str, Any]], verbose: bool) -> None:
    if verbose:
        echo_table(
            ("DEVICE", "EDITS", "SPEC FILE"), [(row["name"], _summary(row["edits"]), _place(row)) for row in rows]
        )
    else:
        echo_table(("DEVICE", "SPEC FILE"), [(row["name"], row["path"]) for row in rows])


@click.command()
@click.argument("name", metavar="NAME", shell_complete=complete_device)
@output_option("table", "json", "yaml")
@click.pass_obj
def device(options: Options, name: str, output: str) -> None:
    """Show what a device changes in a container."""
    known = options.spec_files()
    registry = known.registry
    found = registry.devices.get(name)
    if found is None:
        from cdi_runc.host.missing import why_missing

        raise click.ClickException(why_missing([name], known))
    from cdi_runc.host.known import shadowed

    spec = registry.specs[found.path]
    data = {
        "name": name,
        "path": found.path,
        "cdiVersion": spec["cdiVersion"],
        "annotations": {**spec.get("annotations", {}), **found.annotations},
        "shadows": shadowed(registry).get(name, []),
        "containerEdits": found.edits,
        "specEdits": found.spec_edits,
    }
    if output != "table":
        echo_data(data, output)
        return
    _echo_device(data)


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name fits one of the patterns, or there are none.

    >>> matches("vendor.com/gpu=0", ["gpu"]), matches("vendor.com/gpu=0", ["*=1"])
    (True, False)
    """
    return not patterns or any(
        fnmatchcase(name, pattern) if is_pattern(pattern) else pattern in name for pattern in patterns
    )


def _none_there(patterns: Sequence[str], known: Known) -> str:
    """What is said if nothing fits the patterns, or if there are neither devices nor patterns."""
    if not patterns:
        return f"no spec file in {', '.join(known.settings['spec-dirs'])} defines a device"
    from cdi_runc.host.missing import nearest

    hint = nearest(patterns[0], known.names) if len(patterns) == 1 else ""
    return f"no device matches {' or '.join(patterns)}{hint}"


def _counts(found: Any) -> dict[str, int]:
    """How many edits of each kind the device itself has."""
    return {kind: len(edits) for kind, edits in found[2].items() if edits}


def _summary(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} {number}" for kind, number in counts.items()) or "-"


def _place(row: Mapping[str, Any]) -> str:
    instead = f" (instead of {', '.join(row['shadows'])})" if row["shadows"] else ""
    return f"{row['path']}{instead}"


def _echo_device(data: Mapping[str, Any]) -> None:
    from cdi_runc.ctl.words import edit_lines

    click.echo(painted(data["name"], "head"))
    echo_folded(f"  spec file     {printable(data['path'])} (CDI {data['cdiVersion']})", 16)
    for path in data["shadows"]:
        echo_folded(f"  instead of    {path}", 16)
    for key, value in data["annotations"].items():
        echo_folded(f"  annotation    {printable(f'{key}: {value}')}", 16)
    for heading, edits in (
        ("The device's own edits", data["containerEdits"]),
        ("Those of every device in the file", data["specEdits"]),
    ):
        lines = edit_lines(edits)
        if lines:
            click.echo(painted(heading, "head"))
        for line in lines:
            echo_folded(f"  {line}", 15)
