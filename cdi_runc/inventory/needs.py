"""What container edits need on the host: device nodes, mount sources and hooks; what of it is not there, and why.

A network interface is not among it. While a container has it, the host does not, so that its absence says nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cdi_runc.cdi.types import ContainerEdits, DeviceNode
    from cdi_runc.inventory.tree import Tree

_TYPES = {stat.S_IFBLK: "b", stat.S_IFCHR: "c", stat.S_IFIFO: "p"}


def node_path(node: DeviceNode) -> str:
    """Where the host has the node."""
    return node.get("hostPath") or node["path"]


def nodes(edits: ContainerEdits) -> tuple[str, ...]:
    """The host's device nodes, sorted, each once."""
    return tuple(sorted({node_path(node) for node in edits.get("deviceNodes", ())}))


def needed(edits: ContainerEdits) -> Iterator[str]:
    """All paths of the host that the edits need."""
    yield from nodes(edits)
    yield from _sources(edits)
    for hook in edits.get("hooks", ()):
        yield hook["path"]


def missing(edits: ContainerEdits, tree: Tree) -> str:
    """The first thing that the edits need and the host does not have, with its path; '' if all is there."""
    for fault in _faults(edits, tree):
        return fault
    return ""


def _faults(edits: ContainerEdits, tree: Tree) -> Iterator[str]:
    for node in edits.get("deviceNodes", ()):
        path = node_path(node)
        try:
            fault = _wrong_node(node, tree.lstat(path))
        except (OSError, ValueError) as error:
            fault = _reason(error)
        if fault:
            yield f"device node {path}: {fault}"
    for path in _sources(edits):
        try:
            tree.stat(path)
        except (OSError, ValueError) as error:
            yield f"mount source {path}: {_reason(error)}"
    for hook in edits.get("hooks", ()):
        path = hook["path"]
        try:
            if not _executable(tree.stat(path)):
                yield f"hook {path}: it is not an executable file"
        except (OSError, ValueError) as error:
            yield f"hook {path}: {_reason(error)}"


def _sources(edits: ContainerEdits) -> Iterator[str]:
    for mount in edits.get("mounts", ()):
        if mount.get("type", "bind") in ("", "bind", "none"):
            yield mount["hostPath"]


def _wrong_node(node: DeviceNode, found: os.stat_result) -> str:
    """Why what is there is not the node that the spec says; '' if it is."""
    kind = _TYPES.get(stat.S_IFMT(found.st_mode))
    if kind is None:
        return "it is a link, and engines do not follow it" if stat.S_ISLNK(found.st_mode) else "it is not a device"
    wanted = node.get("type", kind).replace("u", "c")
    if kind != wanted:
        return f"it is of type {kind}, and the spec says {wanted}"
    major, minor = os.major(found.st_rdev), os.minor(found.st_rdev)
    # As the reference: a major number of 0 means that the host is asked for both.
    if node.get("major") and kind != "p" and (major, minor) != (node["major"], node.get("minor", 0)):
        return f"it is {major}:{minor}, and the spec says {node['major']}:{node.get('minor', 0)}"
    return ""


def _executable(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and bool(found.st_mode & 0o111)


def _reason(error: OSError | ValueError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it cannot be the name of a file"
