"""`cdictl who`: which running containers have a device's nodes now, with or without cdi-runc."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from cdi_runc.cdi.injection import resolve
from cdi_runc.ctl.options import Options, complete_device, output_option
from cdi_runc.ctl.output import echo_data, echo_table
from cdi_runc.ctl.why import containers
from cdi_runc.ctl.why.live import Node, node_in
from cdi_runc.host.missing import why_missing

if TYPE_CHECKING:
    from cdi_runc.cdi.injection import Group

_KINDS = {stat.S_IFBLK: "b", stat.S_IFCHR: "c"}


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
    found = [
        (container.id, container.pid, held)
        for container in containers.everything()
        if container.pid and (held := [path for path, node in nodes.items() if node_in(container.pid, path) == node])
    ]
    if output != "table":
        echo_data({"containers": [{"container": name, "pid": pid, "nodes": held} for name, pid, held in found]}, output)
    else:
        echo_table(("CONTAINER", "PID", "NODES"), [(name, str(pid), " ".join(held)) for name, pid, held in found])


def _nodes(groups: Iterable[Group]) -> Iterator[tuple[str, Node]]:
    """The path in the container and the numbers of each node."""
    for _, edits in groups:
        for entry in edits.get("deviceNodes") or ():
            try:
                found = os.stat(entry.get("hostPath") or entry["path"])
            except OSError:
                continue
            kind = _KINDS.get(stat.S_IFMT(found.st_mode))
            if kind:
                yield entry["path"], Node(kind, os.major(found.st_rdev), os.minor(found.st_rdev))
