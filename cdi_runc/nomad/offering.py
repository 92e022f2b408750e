"""The inventory as Nomad expects it: a group of devices for each kind, with attributes for a job's constraints."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from cdi_runc.nomad.wire import device_pb2 as wire

if TYPE_CHECKING:
    from cdi_runc.inventory.inventory import Inventory, Item

NAME = "cdi"  # Nomad's third part of a device's name, behind vendor and class

_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")


def offer(inventory: Inventory, fault: Callable[[Item], str]) -> wire.FingerprintResponse:
    """All devices, with what `fault` says against them.

    A device that is made of others is left out: Nomad has no way to say that two devices exclude each other.
    """
    groups = []
    for kind, items in inventory.kinds.items():
        offered = [item for item in items.values() if not item.parts]
        if offered:
            vendor, _, class_ = kind.partition("/")
            groups.append(
                wire.DeviceGroup(
                    vendor=vendor,
                    device_type=class_,
                    device_name=NAME,
                    devices=[_device(item, fault(item)) for item in offered],
                    attributes={name: _attribute(value) for name, value in attributes(offered).items()},
                )
            )
    return wire.FingerprintResponse(device_group=groups)


def attributes(items: Iterable[Item]) -> Mapping[str, str | int]:
    """What is the same for all of these. Nomad has attributes of groups, and none of single devices."""
    first, *others = (_attributes(item) for item in items)
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def _attributes(item: Item) -> dict[str, str | int]:
    found: dict[str, str | int] = {"spec_file": item.path, "cdi_version": item.version}
    if len(item.place.numa) == 1:
        found["numa_node"] = item.place.numa[0]
    if item.place.pci:
        found["pci_bus_id"] = item.place.pci
    for key in sorted(item.annotations):
        found.setdefault(f"annotation_{_NO_NAME.sub('_', key)}", item.annotations[key])
    return found


def _attribute(value: str | int) -> wire.Attribute:
    return wire.Attribute(int_val=value) if isinstance(value, int) else wire.Attribute(string_val=value)


def _device(item: Item, fault: str) -> wire.DetectedDevice:
    locality = wire.DeviceLocality(pci_bus_id=item.place.pci) if item.place.pci else None
    return wire.DetectedDevice(ID=item.qualified, healthy=not fault, health_description=fault, hw_locality=locality)
