"""Where in the machine a device is, as /sys says: NUMA nodes, PCI address, PCIe root (Linux, Documentation/ABI)."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cdi_runc.inventory.tree import Tree

_PCI = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_ROOT = re.compile(r"pci[0-9a-f]{4,}:[0-9a-f]{2}")
_VFIO = re.compile(r"/dev/vfio/([0-9]+)")


class Place(NamedTuple):
    """NUMA nodes, sorted; the PCI address and PCIe root, or '' where there is none or more than one."""

    numa: tuple[int, ...] = ()
    pci: str = ""
    root: str = ""


NOWHERE = Place()


def place(nodes: Iterable[str], interfaces: Iterable[str], tree: Tree) -> Place:
    """Where the hardware is that these device nodes and network interfaces of the host belong to."""
    found = {
        os.path.realpath(entry)
        for entry in (
            *(entry for node in nodes for entry in _of_node(node, tree)),
            *(f"{tree.sys}/class/net/{name}/device" for name in interfaces),
        )
        if os.path.exists(entry)
    }
    numa = {number for path in found if (number := _numa(path, tree.sys)) is not None}
    addresses = {address for path in found if (address := _last(_PCI, path))}
    roots = {root for path in found if (root := _last(_ROOT, path))}
    return Place(tuple(sorted(numa)), _only(addresses), _only(roots))


def _of_node(node: str, tree: Tree) -> Iterator[str]:
    """The entries of /sys for a device node; a VFIO group has the devices of its IOMMU group."""
    group = _VFIO.fullmatch(node)
    if group:
        directory = f"{tree.sys}/kernel/iommu_groups/{group[1]}/devices"
        if os.path.isdir(directory):
            yield from (f"{directory}/{name}" for name in os.listdir(directory))
        return
    try:
        info = tree.lstat(node)
    except (OSError, ValueError):
        return
    kind = "block" if stat.S_ISBLK(info.st_mode) else "char" if stat.S_ISCHR(info.st_mode) else ""
    if kind:  # a pipe has no number
        yield f"{tree.sys}/dev/{kind}/{os.major(info.st_rdev)}:{os.minor(info.st_rdev)}"


def _numa(path: str, sys: str) -> int | None:
    """The NUMA node of the nearest device on the way up that has one; the kernel says -1 where it does not know."""
    end = os.path.realpath(sys)
    while path.startswith(f"{end}/"):
        try:
            with open(f"{path}/numa_node", encoding="ascii") as file:
                number = int(file.read())
        except (OSError, ValueError):
            path = os.path.dirname(path)
            continue
        return number if number >= 0 else None
    return None


def _last(pattern: re.Pattern[str], path: str) -> str:
    return next((part for part in reversed(path.split("/")) if pattern.fullmatch(part)), "")


def _only(values: set[str]) -> str:
    return values.pop() if len(values) == 1 else ""
