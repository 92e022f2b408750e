"""What container edits need on the host: device nodes, mount sources and hooks; what of it is not there, and why.

A network interface is not among it. While a container has it, the host does not, so that its absence says nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cdi_runc.cdi.types import ContainerEdits, DeviceNode
    from cdi_runc.inventory.tree import Tree

NODE, SOURCE, HOOK = "device node", "mount source", "hook"

_TYPES = {stat.S_IFBLK: "b", stat.S_IFCHR: "c", stat.S_IFIFO: "p"}


class Need(NamedTuple):
    """One thing that must be there. `type` and `number` are those of a device node, where the spec gives them."""

    what: str
    path: str
    type: str = ""
    number: tuple[int, int] | None = None


def node_path(node: DeviceNode) -> str:
    """Where the host has the node."""
    return node.get("hostPath") or node["path"]


def nodes(edits: ContainerEdits) -> Iterator[str]:
    """The host's device nodes."""
    return map(node_path, edits.get("deviceNodes", ()))


def needs(edits: ContainerEdits) -> Iterator[Need]:
    """All that the edits need of the host."""
    for node in edits.get("deviceNodes", ()):
        # As the reference: a major number of 0 means that the host is asked for both.
        number = (node["major"], node.get("minor", 0)) if node.get("major") else None
        yield Need(NODE, node_path(node), node.get("type", "").replace("u", "c"), number)
    for mount in edits.get("mounts", ()):
        if mount.get("type", "bind") in ("", "bind", "none"):
            yield Need(SOURCE, mount["hostPath"])
    for hook in edits.get("hooks", ()):
        yield Need(HOOK, hook["path"])


def missing(needs: Iterable[Need], tree: Tree) -> str:
    """The first of the needs that the host does not have as it should be, with its path; '' if all is there."""
    for need in needs:
        fault = _fault(need, tree)
        if fault:
            return f"{need.what} {need.path}: {fault}"
    return ""


def _fault(need: Need, tree: Tree) -> str:
    try:
        if need.what == NODE:
            return _wrong_node(need, tree.lstat(need.path))
        found = tree.stat(need.path)
    except OSError as error:
        return error.strerror or str(error)
    except ValueError:
        return "it cannot be the name of a file"
    return "it is not an executable file" if need.what == HOOK and not _executable(found) else ""


def _wrong_node(need: Need, found: os.stat_result) -> str:
    """Why what is there is not the node that the spec says; '' if it is."""
    kind = _TYPES.get(stat.S_IFMT(found.st_mode))
    if kind is None:
        return "it is a link, and engines do not follow it" if stat.S_ISLNK(found.st_mode) else "it is not a device"
    if need.type not in ("", kind):
        return f"it is of type {kind}, and the spec says {need.type}"
    number = os.major(found.st_rdev), os.minor(found.st_rdev)
    if need.number and kind != "p" and need.number != number:
        return "it is {}:{}, and the spec says {}:{}".format(*number, *need.number)
    return ""


def _executable(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and bool(found.st_mode & 0o111)
