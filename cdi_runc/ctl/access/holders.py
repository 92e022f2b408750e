"""The containers that run now and have a device node, whoever started them, and whoever gave it to them.

Containers are found by the state of their runtimes (why/containers.py), and otherwise by their processes: one that has
a root directory and a /dev of its own is in a container, also where nobody knows its runtime's directory.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cdi_runc.cdi._files import read_file
from cdi_runc.ctl.why import containers
from cdi_runc.ctl.why.live import Node, node_in
from cdi_runc.shim.engine_records import names
from cdi_runc.shim.policy import Container

PROC = "/proc"
_KINDS = {stat.S_IFBLK: "b", stat.S_IFCHR: "c", stat.S_IFIFO: "p"}
_MAX_SIZE = 16 << 20  # bytes of a config.json
# What the cgroup of a container that has no OCI runtime is called: LXC's and Incus's, systemd-nspawn's.
_CGROUPS = (
    ("lxc", re.compile(r"/lxc(?:\.payload\.|/)([^/]+)")),
    ("systemd-nspawn", re.compile(r"/(?:machine-|systemd-nspawn@)([^/]+)\.(?:scope|service)")),
)


@dataclass(frozen=True)
class Running:
    """A container that runs: its id, its first process, and what its config and its engine's records say of it."""

    id: str
    pid: int
    engine: str = ""
    namespace: str = ""
    pod: str = ""
    name: str = ""
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def of(self) -> str:
        """Whose it is, in one word for people."""
        return "/".join(filter(None, (self.namespace, self.pod, self.name))) or self.engine or "-"


def running() -> Iterator[Running]:
    """All containers of this host that run."""
    known = [container for container in containers.everything() if container.pid]
    for container in known:
        yield _described(container)
    yield from _without_state({_mount_namespace(container.pid) for container in known})


def nodes_held(container: Running, wanted: Mapping[str, Node]) -> list[str]:
    """The paths in the container at which it has one of the wanted nodes, which are usually at these paths."""
    paths = dict.fromkeys([*wanted, *_paths_in(container.config, set(wanted.values()))])
    nodes = set(wanted.values())
    return [path for path in paths if node_in(container.pid, path) in nodes]


def node_at(path: str) -> Node | None:
    """The node at a path of the host; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    kind = _KINDS.get(stat.S_IFMT(found.st_mode))
    return Node(kind, os.major(found.st_rdev), os.minor(found.st_rdev)) if kind else None


def _described(container: containers.Container) -> Running:
    config: Any = {}
    try:
        config = json.loads(read_file(os.path.join(container.bundle, "config.json"), _MAX_SIZE))
    except (OSError, ValueError, RecursionError):
        pass  # it is gone, or the bundle is not known
    config = config if isinstance(config, dict) else {}
    says = Container(config, "", "", container.bundle)
    engine, name = says.named("engine"), says.named("container")
    name = name or names(engine, container.id, config, container.bundle)[0]
    return Running(container.id, container.pid, engine, says.named("namespace"), says.named("pod"), name, config)


def _paths_in(config: Mapping[str, Any], nodes: set[Node]) -> Iterator[str]:
    """Where the config has one of the nodes: as a device, or as a mount of the host's."""
    linux = config.get("linux")
    for device in _dicts(linux.get("devices") if isinstance(linux, dict) else ()):
        number = device.get("major"), device.get("minor")
        if any(number == (node.major, node.minor) for node in nodes):
            yield str(device.get("path"))
    for mount in _dicts(config.get("mounts")):
        source = mount.get("source")
        if isinstance(source, str) and source.startswith("/") and node_at(source) in nodes:
            yield str(mount.get("destination"))


def _dicts(value: object) -> Iterable[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _without_state(seen: set[int | None]) -> Iterator[Running]:
    """The containers in none of these mount namespaces."""
    for pid in sorted(int(name) for name in os.listdir(PROC) if name.isdecimal()):
        namespace = _mount_namespace(pid)
        if namespace is None or namespace in seen:
            continue
        seen.add(namespace)
        if _has_own(pid, "/", "st_ino") and _has_own(pid, "/dev", "st_dev"):
            engine, name = _of_cgroup(pid)
            yield Running(name, pid, engine)


def _mount_namespace(pid: int) -> int | None:
    try:
        return os.stat(f"{PROC}/{pid}/ns/mnt").st_ino
    except OSError:
        return None


def _has_own(pid: int, path: str, what: str) -> bool:
    """Whether a process has something else there than we have: services with a namespace of their own share both."""
    try:
        theirs, ours = os.stat(f"{PROC}/{pid}/root{path}"), os.stat(path)
    except OSError:
        return False
    return bool(theirs.st_dev != ours.st_dev or getattr(theirs, what) != getattr(ours, what))


def _of_cgroup(pid: int) -> tuple[str, str]:
    """The engine ('' if nobody knows) and the name of the container that a process is in."""
    try:
        with open(f"{PROC}/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
            paths = [line.rstrip("\n").split(":", 2)[-1] for line in file]
        with open(f"{PROC}/{pid}/comm", encoding="utf-8", errors="replace") as file:
            comm = file.read().strip()
    except OSError:
        return "", str(pid)
    for engine, form in _CGROUPS:
        for path in paths:
            if found := form.search(path):
                return engine, found[1]
    own = [
        path.rpartition("/")[2] for path in paths if path not in ("/", "") and not path.endswith((".slice", ".service"))
    ]
    return "", own[0] if own else comm
