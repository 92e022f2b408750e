"""What a claim gets on this node, and why not: from the claim in the API, the inventory, and what others have already.

Nothing here talks to anyone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from cdi_runc.inventory.inventory import Item
from cdi_runc.kubernetes.checkpoint import Given, Prepared
from cdi_runc.kubernetes.slices import DRIVER

Object = dict[str, Any]


class CannotPrepare(ValueError):
    """Why a claim cannot be prepared; the text is in the pod's events."""


def results(claim: Object, node: str) -> list[Object]:
    """What the scheduler has given to the claim of this driver on this node."""
    allocation = claim.get("status", {}).get("allocation") or {}
    found = allocation.get("devices", {}).get("results") or []
    return [each for each in found if each.get("driver") == DRIVER and each.get("pool") == node]


def prepare(
    claim: Object, uid: str, node: str, items: Mapping[str, Item], others: Mapping[str, Prepared]
) -> tuple[Given, ...]:
    """The devices for the claim with that UID. Raises CannotPrepare.

    `items` are the node's by label, `others` the claims that are prepared.
    """
    found = claim.get("metadata", {}).get("uid")
    if found != uid:
        raise CannotPrepare(f"the claim of that name is another one now: its UID is {found}, not {uid}")
    if not claim.get("status", {}).get("allocation"):
        raise CannotPrepare("the claim has no allocation")
    if not claim["status"].get("reservedFor"):
        raise CannotPrepare("the claim is not reserved for any pod any more")
    given = in_use(claim, node, items)
    for each in given:
        item = items.get(each.device)
        if item is None:
            raise CannotPrepare(f"the device {each.device} is not on this node any more")
        if item.fault and not each.admin:
            raise CannotPrepare(f"{item.qualified} cannot be used: {item.fault}")
    taken = [device for other, prepared in others.items() if other != uid for device in prepared.devices]
    for each in given:
        _refuse_overlap(each, taken, others)
    return given


def in_use(claim: Object, node: str, items: Mapping[str, Item]) -> tuple[Given, ...]:
    """The devices that the claim was given here, usable or not."""
    given: dict[tuple[str, str, bool], Given] = {}
    for result in results(claim, node):
        each = _given(result, items.get(result["device"]))
        key = each.device, each.share, each.admin
        before = given.get(key, each)
        given[key] = dataclasses.replace(each, requests=tuple(dict.fromkeys((*before.requests, *each.requests))))
    return tuple(given.values())


def _given(result: Object, item: Item | None) -> Given:
    names = (item.qualified,) if item else ()
    parts = tuple(f"{item.kind}={part}" for part in item.parts) if item else ()
    request = result["request"].partition("/")[0]  # the kubelet knows a subrequest by its request
    return Given(
        device=result["device"],
        names=names,
        parts=parts or names,
        requests=(request,),
        share=result.get("shareID") or "",
        admin=bool(result.get("adminAccess")),
    )


def _refuse_overlap(device: Given, taken: Iterable[Given], others: Mapping[str, Prepared]) -> None:
    """The last line of defence: schedulers have given a device to two claims (kubernetes#136269)."""
    for other in taken:
        if device.admin or other.admin or (device.share and other.share and device.device == other.device):
            continue
        if set(device.parts) & set(other.parts):
            holder = next(claim for claim in others.values() if other in claim.devices)
            raise CannotPrepare(
                f"{device.names[0]} cannot be had: the claim {holder.namespace}/{holder.name} has {other.names[0]}"
            )
