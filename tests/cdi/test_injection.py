"""Resolving names to edits, and finding out what stands in a config already."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from cdi_runc.cdi.edits import apply
from cdi_runc.cdi.errors import UnresolvableDevices
from cdi_runc.cdi.injection import pending, resolve

DEVICES: dict[str, Any] = {
    "v.com/c=a": ("/a.yaml", {"env": ["FILE=a"]}, {"env": ["A=1"]}),
    "v.com/c=b": ("/a.yaml", {"env": ["FILE=a"]}, {"env": ["B=1"]}),
    "w.com/c=a": ("/w.yaml", {}, {"env": ["C=1"]}),
}


@pytest.mark.parametrize(
    ("names", "provenances"),
    [
        ([], []),
        (["v.com/c=b", "v.com/c=a"], ["/a.yaml", "v.com/c=b", "v.com/c=a"]),
        (["w.com/c=a", "v.com/c=a", "w.com/c=a"], ["/w.yaml", "w.com/c=a", "/a.yaml", "v.com/c=a", "w.com/c=a"]),
    ],
)
def test_resolve(names: list[str], provenances: list[str]) -> None:
    assert [provenance for provenance, _ in resolve(names, DEVICES.get)] == provenances


def test_all_that_is_missing_is_named() -> None:
    with pytest.raises(UnresolvableDevices) as caught:
        resolve(["x", "v.com/c=a", "y", "x"], DEVICES.get)
    assert caught.value.names == ("x", "y", "x")


NODE = {"path": "/dev/x", "hostPath": "/dev/null", "permissions": "rw"}
EVERY_KIND: dict[str, Any] = {
    "env": ["A=1"],
    "deviceNodes": [NODE, {"path": "/dev/p", "type": "p", "uid": 5}],
    "netDevices": [{"hostInterfaceName": "eth0", "name": "a"}],
    "mounts": [{"hostPath": "/h", "containerPath": "/c", "options": ["bind"]}],
    "hooks": [{"hookName": "poststop", "path": "/x", "args": ["x"], "timeout": 3}],
    "intelRdt": {"closID": "a"},
    "additionalGids": [5],
}


def group(**edits: Any) -> tuple[str, Any]:
    return "v.com/c=a", edits


@pytest.mark.parametrize("kind", EVERY_KIND)
@pytest.mark.parametrize("config", [{}, {"linux": {"namespaces": [{"type": "user"}]}, "process": {"user": {"uid": 3}}}])
def test_what_was_applied_stands(kind: str, config: dict[str, Any]) -> None:
    config = copy.deepcopy(config)
    groups = [group(**{kind: EVERY_KIND[kind]})]
    assert pending(config, groups) == groups
    apply(config, groups)
    assert pending(config, groups) == []


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_only_what_is_missing_comes_back(kind: str) -> None:
    config: dict[str, Any] = {}
    rest = {other: edits for other, edits in EVERY_KIND.items() if other != kind}
    apply(config, [group(**rest)])
    assert pending(config, [group(**EVERY_KIND)]) == [group(**{kind: EVERY_KIND[kind]})]


@pytest.mark.parametrize(
    ("edits", "config"),
    [
        ({"env": ["A=1"]}, {"process": {"env": ["A=2"]}}),
        ({"deviceNodes": [NODE]}, {"linux": {"devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3}]}}),
        (
            {"deviceNodes": [{"path": "/absent"}]},
            {"linux": {"devices": [{"path": "/absent", "type": "c", "major": 1, "minor": 3}]}},
        ),
        (
            {"deviceNodes": [{"path": "/dev/p", "type": "p", "fileMode": 0}]},
            {"linux": {"devices": [{"path": "/dev/p", "type": "p", "major": 0, "minor": 0, "fileMode": 438}]}},
        ),
        ({"netDevices": [{"hostInterfaceName": "a", "name": "b"}]}, {"linux": {"netDevices": {"a": {"name": "c"}}}}),
        ({"mounts": [{"hostPath": "/h", "containerPath": "/c"}]}, {"mounts": [{"destination": "/c", "source": "/i"}]}),
        (
            {"mounts": [{"hostPath": "/h", "containerPath": "/c", "options": ["ro"]}]},
            {"mounts": [{"destination": "/c", "source": "/h", "options": ["bind"]}]},
        ),
        ({"hooks": [{"hookName": "poststop", "path": "x"}]}, {"hooks": {"poststart": [{"path": "x"}]}}),
        ({"hooks": [{"hookName": "poststop", "path": "x"}]}, {"hooks": {"poststop": [{"path": "x", "timeout": 0}]}}),
        ({"intelRdt": {}}, {"linux": {}}),
        ({"intelRdt": {"closID": "a"}}, {"linux": {"intelRdt": {"closID": "a", "memBwSchema": "b"}}}),
        ({"additionalGids": [5]}, {"process": {"user": {"additionalGids": [6]}}}),
        ({"env": ["A=1"]}, {"process": []}),
    ],
)
def test_what_does_not_stand(edits: dict[str, Any], config: dict[str, Any]) -> None:
    assert pending(config, [group(**edits)]) == [group(**edits)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"env": ["A=1"]}, {"env": ["A=2"]}),
        (
            {"mounts": [{"hostPath": "/h", "containerPath": "/c"}]},
            {"mounts": [{"hostPath": "/i", "containerPath": "/c"}]},
        ),
        ({"deviceNodes": [NODE]}, {"deviceNodes": [{"path": "/dev/x", "hostPath": "/dev/zero"}]}),
        ({"intelRdt": {"closID": "a"}}, {"intelRdt": {"closID": "b"}}),
        (
            {"netDevices": [{"hostInterfaceName": "a", "name": "b"}]},
            {"netDevices": [{"hostInterfaceName": "a", "name": "c"}]},
        ),
    ],
)
def test_what_a_later_edit_overrides_need_not_stand(first: Any, second: Any) -> None:
    config: dict[str, Any] = {}
    groups: list[Any] = [("a", first), ("b", second)]
    apply(config, groups)
    assert pending(config, groups) == []
    assert pending(config, groups[:1]) == groups[:1]


def test_a_group_that_comes_back_does_not_undo_a_later_one() -> None:
    groups: list[Any] = [("a", {"env": ["A=1", "B=1"], "mounts": []}), ("b", {"env": ["A=2"]})]
    config = {"process": {"env": ["A=2"]}}
    assert pending(config, groups) == [("a", {"env": ["B=1"]})]


def test_a_rule_that_is_missing_brings_all_devices_of_its_path_back() -> None:
    groups: list[Any] = [("a", {"deviceNodes": [NODE]}), ("b", {"deviceNodes": [NODE | {"permissions": "r"}]})]
    config: dict[str, Any] = {}
    apply(config, groups)
    del config["linux"]["resources"]["devices"][0]
    assert pending(config, groups) == groups


def test_a_variable_that_one_group_sets_twice() -> None:
    groups = [group(env=["A=1", "A=2"])]
    config: dict[str, Any] = {}
    apply(config, groups)
    assert pending(config, groups) == []


def test_group_0_is_no_edit() -> None:
    assert pending({}, [group(additionalGids=[0])]) == []


def test_an_empty_rule_stands_with_or_without_access() -> None:
    node = {"path": "/dev/x", "type": "c", "major": 5, "fileMode": 0, "permissions": "none"}
    config: dict[str, Any] = {}
    apply(config, [group(deviceNodes=[node])])
    config["linux"]["resources"]["devices"][0]["access"] = ""
    assert pending(config, [group(deviceNodes=[node])]) == []
