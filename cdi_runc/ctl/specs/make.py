"""`cdictl spec new` and `from-nodes`: new spec files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import click

from cdi_runc import minimum_required_version, validate_spec
from cdi_runc.ctl.specs.change import FORCE, NEW_FILE, write_new
from cdi_runc.ctl.specs.fields import pruned
from cdi_runc.ctl.specs.specfile import spec_text
from cdi_runc.ctl.specs.typed import device_node, edit_options, put_all
from cdi_runc.generate.tree import Tree


@click.command()
@click.argument("kind", metavar="VENDOR/CLASS")
@click.option("--device", "name", required=True, metavar="NAME", help="The first device, which gets the edits.")
@edit_options
@NEW_FILE
@FORCE
def new(kind: str, name: str, path: str | None, force: bool, **given: Sequence[Any]) -> None:
    """Make a spec with one device."""
    _make(kind, [new_device(name, given)], path, force)


@click.command(name="from-nodes")
@click.argument("nodes", metavar="NODE...", type=click.Path(), nargs=-1, required=True)
@click.option("--kind", required=True, metavar="VENDOR/CLASS", help="What the devices are called.")
@click.option("--all", "with_all", is_flag=True, help="Add a device `all` with all the nodes.")
@NEW_FILE
@FORCE
def from_nodes(nodes: tuple[str, ...], kind: str, with_all: bool, path: str | None, force: bool) -> None:
    """Make a spec of this host's device nodes.

    Each node becomes a device. If a node is a link, the device has the node that the link leads to."""
    nodes = tuple(map(os.path.abspath, nodes))
    tree = Tree()
    for node in nodes:
        if tree.status(node) is None:
            raise click.ClickException(f"{node}: is not there")
        if not tree.is_node(node):
            raise click.ClickException(f"{node}: is neither a device node nor a pipe")
    devices = [
        {"name": name, "containerEdits": {"deviceNodes": [device_node(node)]}}
        for name, node in zip(device_names(nodes), nodes, strict=True)
    ]
    if with_all:
        devices.append({"name": "all", "containerEdits": {"deviceNodes": [device_node(node) for node in nodes]}})
    _make(kind, devices, path, force)


def device_names(nodes: Sequence[str]) -> list[str]:
    """A name for each device node: the last part of its path, or as many as tell it from the others.

    >>> device_names(["/dev/dri/card0", "/dev/a/x", "/dev/b/x"])
    ['card0', 'a_x', 'b_x']
    """
    parts = [node.strip("/").removeprefix("dev/").split("/") for node in nodes]
    names = ["_".join(path[-1:]) for path in parts]
    return [name if names.count(name) == 1 else "_".join(path) for name, path in zip(names, parts, strict=True)]


def new_device(name: str, given: Any) -> dict[str, Any]:
    """A device with the edits of the options. Raises UsageError where it would have none."""
    device: dict[str, Any] = {"name": name}
    put_all(device, given)
    pruned({"devices": [device]})
    if "containerEdits" not in device:
        raise click.UsageError(f"{name} has no edits, and engines refuse such a device: give --node, --env or others")
    return device


def _make(kind: str, devices: list[dict[str, Any]], path: str | None, force: bool) -> None:
    made: Any = {"cdiVersion": "", "kind": kind, "devices": devices}
    made["cdiVersion"] = minimum_required_version(made)
    validate_spec(made)
    written = write_new(lambda form: spec_text(made, form), kind, path, force)
    if written:
        click.echo(f"{written}: written, CDI {made['cdiVersion']}")
