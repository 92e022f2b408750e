"""`cdictl spec`: spec files written and changed without writing YAML by hand."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from typing import Any

import click

from cdi_runc import CURRENT_VERSION, KNOWN_VERSIONS, minimum_required_version, parse_spec, write_spec
from cdi_runc.cdi.spec import field_text
from cdi_runc.cdi.versions import requirements
from cdi_runc.ctl.specs.typed import device_of, edit_options, edits_of, pairs, put

_FILE = click.argument("path", metavar="FILE")
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Change nothing, print what would change as a diff.")
_NEW_FILE = click.option("-f", "--file", "path", metavar="FILE", help="Write it there, instead of printing it.")
_FORCE = click.option("--force", is_flag=True, help="Even if there is such a file.")
_VERSION = click.Choice(KNOWN_VERSIONS[2:])


@click.group()
def spec() -> None:
    """Write and change CDI spec files, with their comments kept.

    A changed spec is checked before it takes the old one's place; its cdiVersion rises where the change needs it."""


@spec.command()
@click.argument("kind", metavar="VENDOR/CLASS")
@click.option("--device", "name", required=True, metavar="NAME", help="The first device, which gets the edits.")
@edit_options
@_NEW_FILE
@_FORCE
def new(kind: str, name: str, path: str | None, force: bool, **given: Sequence[Any]) -> None:
    """Make a spec with one device."""
    device: dict[str, Any] = {"name": name, "containerEdits": {}}
    put(device, edits_of(given), pairs(given["annotations"]))
    _make(kind, [device], path, force)


@spec.command(name="from-nodes")
@click.argument("nodes", metavar="NODE...", nargs=-1, required=True)
@click.option("--kind", required=True, metavar="VENDOR/CLASS", help="What the devices are called.")
@click.option("--all", "with_all", is_flag=True, help="Add a device `all` with all the nodes.")
@_NEW_FILE
@_FORCE
def from_nodes(nodes: tuple[str, ...], kind: str, with_all: bool, path: str | None, force: bool) -> None:
    """Make a spec of device nodes of this host, one device for each."""
    for node in nodes:
        mode = os.stat(node).st_mode
        if not (stat.S_ISBLK(mode) or stat.S_ISCHR(mode)):
            raise click.ClickException(f"{node}: not a device node")
    devices = [
        {"name": name, "containerEdits": {"deviceNodes": [_node(node)]}}
        for name, node in zip(device_names(nodes), nodes, strict=True)
    ]
    if with_all:
        devices.append({"name": "all", "containerEdits": {"deviceNodes": [_node(node) for node in nodes]}})
    _make(kind, devices, path, force)


@spec.command(name="add-device")
@_FILE
@click.argument("name")
@edit_options
@_DRY_RUN
def add_device(path: str, name: str, dry_run: bool, **given: Sequence[Any]) -> None:
    """Add a device to a spec."""
    edits, annotations = edits_of(given), pairs(given["annotations"])

    def edit(spec: Any) -> None:
        if any(str(device["name"]) == name for device in spec["devices"]):
            raise click.ClickException(f"{path}: there is a device {name} already: cdictl spec set --device {name}")
        device: dict[str, Any] = {"name": name, "containerEdits": {}}
        put(device, edits, annotations)
        spec["devices"].append(device)

    _change(path, edit, dry_run)


@spec.command(name="set")
@_FILE
@click.option("--device", "name", metavar="NAME", help="The device that gets the edits; without it, all of them do.")
@click.option("--kind", metavar="VENDOR/CLASS", help="Rename the spec's devices.")
@edit_options
@_DRY_RUN
def set_(path: str, name: str | None, kind: str | None, dry_run: bool, **given: Sequence[Any]) -> None:
    """Add or replace edits, annotations, or the kind of a spec."""
    edits, annotations = edits_of(given), pairs(given["annotations"])

    def edit(spec: Any) -> None:
        put(device_of(spec, name) if name else spec, edits, annotations)
        if kind:
            spec["kind"] = kind

    _change(path, edit, dry_run)


@spec.command(name="remove-device")
@_FILE
@click.argument("name")
@_DRY_RUN
def remove_device(path: str, name: str, dry_run: bool) -> None:
    """Remove a device from a spec."""

    def edit(spec: Any) -> None:
        device = device_of(spec, name)
        if len(spec["devices"]) == 1:
            raise click.ClickException(f"{path}: {name} is the only device, and a spec must have one: remove the file")
        spec["devices"].remove(device)

    _change(path, edit, dry_run)


@spec.command(name="format")
@click.argument("paths", metavar="FILE...", nargs=-1, required=True)
@click.option("--check", is_flag=True, help="Change nothing; exit status 1 where something would change.")
@click.pass_context
def format_(ctx: click.Context, paths: tuple[str, ...], check: bool) -> None:
    """Indent specs evenly."""
    from cdi_runc.ctl.specs.specfile import SpecFile, formatted

    changed = 0
    for path in paths:
        file = SpecFile(path)
        text = formatted(file)
        if text == file.text or parse_spec(text) != file.spec:
            continue
        changed += 1
        if not check:
            file.write(text)
        click.echo(f"{path}: {'would be formatted' if check else 'formatted'}")
    ctx.exit(1 if check and changed else 0)


