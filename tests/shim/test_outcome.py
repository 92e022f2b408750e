"""The config that the runtime gets: edits are in force, nothing is made twice, and runtimes take it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdi_runc.cdi.edits import apply
from cdi_runc.cdi.errors import InjectionError
from cdi_runc.shim.outcome import HOOK_ENV, outcome
from tests.cdi.property.strategies import CONFIG, EDITS

NODE = {"path": "/dev/x", "hostPath": "/dev/null", "permissions": "rw"}
NULL = {"type": "c", "major": 1, "minor": 3}
EVERY_KIND: dict[str, Any] = {
    "env": ["A=1"],
    "deviceNodes": [NODE, {"path": "/dev/p", "type": "p", "uid": 5}],
    "netDevices": [{"hostInterfaceName": "eth0", "name": "a"}],
    "mounts": [{"hostPath": "/h", "containerPath": "/c", "options": ["bind"]}],
    "hooks": [{"hookName": "poststop", "path": "/x", "args": ["x"], "timeout": 3}],
    "intelRdt": {"closID": "a"},
    "additionalGids": [5],
}
USER_NAMESPACE = {"linux": {"namespaces": [{"type": "user"}]}, "process": {"user": {"uid": 3}}}


def group(**edits: Any) -> tuple[str, Any]:
    return "v.com/c=a", edits


def made(config: Any, *groups: Any, elsewhere: bool = False) -> dict[str, Any]:
    before = copy.deepcopy(config)
    after = outcome(config, groups, lambda: elsewhere)
    assert config == before
    return after


def reference(config: Any, *groups: Any) -> dict[str, Any]:
    """What the standard makes of it (tests/cdi/test_vectors.py)."""
    after: dict[str, Any] = copy.deepcopy(config)
    apply(after, groups)
    return after


@pytest.mark.parametrize("kind", EVERY_KIND)
@pytest.mark.parametrize("config", [{}, {"process": {"user": {"uid": 3}}}])
def test_it_is_what_the_standard_makes_and_a_second_time_nothing(kind: str, config: dict[str, Any]) -> None:
    edits = group(**{kind: EVERY_KIND[kind]})
    assert made(config, edits) == reference(config, edits)
    assert made(made(config, edits), edits) == made(config, edits)


def test_a_second_time_nothing_in_a_user_namespace() -> None:
    once = made(USER_NAMESPACE, group(**EVERY_KIND))
    assert made(once, group(**EVERY_KIND)) == once


DENY_ALL = {"allow": False, "access": "rwm"}
ALLOW = {"allow": True, **NULL, "access": "rwm"}
DEVICE = {"path": "/dev/null", **NULL, "fileMode": 0o666}


@pytest.mark.parametrize(
    ("config", "edits", "in_force"),
    [
        # The last variable of a name counts.
        (
            {"process": {"env": ["A=cdi", "A=user"]}},
            {"env": ["A=cdi"]},
            {"process": {"env": ["A=cdi", "A=cdi"]}},
        ),
        # A mount of the same source with options that take something away is another mount.
        (
            {"mounts": [{"destination": "/data", "source": "/run/drv", "type": "bind", "options": ["rbind", "ro"]}]},
            {"mounts": [{"containerPath": "/data", "hostPath": "/run/drv", "options": ["rbind"]}]},
            {"mounts": [{"destination": "/data", "source": "/run/drv", "options": ["rbind"]}]},
        ),
        # A later mount on the same destination hides it.
        (
            {"mounts": [{"destination": "/data", "source": "/cdi"}, {"destination": "/data", "source": "/user"}]},
            {"mounts": [{"containerPath": "/data", "hostPath": "/cdi"}]},
            {"mounts": [{"destination": "/data", "source": "/user"}, {"destination": "/data", "source": "/cdi"}]},
        ),
        # So does one that only spells it in another way.
        (
            {"mounts": [{"destination": "/data", "source": "/cdi"}, {"destination": "/data/", "source": "/user"}]},
            {"mounts": [{"containerPath": "/data", "hostPath": "/cdi"}]},
            {"mounts": [{"destination": "/data/", "source": "/user"}, {"destination": "/data", "source": "/cdi"}]},
        ),
        # And a later one on the directory above.
        (
            {"mounts": [{"destination": "/d/in", "source": "/cdi"}, {"destination": "/d", "source": "/user"}]},
            {"mounts": [{"containerPath": "/d/in", "hostPath": "/cdi"}]},
            {"mounts": [{"destination": "/d", "source": "/user"}, {"destination": "/d/in", "source": "/cdi"}]},
        ),
    ],
)
def test_what_is_there_but_not_in_force_is_made(config: Any, edits: Any, in_force: Any) -> None:
    assert made(config, group(**edits)) == in_force
    assert made(in_force, group(**edits)) == in_force


@pytest.mark.parametrize("change", [{"uid": 0, "gid": 0}, {"fileMode": 0}, {"minor": 5}])
def test_a_node_is_there_only_if_it_is_what_the_edit_makes(change: dict[str, int]) -> None:
    config = {
        "process": {"user": {"uid": 1000, "gid": 1000}},
        "linux": {"devices": [DEVICE | change], "resources": {"devices": [ALLOW]}},
    }
    after = made(config, group(deviceNodes=[{"path": "/dev/null"}]))
    assert after["linux"]["devices"] == [DEVICE | {"uid": 1000, "gid": 1000}]
    assert after["linux"]["resources"]["devices"] == [ALLOW]


def test_nodes_that_are_there_keep_their_order() -> None:
    zero = {"path": "/dev/zero", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666}
    config = {"linux": {"devices": [DEVICE, zero], "resources": {"devices": [{"allow": True, "access": "rwm"}]}}}
    after = made(config, group(deviceNodes=[{"path": "/dev/null"}]))
    assert after["linux"]["devices"] == [DEVICE, zero]


@pytest.mark.parametrize(
    ("rules", "added"),
    [
        ([], True),
        ([DENY_ALL, ALLOW], False),
        ([ALLOW, DENY_ALL], True),
        ([ALLOW, {"allow": False, "type": "a"}], True),
        ([ALLOW, {"allow": False, "type": "c", "major": 1, "access": "m"}], True),
        ([ALLOW, {"allow": False, "type": "c", "major": 1, "minor": -1, "access": "w"}], True),
        ([ALLOW, {"allow": False, "type": "c", "major": 1, "minor": 5, "access": "rwm"}], False),
        ([ALLOW, {"allow": False, "type": "b", "access": "rwm"}], False),
        ([ALLOW, DENY_ALL, ALLOW], False),
        ([ALLOW | {"access": "rw"}], True),
        ([ALLOW | {"access": "r"}, ALLOW | {"access": "wm"}], False),
    ],
)
def test_a_rule_is_added_unless_it_holds_at_the_end_of_the_list(rules: list[Any], added: bool) -> None:
    config = {"linux": {"devices": [DEVICE], "resources": {"devices": rules}}}
    after = made(config, group(deviceNodes=[{"path": "/dev/null"}]))
    assert after["linux"]["resources"]["devices"] == rules + [ALLOW] * added


def test_hooks_are_not_doubled() -> None:
    hooks = [{"hookName": "poststop", "path": "x"}, {"hookName": "prestart", "path": "x", "args": ["x"]}]
    config = {"hooks": {"poststop": [{"path": "x"}], "prestart": [{"path": "x"}]}}
    after = made(config, group(hooks=hooks))
    assert after["hooks"] == {"poststop": [{"path": "x"}], "prestart": [{"path": "x"}, {"path": "x", "args": ["x"]}]}


@pytest.mark.parametrize("name", ["createContainer", "startContainer"])
def test_a_hook_inside_the_container_does_not_inherit_the_images_variables(name: str) -> None:
    plain = [{"hookName": name, "path": "/x"}, {"hookName": name, "path": "/y", "env": ["B=1"]}]
    after = made({}, group(hooks=plain))
    assert after["hooks"][name] == [{"path": "/x", "env": HOOK_ENV}, {"path": "/y", "env": ["B=1"]}]
    engines_own = reference({}, group(hooks=plain))
    assert made(engines_own, group(hooks=plain)) == engines_own


@pytest.mark.parametrize("name", ["prestart", "createRuntime", "poststart", "poststop"])
def test_a_hook_outside_stays_as_it_is(name: str) -> None:
    assert made({}, group(hooks=[{"hookName": name, "path": "/x"}]))["hooks"] == {name: [{"path": "/x"}]}


def test_what_a_later_edit_overrides_is_not_made_again() -> None:
    groups = [
        ("/v.yaml", {"mounts": [{"hostPath": "/h", "containerPath": "/c"}], "deviceNodes": [NODE], "env": ["A=1"]}),
        group(mounts=[{"hostPath": "/i", "containerPath": "/c"}], deviceNodes=[NODE | {"uid": 1}], env=["A=2"]),
    ]
    once = made({}, *groups)
    assert made(once, *groups) == once
    assert once["mounts"] == [{"destination": "/c", "source": "/i"}]


def test_a_rule_without_access_is_none() -> None:
    """Neither runc nor crun takes one; the node alone can't be opened."""
    node = {"path": "/dev/x", "hostPath": "/dev/null", "permissions": "none"}
    assert made({}, group(deviceNodes=[node])) == {
        "linux": {"devices": [{"path": "/dev/x", **NULL, "fileMode": 0o666}]}
    }
    config: dict[str, Any] = {"linux": {"resources": {"memory": {}}}}
    assert made(config, group(deviceNodes=[node]))["linux"]["resources"] == {"memory": {}}


