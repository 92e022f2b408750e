"""All edits of some devices together, as the shim would make them: if several set the same thing, the last one counts.

Nodes keep what an OCI config does not say: the path on the host, and the permissions that are asked for.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cdi_runc.cdi.edits import apply, oci_device

if TYPE_CHECKING:
    from cdi_runc.cdi.injection import Group
    from cdi_runc.cdi.types import DeviceNode


@dataclass(frozen=True)
class Node:
    """A device node: its path in the container and on the host, its numbers, and what the spec says of rights.

    access: of "rwm", '' if the spec allows nothing. given: fileMode, uid and gid, if the spec gives them.
    on_host: whether host_path is there. has_own_owner: whether `given` differs from the host's node.
    """

    path: str
    host_path: str
    type: str
    major: int
    minor: int
    mode: int | None
    access: str
    given: dict[str, int]
    on_host: bool
    has_own_owner: bool

    @property
    def numbers(self) -> str:
        """As a rule of a device cgroup has them: `c 1:3`."""
        return f"{self.type} {self.major}:{self.minor}"


@dataclass(frozen=True)
class Mount:
    """A mount. `type` is "bind" for every kind of bind mount."""

    source: str
    target: str
    type: str
    options: tuple[str, ...]

    @property
    def read_only(self) -> bool:
        """Whether the mount is read-only. The last one of `ro` and `rw` counts."""
        said = [option for option in self.options if option in ("ro", "rw")]
        return said[-1:] == ["ro"]

    @property
    def is_directory(self) -> bool:
        """Whether a directory is mounted, as the host has it now."""
        return self.type != "bind" or os.path.isdir(self.source)


@dataclass(frozen=True)
class Edits:
    """The edits of the devices `names`, each list in the order in which it is to be made."""

    names: Sequence[str]
    nodes: Sequence[Node]
    mounts: Sequence[Mount]
    env: Sequence[tuple[str, str]]
    gids: Sequence[int]
    hooks: Sequence[tuple[str, dict[str, Any]]]
    net: Sequence[tuple[str, str]]
    rdt: dict[str, Any]
    config: dict[str, Any]  # the same as a part of an OCI config

    @property
    def asked(self) -> str:
        """The value by which a container asks for just these devices."""
        return ",".join(self.names)


def edits_of(names: Sequence[str], groups: Sequence[Group]) -> Edits:
    """The edits of `groups` (what `resolve` gives for `names`) taken together. Raises InjectionError."""
    config: dict[str, Any] = {}
    apply(config, groups)
    process, linux = config.get("process", {}), config.get("linux", {})
    nodes = {node["path"]: node for _, edits in groups for node in edits.get("deviceNodes", ())}
    return Edits(
        names=list(names),
        nodes=[_node(nodes[device["path"]]) for device in linux.get("devices", ())],
        mounts=[_mount(mount) for mount in config.get("mounts", ())],
        env=[(entry.partition("=")[0], entry.partition("=")[2]) for entry in process.get("env", ())],
        gids=process.get("user", {}).get("additionalGids", ()),
        hooks=[(name, hook) for name, hooks in config.get("hooks", {}).items() for hook in hooks],
        net=[(interface, device["name"]) for interface, device in linux.get("netDevices", {}).items()],
        rdt=linux.get("intelRdt", {}),
        config=config,
    )


_OWNER: tuple[Literal["fileMode", "uid", "gid"], ...] = ("fileMode", "uid", "gid")


def _node(node: DeviceNode) -> Node:
    device, access = oci_device(node), node.get("permissions") or "rwm"
    given: dict[str, int] = {field: node[field] for field in _OWNER if field in node}
    host_path = node.get("hostPath") or node["path"]
    try:
        found = os.stat(host_path)
    except (OSError, ValueError):
        found = None
    of_host = found and {"fileMode": stat.S_IMODE(found.st_mode), "uid": found.st_uid, "gid": found.st_gid}
    return Node(
        path=node["path"],
        host_path=host_path,
        type=device["type"],
        major=device["major"],
        minor=device["minor"],
        mode=device.get("fileMode"),
        access="" if access == "none" else access,
        given=given,
        on_host=found is not None,
        has_own_owner=not (of_host and given.items() <= of_host.items()) and bool(given),
    )


def _mount(mount: dict[str, Any]) -> Mount:
    options = tuple(mount.get("options", ()))
    type_ = mount.get("type", "")
    bind = type_ in ("", "none", "bind") or bool({"bind", "rbind"} & set(options))
    kept = tuple(option for option in options if not bind or option != "bind")
    target = posixpath.normpath(f"/{mount['destination']}")
    return Mount(mount.get("source", ""), target.replace("//", "/"), "bind" if bind else type_, kept)
