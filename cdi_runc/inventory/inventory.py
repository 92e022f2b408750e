"""The inventory of a node: what there is to hand out, as a pure function of its specs, /sys and /dev.

It reads no spec and watches nothing. Who offers the devices gets a whole inventory each time, and compares.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cdi_runc.inventory import overlap
from cdi_runc.inventory.needs import missing, needed, nodes
from cdi_runc.inventory.topology import NOWHERE, Place, place

if TYPE_CHECKING:
    from cdi_runc.cdi.registry import Device, Registry
    from cdi_runc.cdi.types import ContainerEdits
    from cdi_runc.inventory.tree import Tree

REPLICAS = "cdi-runc/replicas"  # annotations of a spec or a device: how many may have it at a time,
SERVE = "cdi-runc/serve"  # and how it is offered: "false" for not at all, or one of these for no other way
DEVICE_PLUGIN, DRA = "device-plugin", "dra"
WITHOUT_HARDWARE = 100  # how many may have a device that is no hardware, as far as the spec says
MAX_REPLICAS = 1000


@dataclass(frozen=True)
class Item:
    """A device that can be handed out; `fault` says why it cannot be at the moment.

    `gone` is whether none of its device nodes is there: the hardware is unplugged, not merely unusable.
    `aliases` are its other names in the same kind. `parts` are the names of the devices that it is made of: those
    cannot be had while it is in use, nor it while one of them is. `shares` is how many may have it at a time.
    """

    kind: str
    name: str
    path: str
    version: str
    fault: str = ""
    gone: bool = False
    place: Place = NOWHERE
    shares: int = 1
    aliases: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def qualified(self) -> str:
        """The name by which an engine is asked for it."""
        return f"{self.kind}={self.name}"

    def is_offered(self, way: str) -> bool:
        """Whether it is offered that way, since nobody has said that it is only another."""
        return self.annotations.get(SERVE, "true") in ("true", way)


@dataclass(frozen=True)
class Inventory:
    """All items by kind and name, in natural order, and what is wrong with files, by path.

    `paths` are the host's paths that the items depend on: a change there may change the inventory.
    """

    kinds: Mapping[str, Mapping[str, Item]] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    paths: frozenset[str] = frozenset()

    def find(self, qualified: str) -> Item | None:
        """The item of that qualified name, or with that alias; None if there is none."""
        kind, _, name = qualified.partition("=")
        items = self.kinds.get(kind, {})
        return items.get(name) or next((item for item in items.values() if name in item.aliases), None)

    def __iter__(self) -> Iterator[Item]:
        return (item for items in self.kinds.values() for item in items.values())

    def __len__(self) -> int:
        return sum(map(len, self.kinds.values()))


def take(registry: Registry, tree: Tree, before: Inventory | None = None) -> Inventory:
    """The inventory of what the registry has read.

    A device of the inventory `before` whose file has become unusable is in it still, with the reason: who has it should
    learn why it cannot be had again. A device whose file is gone, or whose file does not name it any more, is not.
    """
    faults = {tree.shown(path): tree.shown(str(errors[0])) for path, errors in registry.errors.items()}
    by_kind: dict[str, dict[str, Device]] = {}
    for device in registry.devices.values():
        kind, _, name = device.name.partition("=")
        by_kind.setdefault(kind, {})[name] = device
    look = _Look(registry, tree, faults)
    kinds = {kind: look.items(kind, devices) for kind, devices in by_kind.items()}
    for item in (*_disputed(registry, tree), *_broken(before or Inventory(), registry, tree)):
        items = kinds.setdefault(item.kind, {})
        if not any(item.name == name or item.name in other.aliases for name, other in items.items()):
            items[item.name] = item
    ordered = {
        kind: {name: kinds[kind][name] for name in sorted(kinds[kind], key=overlap.natural)} for kind in sorted(kinds)
    }
    return Inventory({kind: items for kind, items in ordered.items() if items}, faults, frozenset(look.paths))


class _Look:
    """One look at the host. The edits of a whole spec file are the same for all its devices, so it looks once."""

    def __init__(self, registry: Registry, tree: Tree, faults: dict[str, str]) -> None:
        self.registry = registry
        self.tree = tree
        self.faults = faults
        self.paths: set[str] = set()
        self._of_specs: dict[str, str] = {}

    def items(self, kind: str, devices: Mapping[str, Device]) -> dict[str, Item]:
        """The items of one kind."""
        offered = {name: device for name, device in devices.items() if self._annotation(device, SERVE) != "false"}
        same = overlap.aliases({name: _identity(device) for name, device in offered.items()})
        made = overlap.composites({name: hardware for name in same if (hardware := _hardware(offered[name]))})
        return {
            name: self._item(kind, name, offered[name], others, made.get(name, ())) for name, others in same.items()
        }

    def _item(self, kind: str, name: str, device: Device, aliases: tuple[str, ...], parts: tuple[str, ...]) -> Item:
        spec = self.registry.specs[device.path]
        hardware = _hardware(device)
        fault = self._fault(device)
        return Item(
            kind=kind,
            name=name,
            path=self.tree.shown(device.path),
            version=spec["cdiVersion"],
            fault=fault,
            gone=bool(fault) and self._is_gone(hardware),
            place=place(
                [piece for piece in hardware if piece.startswith("/")],
                [piece.removeprefix("net:") for piece in hardware if piece.startswith("net:")],
                self.tree,
            ),
            shares=self._shares(device, 1 if hardware else WITHOUT_HARDWARE),
            aliases=aliases,
            parts=parts,
            annotations={**spec.get("annotations", {}), **device.annotations},
        )

    def _fault(self, device: Device) -> str:
        self.paths.update(needed(device.edits))
        if device.path not in self._of_specs:
            self.paths.update(needed(device.spec_edits))
            self._of_specs[device.path] = missing(device.spec_edits, self.tree)
        return missing(device.edits, self.tree) or self._of_specs[device.path]

    def _is_gone(self, hardware: overlap.Hardware) -> bool:
        paths = [piece for piece in hardware if piece.startswith("/")]
        return bool(paths) and not any(self.tree.exists(path) for path in paths)

    def _shares(self, device: Device, default: int) -> int:
        text = self._annotation(device, REPLICAS)
        if text is None:
            return default
        if text.isascii() and text.isdecimal() and 1 <= int(text) <= MAX_REPLICAS:
            return int(text)
        path = self.tree.shown(device.path)
        self.faults.setdefault(path, f"{path}: {REPLICAS} is {text!r}, not a number from 1 to {MAX_REPLICAS}")
        return default

    def _annotation(self, device: Device, key: str) -> str | None:
        of_spec = self.registry.specs[device.path].get("annotations", {})
        return device.annotations.get(key, of_spec.get(key))


def _hardware(device: Device) -> overlap.Hardware:
    """What a device is made of on the host; where its own edits have nothing, what those of the whole file have."""
    return _pieces(device.edits) or _pieces(device.spec_edits)


def _pieces(edits: ContainerEdits) -> overlap.Hardware:
    interfaces = (f"net:{device['hostInterfaceName']}" for device in edits.get("netDevices", ()))
    return frozenset((*nodes(edits), *interfaces))


def _identity(device: Device) -> Hashable:
    """What two devices of a kind have in common if they are the same: hardware, else edits; nothing if neither is."""
    return _hardware(device) or (repr(device.edits) if any(device.edits.values()) else device.name)


def _disputed(registry: Registry, tree: Tree) -> Iterable[Item]:
    """The devices that several files define, so that nobody can have them."""
    for name, paths in registry.conflicts.items():
        kind, _, device = name.partition("=")
        shown = [tree.shown(path) for path in paths]
        version = registry.specs[paths[0]]["cdiVersion"]
        yield Item(kind, device, shown[0], version, f"it is defined in {' and in '.join(shown)}")


def _broken(before: Inventory, registry: Registry, tree: Tree) -> Iterable[Item]:
    """The items of before whose file, or its directory, cannot be read any more."""
    for item in before:
        path = tree.root + item.path
        errors = registry.errors.get(path) or registry.errors.get(os.path.dirname(path))
        if errors and path not in registry.specs:
            yield dataclasses.replace(item, fault=tree.shown(str(errors[0])))