def test_an_unbuffered_device_has_the_rule_of_a_character_device() -> None:
    node = {"path": "/dev/u", "type": "u", "major": 1, "minor": 11, "fileMode": 0o600}
    after = made({}, group(deviceNodes=[node]))
    rule = {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "rwm"}
    assert after["linux"]["resources"]["devices"] == [rule]
    assert made(after, group(deviceNodes=[node])) == after


@pytest.mark.parametrize(("config", "elsewhere"), [(USER_NAMESPACE, False), ({}, True)])
def test_a_node_of_another_path_is_a_mount_in_a_user_namespace(config: dict[str, Any], elsewhere: bool) -> None:
    other = {"path": "/dev/zero"}
    after = made(config, group(deviceNodes=[NODE, other]), elsewhere=elsewhere)
    assert [device["path"] for device in after["linux"]["devices"]] == ["/dev/zero"]
    assert after["mounts"] == [{"destination": "/dev/x", "type": "bind", "source": "/dev/null", "options": ["bind"]}]
    rules = after["linux"]["resources"]["devices"]
    assert rules[0] == {"allow": True, **NULL, "access": "rw"}
    assert made(after, group(deviceNodes=[NODE, other]), elsewhere=elsewhere) == after


def test_a_node_and_a_mount_of_one_path_in_a_user_namespace() -> None:
    edits = group(deviceNodes=[NODE], mounts=[{"hostPath": "/h", "containerPath": "/dev/x"}])
    once = made(USER_NAMESPACE, edits)
    assert [mount["source"] for mount in once["mounts"]] == ["/h", "/dev/null"]
    assert made(once, edits) == once


