from __future__ import annotations

from typing import Any

import pytest

from cdi_runc.inventory.inventory import Inventory, Item
from cdi_runc.inventory.topology import Place
from cdi_runc.kubernetes.names import device_label
from cdi_runc.kubernetes.slices import GATED, dropped, labels, same, slice_name, specs
from tests.kubernetes.cluster import ApiServer

KIND = "vendor.com/gpu"


def inventory(*items: Item) -> Inventory:
    kinds: dict[str, dict[str, Item]] = {}
    for item in items:
        kinds.setdefault(item.kind, {})[item.name] = item
    return Inventory(kinds)


def item(name: str, **more: Any) -> Item:
    return Item(**{"kind": KIND, "name": name, "path": "/etc/cdi/a.yaml", "version": "0.6.0", **more})


def devices(slices: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {device["name"]: device for each in slices for device in each.get("devices", ())}


def valid(slices: list[dict[str, Any]], version: str = "v1") -> list[dict[str, Any]]:
    """The slices, which the API server's rules allow."""
    for each in slices:
        ApiServer()._validate(each, version)
        assert each["pool"]["resourceSliceCount"] == len(slices)
    return slices


def test_what_a_device_says_of_itself() -> None:
    place = Place((1,), "0000:3b:00.0", "pci0000:3a")
    annotations = {
        "vendor.com/memory": "80Gi",
        "vendor.com/with-hyphen": "x",
        "vendor.com/long": "x" * 65,
        "plain": "no domain",
        "cdi-runc/replicas": "1",
    }
    gpu = item("0", place=place, aliases=("GPU-5",), annotations=annotations)
    [device] = devices(valid(specs(inventory(gpu), "node-1", "v1"))).values()
    assert device == {
        "name": device_label(KIND, "0"),
        "attributes": {
            "kind": {"string": KIND},
            "name": {"string": "0"},
            "spec": {"string": "/etc/cdi/a.yaml"},
            "cdiVersion": {"version": "0.6.0"},
            "numaNode": {"int": 1},
            "resource.kubernetes.io/pciBusID": {"string": "0000:3b:00.0"},
            "resource.kubernetes.io/pcieRoot": {"string": "pci0000:3a"},
            "alias0": {"string": "GPU-5"},
            "vendor.com/memory": {"string": "80Gi"},
            "vendor.com/with_hyphen": {"string": "x"},
        },
    }


def test_what_is_too_long_for_an_attribute_is_a_hash() -> None:
    [device] = devices(valid(specs(inventory(item("n" * 65)), "node-1", "v1"))).values()
    assert device["attributes"]["name"]["string"].startswith("sha256:")


def test_many_annotations_are_cut_at_the_limit() -> None:
    many = item("0", annotations={f"vendor.com/a{number:03}": "x" for number in range(100)}, shares=2)
    valid(specs(inventory(many), "node-1", "v1"))


def test_v1beta1_has_its_own_form() -> None:
    [device] = devices(valid(specs(inventory(item("0")), "node-1", "v1beta1"), "v1beta1")).values()
    assert set(device) == {"name", "basic"}


@pytest.mark.parametrize(
    ("number", "sick", "expected"), [(0, 0, 1), (128, 0, 1), (129, 0, 2), (129, 1, 3), (10_000, 0, 79)]
)
def test_slices_have_no_more_devices_than_they_may(number: int, sick: int, expected: int) -> None:
    items = [item(str(each), fault="it is sick" if each < sick else "") for each in range(number)]
    assert len(valid(specs(inventory(*items), "node-1", "v1"))) == expected


@pytest.mark.parametrize(("gone", "effect"), [(False, "NoSchedule"), (True, "NoExecute")])
def test_sick_devices_are_tainted(gone: bool, effect: str) -> None:
    [device] = devices(specs(inventory(item("0", fault="why", gone=gone)), "node-1", "v1")).values()
    assert device["taints"] == [{"key": "cdi-runc/unhealthy", "effect": effect}]


def test_without_taints_sick_devices_are_not_offered() -> None:
    assert not devices(specs(inventory(item("0", fault="why")), "node-1", "v1", GATED - {"taints"}))


def test_shares_are_a_capacity() -> None:
    [device] = devices(valid(specs(inventory(item("0", shares=4)), "node-1", "v1"))).values()
    assert device["allowMultipleAllocations"] is True
    assert device["capacity"]["shares"]["value"] == "4"


def claimable(slices: list[dict[str, Any]], *names: str) -> bool:
    """Whether the scheduler could give all of these devices at once: no counter is used up twice."""
    free = {
        (each["name"], counter): int(value["value"])
        for spec in slices
        for each in spec.get("sharedCounters", ())
        for counter, value in each["counters"].items()
    }
    for name in names:
        for taken in devices(slices)[device_label(KIND, name)].get("consumesCounters", ()):
            for counter, value in taken["counters"].items():
                free[taken["counterSet"], counter] -= int(value["value"])
    return all(value >= 0 for value in free.values())


@pytest.mark.parametrize(
    ("names", "possible"),
    [
        (("0", "1", "2"), True),
        (("all", "0"), False),
        (("all", "2"), False),
        (("first", "2"), True),
        (("first", "0"), False),
    ],
)
def test_what_is_made_of_others_excludes_them(names: tuple[str, ...], possible: bool) -> None:
    parts = {"0": (), "1": (), "2": (), "all": ("0", "1", "2"), "first": ("0", "1")}
    slices = valid(specs(inventory(*(item(name, parts=each) for name, each in parts.items())), "node-1", "v1"))
    assert claimable(slices, *names) == possible


@pytest.mark.parametrize(("number", "offered"), [(32, True), (33, True), (64, True), (65, False)])
def test_what_is_made_of_more_than_counters_can_say_is_not_offered(number: int, offered: bool) -> None:
    names = tuple(str(each) for each in range(number))
    slices = valid(specs(inventory(*map(item, names), item("all", parts=names)), "node-1", "v1"))
    assert (device_label(KIND, "all") in devices(slices)) == offered
    assert claimable(slices, *names)
    assert not offered or not claimable(slices, "all", names[-1])


def test_without_counters_only_the_parts_are_offered() -> None:
    items = inventory(item("0"), item("1"), item("all", parts=("0", "1")))
    assert devices(specs(items, "node-1", "v1", GATED - {"consumesCounters"})).keys() == {
        device_label(KIND, "0"),
        device_label(KIND, "1"),
    }


def test_names_of_slices_sort_like_their_numbers_and_are_names() -> None:
    names = [slice_name(number, "n" * 253) for number in (0, 9, 10, 99_999)]
    assert names == sorted(names)
    assert all(len(name) <= 253 for name in names)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda device: device["taints"][0].update(timeAdded="2026-01-01T00:00:00Z"), True),
        (lambda device: device.update(capacity=None), True),
        (lambda device: device.pop("taints"), False),
        (lambda device: device["attributes"].update(more={"string": "x"}), False),
    ],
)
def test_what_the_server_adds_is_no_difference(change: Any, expected: bool) -> None:
    [wanted] = specs(inventory(item("0", fault="why")), "node-1", "v1")
    [found] = specs(inventory(item("0", fault="why")), "node-1", "v1")
    found["pool"]["generation"] = 7
    change(found["devices"][0])
    assert same(wanted, found) == expected


def test_fields_that_the_server_drops_are_known() -> None:
    items = inventory(item("0", fault="why"), item("1"), item("all", parts=("0", "1")))
    counters, found = specs(items, "node-1", "v1")
    for device in found["devices"]:
        device.pop("taints", None)
    assert dropped(specs(items, "node-1", "v1")[1], found) == {"taints"}
    assert dropped(counters, {**counters, "sharedCounters": None}) == {"consumesCounters"}


def test_labels_lead_back() -> None:
    items = inventory(item("a_b"), item("a.b"))
    assert {each.name for each in labels(items).values()} == {"a_b", "a.b"}


@pytest.mark.parametrize(("serve", "offered"), [("true", True), ("dra", True), ("device-plugin", False)])
def test_what_is_offered_another_way_is_not_here(serve: str, offered: bool) -> None:
    items = inventory(item("0", annotations={"cdi-runc/serve": serve}))
    assert bool(devices(specs(items, "node-1", "v1"))) == offered
