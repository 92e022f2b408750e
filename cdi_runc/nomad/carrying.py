"""What Nomad itself can give a task of a device: variables, mounts and device nodes, and nothing else.

From hashicorp/nomad plugins/device/proto/device.proto, ContainerReservation.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from cdi_runc.cdi.injection import resolve
from cdi_runc.inventory.needs import node_path
from cdi_runc.nomad.wire import device_pb2 as wire

if TYPE_CHECKING:
    from cdi_runc.cdi.registry import Registry
    from cdi_runc.cdi.types import ContainerEdits, DeviceNode, Mount
    from cdi_runc.inventory.tree import Tree

REMEDY = "use mode name"

_LACKING = {
    "hooks": "hooks",
    "additionalGids": "additional groups",
    "intelRdt": "a class of Intel RDT",
    "netDevices": "network interfaces",
}
# The options of mounts that Nomad's own have too, or that only restrict a task.
_OPTIONS = {"bind", "rbind", "ro", "rw", "private", "rprivate", "nosuid", "nodev", "noexec", "relatime", "noatime"}


def marker(directory: str, qualified: str) -> wire.Mount:
    """The mount that asks cdi-runc for a device.

    >>> marker("/var/run/cdi-devices", "vendor.com/gpu=0").task_path
    '/var/run/cdi-devices/vendor.com/gpu/0'
    """
    kind, _, name = qualified.partition("=")
    return wire.Mount(host_path="/dev/null", task_path=f"{directory.rstrip('/')}/{kind}/{name}")


def lost(registry: Registry, qualified: str, tree: Tree) -> str:
    """The first thing of a device that Nomad has no field for, and what to do; '' if there is none."""
    for _, edits in resolve([qualified], registry.find):
        for reason in _lost(edits, tree):
            return f"{reason}: {REMEDY}"
    return ""


def carried(registry: Registry, names: Iterable[str], tree: Tree) -> wire.ContainerReservation:
    """All edits of the devices. Of two for one path or one variable, the later wins, as in an OCI config."""
    envs: dict[str, str] = {}
    mounts: dict[str, wire.Mount] = {}
    devices: dict[str, wire.DeviceSpec] = {}
    for _, edits in resolve(names, registry.find):
        envs.update((name, value) for name, _, value in (entry.partition("=") for entry in edits.get("env", ())))
        for each in edits.get("mounts", ()):
            mounts[each["containerPath"]] = wire.Mount(
                task_path=each["containerPath"], host_path=each["hostPath"], read_only="ro" in each.get("options", ())
            )
        for node in edits.get("deviceNodes", ()):
            if _is_pipe(node, tree):  # which is no device for docker, and can be mounted
                mounts[node["path"]] = wire.Mount(
                    task_path=node["path"], host_path=node_path(node), read_only="w" not in _access(node)
                )
            else:
                devices[node["path"]] = wire.DeviceSpec(
                    task_path=node["path"], host_path=node_path(node), permissions=_access(node)
                )
    return wire.ContainerReservation(envs=envs, mounts=mounts.values(), devices=devices.values())


def _lost(edits: ContainerEdits, tree: Tree) -> Iterator[str]:
    for field, words in _LACKING.items():
        if edits.get(field):
            yield f"it has {words}"
    for mount in edits.get("mounts", ()):
        yield from _lost_of_mount(mount)
    for node in edits.get("deviceNodes", ()):
        yield from _lost_of_node(node, tree)


def _lost_of_mount(mount: Mount) -> Iterator[str]:
    if mount.get("type", "bind") not in ("", "bind", "none"):
        yield f"mount {mount['containerPath']} is of type {mount['type']}"
    for option in mount.get("options", ()):
        if option not in _OPTIONS:
            yield f"mount {mount['containerPath']} has the option {option}"


def _lost_of_node(node: DeviceNode, tree: Tree) -> Iterator[str]:
    """A task gets a node with the host's mode and owner, and with at least one permission."""
    if not _access(node):
        yield f"device node {node['path']} is to be without any permission"
    try:
        found = tree.lstat(node_path(node))
    except (OSError, ValueError):
        return  # the inventory says so
    of_host = {"uid": found.st_uid, "gid": found.st_gid, "fileMode": stat.S_IMODE(found.st_mode)}
    of_spec = {"uid": node.get("uid"), "gid": node.get("gid"), "fileMode": node.get("fileMode")}
    for field, value in of_spec.items():
        if value is not None and value != of_host[field]:
            shown, host = (f"{each:#o}" if field == "fileMode" else each for each in (value, of_host[field]))
            yield f"device node {node['path']} has {field} {shown}, and the host's has {host}"


def _is_pipe(node: DeviceNode, tree: Tree) -> bool:
    try:
        return stat.S_ISFIFO(tree.lstat(node_path(node)).st_mode)
    except (OSError, ValueError):
        return False


def _access(node: DeviceNode) -> str:
    access = node.get("permissions") or "rwm"
    return "" if access == "none" else access
