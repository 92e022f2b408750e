"""What a running container sees of a device: the node in its file system, and the rule of its cgroup, from /proc."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

_CGROUPS = "/sys/fs/cgroup"


@dataclass(frozen=True)
class Node:
    """A device node's type (b, c or p) and numbers."""

    type: str
    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.type} {self.major}:{self.minor}"


def node_in(pid: int, path: str) -> Node | None:
    """The device node or pipe at a path in the container of this process; None where there is none.

    The path is followed from directory to directory without leaving the container by a link of its own.
    """
    try:
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        *directories, name = [part for part in path.split("/") if part not in ("", ".")]
        for directory in directories:
            inner = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=root)
            os.close(root)
            root = inner
        found = os.stat(name, dir_fd=root, follow_symlinks=False)
    except (OSError, ValueError):
        return None
    finally:
        os.close(root)
    kind = {stat.S_IFBLK: "b", stat.S_IFCHR: "c", stat.S_IFIFO: "p"}.get(stat.S_IFMT(found.st_mode))
    return Node(kind, os.major(found.st_rdev), os.minor(found.st_rdev)) if kind else None


def access(pid: int, node: Node) -> tuple[bool | None, str]:
    """Whether the container's cgroup lets it open the device, and that in words; None where nobody can tell."""
    if node.type == "p":
        return True, "and cgroups have no say in pipes"
    rules = _rules(pid)
    if rules is None:
        return None, "and whether it may be opened is known to the kernel alone (cgroup v2 keeps it in a BPF program)"
    for rule in rules:
        if allows(rule, node):
            return True, f"and its cgroup allows it: {rule}"
    return False, "but its cgroup does not allow it"


def allows(rule: str, node: Node) -> bool:
    """Whether a line of a cgroup's devices.list lets the device be opened (kernel, cgroup-v1/devices.rst).

    >>> null = Node("c", 1, 3)
    >>> [allows(rule, null) for rule in ("c 1:* r", "a *:* rwm", "b 1:3 rwm", "c *:* m")]
    [True, True, False, False]
    """
    kind, numbers, how = rule.split(" ", 2)
    major, _, minor = numbers.partition(":")
    same = kind in ("a", node.type) and major in ("*", str(node.major)) and minor in ("*", str(node.minor))
    return same and bool({"r", "w"} & set(how))


def _rules(pid: int) -> list[str] | None:
    """The lines of the devices.list over a process; None where there is none, as on cgroup v2."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            lines = [line.rstrip("\n").split(":", 2) for line in file]
        path = next(path for _, controllers, path in lines if "devices" in controllers.split(","))
        with open(f"{_CGROUPS}/devices{path}/devices.list", encoding="utf-8") as file:
            return file.read().splitlines()
    except (OSError, StopIteration):
        return None
