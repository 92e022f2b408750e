"""What the spec files offer: the part of an inventory that changes only with them.

It keeps nothing of the specs but what is looked at again and again: of 10,000 devices they have 10 MiB in memory.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from cdi_runc.inventory import overlap
from cdi_runc.inventory.inventory import MAX_REPLICAS, REPLICAS, SERVE, WITHOUT_HARDWARE, Item
from cdi_runc.inventory.needs import Need, needs, nodes

if TYPE_CHECKING:
    from cdi_runc.cdi.registry import Device, Registry
    from cdi_runc.cdi.types import ContainerEdits, Spec
    from cdi_runc.inventory.tree import Tree

_INTERFACE = "net:"  # before the name of a network interface among the pieces of hardware


class Entry(NamedTuple):
    """A device: what it is as long as nothing is missing, where its hardware is, and what it needs on the host."""

    item: Item
    nodes: tuple[str, ...] = ()
    interfaces: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()


class Catalogue(NamedTuple):
    """All devices, in natural order. Paths of spec files are the host's.

    `needs` are those of all devices of a file, `faults` what is wrong with files and directories, and `unusable` the
    faults of those of which no device can be had.
    """

    entries: tuple[Entry, ...] = ()
    needs: Mapping[str, tuple[Need, ...]] = {}
    faults: Mapping[str, str] = {}
    unusable: Mapping[str, str] = {}

    def paths(self) -> Iterator[str]:
        """The host's paths that the devices depend on: a change there may change the inventory."""
        for needs_ in (*self.needs.values(), *(entry.needs for entry in self.entries)):
            yield from (need.path for need in needs_)


def catalogue(registry: Registry, tree: Tree) -> Catalogue:
    """The catalogue of what the registry has read."""
    files = {path: _File(path, spec, tree) for path, spec in registry.specs.items()}
    by_kind: dict[str, dict[str, Device]] = {}
    for device in registry.devices.values():
        kind, _, name = device.name.partition("=")
        by_kind.setdefault(kind, {})[name] = device
    entries = [entry for kind, devices in by_kind.items() for entry in _entries(kind, devices, files)]
    taken = {name for entry in entries for name in _names(entry.item)}
    entries += (Entry(item) for item in _disputed(registry, files) if item.qualified not in taken)
    errors = {path: tree.shown(str(errors[0])) for path, errors in registry.errors.items()}
    return Catalogue(
        tuple(sorted(entries, key=lambda entry: (entry.item.kind, overlap.natural(entry.item.name)))),
        {file.path: file.needs for file in files.values()},
        {file.path: file.fault for file in files.values() if file.fault}
        | {tree.shown(path): error for path, error in errors.items()},
        {tree.shown(path): error for path, error in errors.items() if path not in files},
    )


class _File:
    """A spec file, and what its devices have in common."""

    def __init__(self, path: str, spec: Spec, tree: Tree) -> None:
        edits = spec.get("containerEdits", {})
        self.path = tree.shown(path)
        self.version = spec["cdiVersion"]
        self.hardware = _pieces(edits)
        self.needs = tuple(needs(edits))
        self.fault = ""  # of an annotation
        self._annotations: Mapping[str, str] = spec.get("annotations", {})

    def annotations(self, device: Device) -> Mapping[str, str]:
        """A device's annotations, those of the file among them."""
        return {**self._annotations, **device.annotations} if device.annotations else self._annotations

    def shares(self, device: Device, default: int) -> int:
        """How many may have a device at a time."""
        text = self.annotations(device).get(REPLICAS)
        if text is None:
            return default
        if text.isascii() and text.isdecimal() and 1 <= int(text) <= MAX_REPLICAS:
            return int(text)
        self.fault = self.fault or f"{self.path}: {REPLICAS} is {text!r}, not a number from 1 to {MAX_REPLICAS}"
        return default


def _entries(kind: str, devices: Mapping[str, Device], files: Mapping[str, _File]) -> Iterator[Entry]:
    offered = {
        name: device for name, device in devices.items() if files[device.path].annotations(device).get(SERVE) != "false"
    }
    # A device has the hardware of the whole file, where its own edits have none.
    hardware = {name: _pieces(device.edits) or files[device.path].hardware for name, device in offered.items()}
    same = overlap.aliases({name: hardware[name] or _identity(device) for name, device in offered.items()})
    made = overlap.composites({name: hardware[name] for name in same if hardware[name]})
    for name, aliases in same.items():
        device, file, pieces = offered[name], files[offered[name].path], sorted(hardware[name])
        yield Entry(
            Item(
                kind=kind,
                name=name,
                path=file.path,
                version=file.version,
                shares=file.shares(device, 1 if pieces else WITHOUT_HARDWARE),
                aliases=aliases,
                parts=made.get(name, ()),
                annotations=file.annotations(device),
            ),
            tuple(piece for piece in pieces if not piece.startswith(_INTERFACE)),
            tuple(piece.removeprefix(_INTERFACE) for piece in pieces if piece.startswith(_INTERFACE)),
            tuple(needs(device.edits)),
        )


def _pieces(edits: ContainerEdits) -> overlap.Hardware:
    interfaces = (f"{_INTERFACE}{device['hostInterfaceName']}" for device in edits.get("netDevices", ()))
    return frozenset((*nodes(edits), *interfaces))


def _identity(device: Device) -> Hashable:
    """What two devices without hardware have in common if they are the same: their edits, if they have some."""
    return repr(device.edits) if any(device.edits.values()) else device.name


def _names(item: Item) -> Iterator[str]:
    yield item.qualified
    yield from (f"{item.kind}={alias}" for alias in item.aliases)


def _disputed(registry: Registry, files: Mapping[str, _File]) -> Iterator[Item]:
    """The devices that several files define, so that nobody can have them."""
    for name, paths in registry.conflicts.items():
        kind, _, device = name.partition("=")
        first, *_ = shown = [files[path].path for path in paths]
        yield Item(kind, device, first, files[paths[0]].version, f"it is defined in {' and in '.join(shown)}")
