"""`cdictl who`: which running containers have a device's nodes now, with or without cdi-runc."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from cdi_runc.cdi.injection import resolve
from cdi_runc.ctl.access.holders import node_at, nodes_held, running
from cdi_runc.ctl.options import Options, complete_device, output_option
from cdi_runc.ctl.output import echo_data, echo_table
from cdi_runc.ctl.why.live import Node
from cdi_runc.host.missing import why_missing

if TYPE_CHECKING:
    from cdi_runc.cdi.injection import Group


@click.command()
@click.argument("device", metavar="DEVICE", shell_complete=complete_device)
@output_option("table", "json", "yaml")
@click.pass_obj
def who(options: Options, device: str, output: str) -> None:
    """Show the running containers that have a device.

    They are those that have the nodes of DEVICE now, also those that got it without cdi-runc."""
    known = options.spec_files()
    if known.find(device) is None:
        raise click.ClickException(why_missing([device], known))
    nodes = dict(_nodes(resolve([device], known.find)))
    if not nodes:
        raise click.ClickException(f"{device} has no device node on this host, so nobody can tell who has it")
    found = [(container, held) for container in running() if (held := nodes_held(container, nodes))]
    if output == "table":
        rows = [(each.id, str(each.pid), each.of, " ".join(held)) for each, held in found]
        echo_table(("CONTAINER", "PID", "OF", "NODES"), rows)
        return
    data = [
        {
            "container": each.id,
            "pid": each.pid,
            "engine": each.engine,
            "namespace": each.namespace,
            "pod": each.pod,
            "name": each.name,
            "nodes": held,
        }
        for each, held in found
    ]
    echo_data({"containers": data}, output)


def _nodes(groups: Iterable[Group]) -> Iterator[tuple[str, Node]]:
    """The node of each path at which a container may have it: the spec's, and the host's."""
    for _, edits in groups:
        for entry in edits.get("deviceNodes") or ():
            host_path = entry.get("hostPath") or entry["path"]
            node = node_at(host_path)
            if node:
                yield from ((path, node) for path in (entry["path"], host_path))
