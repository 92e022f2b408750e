"""Incus: the YAML of a profile or of an instance.

It is for `incus profile edit NAME < FILE`, or for `incus create IMAGE NAME < FILE`.
"""

from __future__ import annotations

from typing import Any

import yaml

from cdi_runc.render.edits import Edits, Mount, Node
from cdi_runc.render.quoting import comment
from cdi_runc.render.result import Lost, Rendered, lacking, no_such_mount, one_line, without_options


def render(edits: Edits) -> Rendered:
    """Variables as config keys. Nodes, mounts and interfaces as devices, which Incus makes."""
    lost = lacking(
        edits,
        {
            "access": "Incus always allows rwm",
            "gids": "Incus has no key for it",
            "hooks": "Incus runs it only by LXC's hooks (cdictl engine enable incus)",
            "rdt": "Incus has no key for it",
        },
    )
    devices: dict[str, Any] = {}
    for number, node in enumerate(edits.nodes):
        if node.type in "bc":
            devices[f"cdi-node-{number}"] = _node(node)
        else:
            lost.append(Lost(f"device node {node.path}", "Incus makes character and block devices only"))
    for number, mount in enumerate(edits.mounts):
        if mount.type == "bind":
            devices[f"cdi-mount-{number}"] = _disk(mount, lost)
        else:
            lost.append(no_such_mount(mount, "Incus"))
    for number, (interface, name) in enumerate(edits.net):
        devices[f"cdi-net-{number}"] = {"type": "nic", "nictype": "physical", "parent": interface, "name": name}
    config = {
        f"environment.{name}": one_line(value, f"variable {name}", "Incus's LXC config") for name, value in edits.env
    }
    text = yaml.safe_dump({"config": config, "devices": devices}, sort_keys=False, allow_unicode=True, width=2**31)
    head = comment(f"cdictl render incus: {' '.join(edits.names)}")
    whole = f"incus config set NAME environment.CDI_DEVICES {edits.asked}"
    return Rendered(text=head + text, lost=lost, whole=whole)


def _node(node: Node) -> dict[str, str]:
    device = {"type": "unix-block" if node.type == "b" else "unix-char", "path": node.path}
    if node.on_host:
        device["source"] = node.host_path
    else:
        device |= {"major": str(node.major), "minor": str(node.minor)}
    if node.mode is not None:
        device["mode"] = f"{node.mode & 0o7777:04o}"
    return device | {owner: str(node.given[owner]) for owner in ("uid", "gid") if owner in node.given}


def _disk(mount: Mount, lost: list[Lost]) -> dict[str, str]:
    # Incus 6.0 takes raw.mount.options=nosuid for a directory of the host, and does not mount it so.
    without_options(mount, ("ro",), lost, "Incus has only readonly for it")
    disk = {"type": "disk", "source": mount.source, "path": mount.target}
    if mount.read_only:
        disk["readonly"] = "true"
    if "rbind" in mount.options:
        disk["recursive"] = "true"
    return disk
