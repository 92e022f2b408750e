"""The inventory as ResourceSlices (k8s.io/api resource/v1): what the scheduler sees of a node's devices.

A pure function. What a version of the API lacks, or the cluster's feature gates drop, is left out in the way that can
do no harm: without taints no sick device is offered, without counters none that is made of others.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cdi_runc.inventory.inventory import DRA
from cdi_runc.kubernetes.names import device_label

if TYPE_CHECKING:
    from cdi_runc.inventory.inventory import Inventory, Item

DRIVER = "cdi-runc"
VERSIONS = ("v1", "v1beta2", "v1beta1")  # the best first
TAINTS, COUNTERS, SHARES = "taints", "consumesCounters", "allowMultipleAllocations"  # fields behind gates
GATED = frozenset({TAINTS, COUNTERS, SHARES})
MAX_DEVICES, MAX_DEVICES_WITH_MORE = 128, 64  # in a slice; with taints or counters
MAX_COUNTERS, MAX_SETS = 32, 2  # counters in a set, sets that a device can take of
MAX_SETS_IN_SLICE = 8
MAX_ATTRIBUTES = 31  # one less than the API's 32, which counts the capacity too
MAX_STRING = 64  # bytes
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")
_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")
_OURS = "cdi-runc/"

Object = dict[str, Any]


def specs(inventory: Inventory, node: str, version: str, fields: frozenset[str] = GATED) -> list[Object]:
    """The `spec` of each slice of a node's pool, but for the pool's generation; one without devices if there are none.

    `fields` are the gated fields that this cluster keeps.
    """
    sets, taken = _counters(inventory) if COUNTERS in fields else ([], {})
    devices = [
        _device(item, version, fields, taken.get(item.qualified, []))
        for item in inventory
        if item.is_offered(DRA) and (TAINTS in fields or not item.fault) and (not item.parts or item.qualified in taken)
    ]
    parts: list[Object] = [{"sharedCounters": chunk} for chunk in _chunks(sets, MAX_SETS_IN_SLICE)]
    more = any({TAINTS, COUNTERS} & (device.get("basic") or device).keys() for device in devices)
    parts += [{"devices": chunk} for chunk in _chunks(devices, MAX_DEVICES_WITH_MORE if more else MAX_DEVICES)]
    parts = parts or [{"devices": []}]
    pool = {"name": node, "resourceSliceCount": len(parts)}
    return [{"driver": DRIVER, "nodeName": node, "pool": pool, **part} for part in parts]


def slice_name(number: int, node: str) -> str:
    """The name of a slice; they are looked at in the order of their names.

    >>> slice_name(0, "node-1")
    '00000-cdi-runc-node-1'
    """
    return f"{number:05}-{DRIVER}-{node}"[:253].rstrip("-.")


def labels(inventory: Inventory) -> dict[str, Item]:
    """The items by the names that slices have for them."""
    return {device_label(item.kind, item.name): item for item in inventory}


def same(wanted: Object, found: Object) -> bool:
    """Whether the server has what was sent, apart from the generation and what it fills in itself."""
    return bool(_plain(wanted) == _plain(found))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        plain = {key: _plain(each) for key, each in value.items() if key not in ("timeAdded", "generation")}
        return {key: each for key, each in plain.items() if each not in (None, [], {})}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def dropped(sent: Object, kept: Object) -> set[str]:
    """The gated fields that are in what was sent, and not in what the server made of it."""
    lost = set()
    for mine, theirs in zip(sent.get("devices", ()), kept.get("devices") or (), strict=False):
        mine, theirs = mine.get("basic", mine), theirs.get("basic", theirs)
        lost |= {field for field in GATED if mine.get(field) and not theirs.get(field)}
    if sent.get("sharedCounters") and not kept.get("sharedCounters"):
        lost.add(COUNTERS)
    return lost


def _device(item: Item, version: str, fields: frozenset[str], counters: list[Object]) -> Object:
    device: Object = {"attributes": dict(list(_attributes(item))[:MAX_ATTRIBUTES])}
    if item.fault and TAINTS in fields:
        device[TAINTS] = [{"key": f"{_OURS}unhealthy", "effect": "NoExecute" if item.gone else "NoSchedule"}]
    if counters:
        device[COUNTERS] = counters
    elif item.shares > 1 and SHARES in fields:
        device[SHARES] = True
        one = {"default": "1", "validRange": {"min": "1", "step": "1"}}
        device["capacity"] = {"shares": {"value": str(item.shares), "requestPolicy": one}}
    name = device_label(item.kind, item.name)
    return {"name": name, "basic": device} if version == "v1beta1" else {"name": name, **device}


def _attributes(item: Item) -> Iterator[tuple[str, Object]]:
    yield "kind", {"string": short(item.kind)}
    yield "name", {"string": short(item.name)}
    yield "spec", {"string": short(item.path)}
    yield "cdiVersion", {"version": item.version.removeprefix("v")}
    if len(item.place.numa) == 1:
        yield "numaNode", {"int": item.place.numa[0]}
    if item.place.pci:
        yield "resource.kubernetes.io/pciBusID", {"string": item.place.pci}
    if item.place.root:
        yield "resource.kubernetes.io/pcieRoot", {"string": item.place.root}
    for number, alias in enumerate(item.aliases[:4]):
        yield f"alias{number}", {"string": short(alias)}
    for key, value in sorted(item.annotations.items()):
        domain, _, name = key.rpartition("/")
        identifier = re.sub(r"[^A-Za-z0-9_]", "_", name)
        if key.startswith(_OURS) or domain == "resource.kubernetes.io" or len(value.encode()) > MAX_STRING or not value:
            continue
        if _IDENTIFIER.fullmatch(identifier) and _DOMAIN.fullmatch(domain):
            yield f"{domain}/{identifier}", {"string": value}


def short(text: str) -> str:
    """The text, or a hash of it where it is longer than an attribute can be."""
    if len(text.encode()) <= MAX_STRING:
        return text
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()[:32]


def _counters(inventory: Inventory) -> tuple[list[Object], dict[str, list[Object]]]:
    """The counter sets, and what each device takes of them: each part of a composite is a counter of 1.

    Composites with parts in common have them in the same sets. One of more parts than two sets hold has no place.
    """
    sets: list[Object] = []
    taken: dict[str, list[Object]] = {}
    for kind, items in inventory.kinds.items():
        for group in _groups({name: item.parts for name, item in items.items() if item.parts}):
            parts = sorted({part for composite in group for part in items[composite].parts if part in items})
            if len(parts) > MAX_COUNTERS * MAX_SETS:
                continue
            place: dict[str, str] = {}
            for chunk in _chunks(parts, MAX_COUNTERS):
                name = device_label(kind, f"set-{chunk[0]}")
                place |= dict.fromkeys(chunk, name)
                sets.append({"name": name, "counters": {device_label(kind, part): {"value": "1"} for part in chunk}})
            for name in (*parts, *group):
                taken[items[name].qualified] = _consumption(kind, items[name].parts or (name,), place)
    return sets, taken


def _consumption(kind: str, parts: Iterable[str], place: Mapping[str, str]) -> list[Object]:
    """What a device of these parts takes, by set."""
    by_set: dict[str, Object] = {}
    for part in parts:
        if part in place:
            by_set.setdefault(place[part], {})[device_label(kind, part)] = {"value": "1"}
    return [{"counterSet": name, "counters": counters} for name, counters in by_set.items()]


def _groups(composites: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The composites in groups that have no part in common."""
    groups: list[tuple[set[str], list[str]]] = []
    for name, parts in composites.items():
        together = [group for group in groups if group[0] & set(parts)]
        merged = (
            set(parts).union(*(group[0] for group in together)),
            [each for group in together for each in group[1]],
        )
        groups = [group for group in groups if group not in together] + [(merged[0], [*merged[1], name])]
    return [sorted(names) for _, names in groups]


def _chunks(things: list[Any], size: int) -> Iterator[list[Any]]:
    return (things[start : start + size] for start in range(0, len(things), size))
