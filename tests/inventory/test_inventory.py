from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from cdi_runc import Registry
from cdi_runc.inventory.catalogue import catalogue
from cdi_runc.inventory.inventory import WITHOUT_HARDWARE, Inventory
from cdi_runc.inventory.looking import take
from tests.inventory.conftest import Host


def names(inventory: Inventory, kind: str = "vendor.com/gpu") -> list[str]:
    return list(inventory.kinds.get(kind, {}))


def test_devices_by_kind_and_in_natural_order(host: Host) -> None:
    host.node("g2", "g10", "n")
    host.spec("gpu.json", {"10": ["g10"], "2": ["g2"]})
    host.spec("nic.json", {"a": ["n"]}, "other.com/nic")
    inventory = host.take()
    assert list(inventory.kinds) == ["other.com/nic", "vendor.com/gpu"]
    assert names(inventory) == ["2", "10"]
    assert len(inventory) == 3
    item = inventory.kinds["other.com/nic"]["a"]
    assert (item.qualified, item.path, item.version, item.fault) == (
        "other.com/nic=a",
        "/etc/cdi/nic.json",
        "0.6.0",
        "",
    )


def test_health_goes_both_ways(host: Host) -> None:
    host.spec("a.json", {"0": ["g0"]})
    sick = host.take()
    assert sick.find("vendor.com/gpu=0").fault == "device node /dev/g0: No such file or directory"  # type: ignore[union-attr]
    host.node("g0")
    assert host.take(sick).find("vendor.com/gpu=0").fault == ""  # type: ignore[union-attr]


def test_what_all_devices_of_a_file_need_counts_for_each(host: Host) -> None:
    host.node("g0", "g1")
    edits = {"hooks": [{"hookName": "createContainer", "path": "/bin/hook"}]}
    host.spec("a.json", {"0": ["g0"], "1": ["g1"]}, containerEdits=edits)
    assert {item.fault for item in host.take()} == {"hook /bin/hook: No such file or directory"}


def test_index_uuid_and_all_of_one_gpu_are_one_device(host: Host) -> None:
    host.node("g0")
    host.spec("a.json", {"0": ["g0"], "GPU-5": ["g0"], "all": ["g0"]})
    inventory = host.take()
    assert names(inventory) == ["0"]
    assert inventory.find("vendor.com/gpu=GPU-5") is inventory.find("vendor.com/gpu=0") is not None


def test_all_of_two_gpus_is_made_of_them(host: Host) -> None:
    host.node("g0", "g1")
    host.spec("a.json", {"0": ["g0"], "1": ["g1"], "all": ["g0", "g1"]})
    assert {item.name: item.parts for item in host.take()} == {"0": (), "1": (), "all": ("0", "1")}


def test_devices_whose_nodes_are_those_of_the_file_are_one(host: Host) -> None:
    host.node("g0")
    edits = {"deviceNodes": [{"path": "/dev/g0"}]}
    host.spec("a.json", {"a": {}, "all": {"containerEdits": {"env": ["A=1"]}}}, containerEdits=edits)
    assert names(host.take()) == ["a"]


@pytest.mark.parametrize(
    ("of_spec", "of_device", "shares"),
    [
        ({}, {}, 1),
        ({"cdi-runc/replicas": "4"}, {}, 4),
        ({"cdi-runc/replicas": "4"}, {"cdi-runc/replicas": "2"}, 2),
    ],
)
def test_annotations_say_how_many_may_share(of_spec: Any, of_device: Any, shares: int, host: Host) -> None:
    host.node("g0")
    entry = {"containerEdits": {"deviceNodes": [{"path": "/dev/g0"}]}, "annotations": of_device}
    host.spec("a.json", {"0": entry}, annotations=of_spec)
    assert [item.shares for item in host.take()] == [shares]


@pytest.mark.parametrize("text", ["0", "-1", "many", "1001", "٣"])
def test_a_number_that_is_none_is_reported_and_ignored(text: str, host: Host) -> None:
    host.node("g0")
    host.spec("a.json", {"0": ["g0"]}, annotations={"cdi-runc/replicas": text})
    inventory = host.take()
    assert [item.shares for item in inventory] == [1]
    assert "cdi-runc/replicas" in inventory.faults["/etc/cdi/a.json"]


def test_what_has_no_hardware_is_for_many(host: Host) -> None:
    host.spec("a.json", {"license": {"containerEdits": {"env": ["KEY=1"]}}})
    assert [item.shares for item in host.take()] == [WITHOUT_HARDWARE]


def test_an_annotation_takes_a_device_out(host: Host) -> None:
    host.node("g0", "g1")
    hidden = {"containerEdits": {"deviceNodes": [{"path": "/dev/g1"}]}, "annotations": {"cdi-runc/serve": "false"}}
    host.spec("a.json", {"0": ["g0"], "1": hidden})
    assert names(host.take()) == ["0"]


def test_a_spec_that_breaks_leaves_its_devices_with_the_reason(host: Host) -> None:
    host.node("g0", "n")
    path = host.spec("a.json", {"0": ["g0"]})
    host.spec("b.json", {"n": ["n"]}, "other.com/nic")
    before = host.take()
    path.write_text("{")
    broken = host.take(before)
    assert broken.find("vendor.com/gpu=0").fault.startswith("/etc/cdi/a.json:1:")  # type: ignore[union-attr]
    assert broken.find("other.com/nic=n").fault == ""  # type: ignore[union-attr]
    assert broken.faults.keys() == {"/etc/cdi/a.json"}
    host.spec("a.json", {"0": ["g0"]})
    assert dataclasses.replace(host.take(broken)) == before


def test_a_spec_that_goes_takes_its_devices_along(host: Host) -> None:
    host.node("g0")
    path = host.spec("a.json", {"0": ["g0"]})
    before = host.take()
    path.unlink()
    assert names(host.take(before)) == []


def test_a_device_of_two_files_is_sick(host: Host) -> None:
    host.node("g0", "g1")
    host.spec("a.json", {"0": ["g0"]})
    host.spec("b.json", {"0": ["g0"], "1": ["g1"]})
    faults = {item.name: item.fault for item in host.take()}
    assert faults == {"0": "it is defined in /etc/cdi/a.json and in /etc/cdi/b.json", "1": ""}


def test_the_paths_that_matter_are_known(host: Host) -> None:
    host.spec("a.json", {"0": ["g0"]}, containerEdits={"mounts": [{"hostPath": "/lib/x", "containerPath": "/x"}]})
    assert set(catalogue(Registry([str(host.specs)]), host.tree).paths()) == {"/dev/g0", "/lib/x"}


def test_what_is_as_before_is_the_same_object(host: Host) -> None:
    host.node("g0")
    host.spec("a.json", {"0": ["g0"], "1": ["g1"]})
    read = catalogue(Registry([str(host.specs)]), host.tree)
    before = take(read, host.tree, Inventory())
    after = take(read, host.tree, before)
    assert [item.fault != "" for item in before] == [False, True]
    assert all(old is new for old, new in zip(before, after, strict=True))
