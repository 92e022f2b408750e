"""`cdictl devices` and `cdictl device`: which devices there are, and all that one of them does to a container."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click

from cdi_runc.ctl.options import Options, complete_device, output_option
from cdi_runc.ctl.output import echo_aside, echo_data, echo_folded, echo_table, painted, printable

if TYPE_CHECKING:
    from cdi_runc import Registry


@click.command()
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...", shell_complete=complete_device)
@click.option("-v", "--verbose", is_flag=True, help="Also what each device brings, and which files it shadows.")
@output_option("table", "json", "yaml")
@click.pass_obj
def devices(options: Options, patterns: tuple[str, ...], verbose: bool, output: str) -> None:
    """List the devices there are.

    PATTERN is a part of a name, or has * or ? in it. What is wrong with the specs is said on standard error, or stands
    in the data."""
    known = options.spec_files() if verbose else options.known()
    names = sorted(name for name in known.names if matches(name, patterns))
    rows: list[dict[str, Any]] = [{"name": name, "path": found[0]} for name in names if (found := known.find(name))]
    if verbose:
        hidden = shadowed(known.registry)  # type: ignore[attr-defined]  # it is the spec files
        for row in rows:
            row |= {"edits": _counts(known.find(row["name"])), "shadows": hidden.get(row["name"], [])}
    if output != "table":
        echo_data({"devices": rows, "conflicts": dict(known.conflicts), "errors": dict(known.refused)}, output)
        return
    if verbose:
        echo_table(
            ("DEVICE", "EDITS", "SPEC FILE"), [(row["name"], _summary(row["edits"]), _place(row)) for row in rows]
        )
    else:
        echo_table(("DEVICE", "SPEC FILE"), [(row["name"], row["path"]) for row in rows])
    for line in known.refused.values():
        echo_aside(line)


@click.command()
@click.argument("name", metavar="NAME", shell_complete=complete_device)
@output_option("table", "json", "yaml")
@click.pass_obj
def device(options: Options, name: str, output: str) -> None:
    """Show all that one device does to a container."""
    registry = options.registry()
    found = registry.devices.get(name)
    if found is None:
        raise click.ClickException(why_not(name, registry))
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


def shadowed(registry: Registry) -> dict[str, list[str]]:
    """For each device that a file of a later directory takes over, the files that define it in vain."""
    from cdi_runc import qualified_name
    from cdi_runc.cdi.names import split_kind

    hidden: dict[str, list[str]] = {}
    for path, spec in registry.specs.items():
        for entry in spec["devices"]:
            name = qualified_name(*split_kind(spec["kind"]), entry["name"])
            winner = registry.devices.get(name)
            if winner and winner.path != path:
                hidden.setdefault(name, []).append(path)
    return hidden


def why_not(name: str, registry: Registry) -> str:
    """One line on a device that can't be had: defined twice, or nowhere, perhaps because of a file that is refused."""
    from cdi_runc import is_qualified_name
    from cdi_runc.ctl.words import nearest

    if name in registry.conflicts:
        return f"{name} is defined twice, so it can't be had: in {' and in '.join(registry.conflicts[name])}"
    hint = nearest(name, registry.devices)
    if not is_qualified_name(name):
        return f"{name!r} is no device name: vendor.com/class=name is wanted{hint}"
    disputed = {path for paths in registry.conflicts.values() for path in paths}
    refused = [str(errors[0]) for path, errors in registry.errors.items() if path not in disputed]
    where = f"no spec file in {', '.join(registry.spec_dirs)} defines {name}"
    return "; not used: ".join([where + hint, *refused[:3]])


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name fits one of the patterns, or there are none.

    >>> matches("vendor.com/gpu=0", ["gpu"]), matches("vendor.com/gpu=0", ["*=1"])
    (True, False)
    """
    return not patterns or any(
        fnmatchcase(name, pattern) if set(pattern) & set("*?[") else pattern in name for pattern in patterns
    )


def _counts(found: Any) -> dict[str, int]:
    """How many edits of each kind the device itself brings."""
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