@spec.command()
@_FILE
@click.option("--to", "form", type=click.Choice(["yaml", "json"]), required=True)
@click.option("-f", "--file", "target", metavar="FILE", help="Write it there, instead of printing it.")
@_FORCE
def convert(path: str, form: str, target: str | None, force: bool) -> None:
    """Turn YAML into JSON or the other way; comments are lost."""
    from cdi_runc.ctl.specs.specfile import SpecFile, spec_text

    found = SpecFile(path).spec
    if target is None:
        click.echo(spec_text(found, form), nl=False)
    elif not target.endswith(f".{form}"):
        raise click.UsageError(f"{target} does not end in .{form}, by which engines find it")
    else:
        click.echo(f"{write_spec(found, target, overwrite=force)}: written")


@spec.command()
@_FILE
@click.option("--to", "version", type=_VERSION, default=CURRENT_VERSION, show_default=True)
@_DRY_RUN
def upgrade(path: str, version: str, dry_run: bool) -> None:
    """Raise the cdiVersion of a spec."""
    _set_version(path, lambda spec: max(version, spec["cdiVersion"].removeprefix("v"), key=_age), dry_run)


@spec.command()
@_FILE
@click.option("--to", "version", type=_VERSION, required=True)
@_DRY_RUN
def downgrade(path: str, version: str, dry_run: bool) -> None:
    """Lower the cdiVersion of a spec, so that older engines can read it.

    What an older version can't say is named, and nothing is changed."""

    def lowered(spec: Any) -> str:
        fields = [f"{field_text(field)} needs {needed}" for needed, field in requirements(spec) if _age(needed) > limit]
        if fields:
            raise click.ClickException(f"{path}: {', '.join(fields)}")
        old: str = spec["cdiVersion"].removeprefix("v")
        return min(version, old, key=_age)

    limit = _age(version)
    _set_version(path, lowered, dry_run)


@spec.command()
@_FILE
@_DRY_RUN
def minimise(path: str, dry_run: bool) -> None:
    """Lower the cdiVersion of a spec as far as its contents allow."""
    _set_version(path, minimum_required_version, dry_run)


def device_names(nodes: Sequence[str]) -> list[str]:
    """A name for each device node: the last part of its path, or as many as tell it from the others.

    >>> device_names(["/dev/dri/card0", "/dev/a/x", "/dev/b/x"])
    ['card0', 'a_x', 'b_x']
    """
    parts = [node.strip("/").removeprefix("dev/").split("/") for node in nodes]
    names = ["_".join(path[-1:]) for path in parts]
    return [name if names.count(name) == 1 else "_".join(path) for name, path in zip(names, parts, strict=True)]


def _node(path: str) -> dict[str, str]:
    real = os.path.realpath(path)
    return {"path": path} if real == path else {"path": path, "hostPath": real}  # links are not followed later


def _make(kind: str, devices: list[dict[str, Any]], path: str | None, force: bool) -> None:
    from cdi_runc import validate_spec
    from cdi_runc.ctl.specs.specfile import spec_text

    made: Any = {"cdiVersion": "", "kind": kind, "devices": devices}
    made["cdiVersion"] = minimum_required_version(made)
    validate_spec(made)
    if path is None:
        click.echo(spec_text(made, "yaml"), nl=False)
    else:
        click.echo(f"{write_spec(made, path, overwrite=force)}: written, CDI {made['cdiVersion']}")


def _set_version(path: str, version_of: Callable[[Any], str], dry_run: bool) -> None:
    from cdi_runc.ctl.specs.specfile import SpecFile

    version = version_of(SpecFile(path).spec)
    _change(path, lambda spec: spec.update(cdiVersion=version), dry_run)


def _change(path: str, edit: Callable[[Any], object], dry_run: bool) -> None:
    """Make an edit to a file, and raise its version if that needs it."""
    from cdi_runc.ctl.specs.specfile import SpecFile

    file = SpecFile(path)
    wanted = parse_spec(file.text)
    edit(wanted)
    needed = minimum_required_version(wanted)

    def all_of_it(spec: Any) -> None:
        edit(spec)
        if _age(needed) > _age(wanted["cdiVersion"].removeprefix("v")):
            spec["cdiVersion"] = needed

    text = file.edited(all_of_it)
    if dry_run:
        click.echo(file.diff(text) or f"{path}: nothing would change\n", nl=False)
    elif text == file.text:
        click.echo(f"{path}: nothing to change")
    else:
        file.write(text)
        click.echo(f"{path}: written, CDI {parse_spec(text)['cdiVersion']}")


def _age(version: str) -> int:
    return KNOWN_VERSIONS.index(version)
