"""A look at the host: the inventory as a pure function of the catalogue, /sys and /dev. It watches nothing."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cdi_runc.inventory.inventory import Inventory, Item
from cdi_runc.inventory.needs import missing
from cdi_runc.inventory.overlap import natural
from cdi_runc.inventory.topology import place
from cdi_runc.inventory.tree import Glance

if TYPE_CHECKING:
    from cdi_runc.inventory.catalogue import Catalogue, Entry
    from cdi_runc.inventory.tree import Tree


def take(catalogue: Catalogue, tree: Tree, before: Inventory) -> Inventory:
    """The inventory now.

    A device of the inventory `before` whose file has become unusable is in it still, with the reason: who has it should
    learn why it cannot be had again. A device whose file is gone, or whose file does not name it any more, is not.
    Items that are as before are the same objects, so that a look that finds nothing new leaves nothing in memory.
    """
    glance = Glance(tree)
    faults = {path: missing(needs, glance) for path, needs in catalogue.needs.items()}
    kinds: dict[str, dict[str, Item]] = {}
    for entry in catalogue.entries:
        kind, name = entry.item.kind, entry.item.name
        item = _now(entry, faults.get(entry.item.path, ""), glance)
        old = before.kinds.get(kind, {}).get(name)
        kinds.setdefault(kind, {})[name] = old if old and item is not entry.item and item == old else item
    broken = [item for item in _broken(before, catalogue) if not _is_named(item.name, kinds.get(item.kind, {}))]
    for item in broken:
        kinds.setdefault(item.kind, {})[item.name] = item
    for kind in {item.kind for item in broken}:
        kinds[kind] = {name: kinds[kind][name] for name in sorted(kinds[kind], key=natural)}
    return Inventory({kind: kinds[kind] for kind in sorted(kinds)}, catalogue.faults)


def _now(entry: Entry, of_file: str, tree: Tree) -> Item:
    """The item as it is at the moment. `of_file` is what all devices of its file lack."""
    item = entry.item
    fault = item.fault or missing(entry.needs, tree) or of_file
    gone = bool(fault and entry.nodes) and not any(map(tree.exists, entry.nodes))
    where = place(entry.nodes, entry.interfaces, tree)
    if (fault, gone, where) == (item.fault, item.gone, item.place):
        return item
    return dataclasses.replace(item, fault=fault, gone=gone, place=where)


def _broken(before: Inventory, catalogue: Catalogue) -> Iterator[Item]:
    """The items of before whose file, or its directory, cannot be read any more."""
    if catalogue.unusable:
        for item in before:
            fault = catalogue.unusable.get(item.path) or catalogue.unusable.get(os.path.dirname(item.path))
            if fault:
                yield dataclasses.replace(item, fault=fault)


def _is_named(name: str, items: dict[str, Item]) -> bool:
    return name in items or any(name in item.aliases for item in items.values())