def test_a_thousand_nodes_are_made_in_one_pass() -> None:
    """A second run of the old way looked through all rules and all nodes for each node."""
    numbers = range(1000)
    nodes = [{"path": f"/dev/n{n}", "type": "c", "major": 9, "minor": n, "fileMode": 0o600} for n in numbers]
    once = made({}, group(deviceNodes=nodes))
    assert made(once, group(deviceNodes=nodes)) == once
    assert len(once["linux"]["devices"]) == len(once["linux"]["resources"]["devices"]) == 1000


@given(CONFIG, st.lists(EDITS, max_size=3), st.booleans())
def test_whatever_is_made_is_made_once(config: Any, edits: list[Any], elsewhere: bool) -> None:
    groups = [(f"v.com/c={place}", each) for place, each in enumerate(edits)]
    try:
        once = made(config, *groups, elsewhere=elsewhere)
    except InjectionError:
        return
    assert made(once, *groups, elsewhere=elsewhere) == once


HOOK: Any = {"hookName": "prestart", "path": "/x", "args": ["x", "a"], "env": ["A=1"], "timeout": 5}


@pytest.mark.parametrize(
    "change",
    [
        {"hookName": "poststop"},
        {"path": "/y"},
        {"args": ["x"]},
        {"args": None},
        {"env": ["A=2"]},
        {"env": []},
        {"timeout": 6},
        {"timeout": None},
    ],
)
def test_hooks_that_differ_in_anything_are_others(change: dict[str, Any]) -> None:
    other: Any = {key: value for key, value in (HOOK | change).items() if value is not None}
    once = outcome({}, [("a", {"hooks": [HOOK]})], lambda: False)
    twice = outcome(once, [("a", {"hooks": [HOOK, other]})], lambda: False)
    assert sum(map(len, once["hooks"].values())) == 1
    assert sum(map(len, twice["hooks"].values())) == 2


@pytest.mark.parametrize("odd", [{"access": True}, {"access": ["r"]}, {"type": {}}, {"major": []}, {"minor": {"a": 1}}])
def test_a_rule_of_wrong_types_is_left_to_the_runtime(odd: dict[str, Any]) -> None:
    rules = [{"allow": True, **NULL, "access": "rwm", **odd}]
    config = {"linux": {"resources": {"devices": rules}}}
    after = made(config, group(deviceNodes=[NODE]))
    assert after["linux"]["resources"]["devices"] == [*rules, {"allow": True, **NULL, "access": "rw"}]
