"""Container edits made to an OCI config: each kind, the config's odd shapes, and that nothing is done by halves."""

from __future__ import annotations

import copy
import os
import pathlib
import stat
from typing import Any

import pytest

from cdi_runc.cdi.edits import apply, oci_device
from cdi_runc.cdi.errors import InjectionError

NULL = stat.S_IMODE(os.stat("/dev/null").st_mode)


def edited(config: dict[str, Any], *edits: Any) -> dict[str, Any]:
    apply(config, [(f"v.com/c={place}", each) for place, each in enumerate(edits)])
    return config


@pytest.mark.parametrize(
    ("before", "entries", "after"),
    [
        (["A=1", "B=2"], ["A=3"], ["A=3", "B=2"]),
        (["A=1", "A=2"], ["A=3"], ["A=1", "A=3"]),
        (["A", "B=2"], ["A=3"], ["A=3", "B=2"]),
        ([], ["A=1", "B=x=y", "A="], ["A=", "B=x=y"]),
        (None, ["A=1"], ["A=1"]),
    ],
)
def test_variables_are_replaced_in_their_place(before: Any, entries: list[str], after: list[str]) -> None:
    assert edited({"process": {"env": before}}, {"env": entries}) == {"process": {"env": after}}


@pytest.mark.parametrize(
    ("node", "device"),
    [
        ({"path": "/dev/null"}, {"type": "c", "major": 1, "minor": 3, "fileMode": NULL}),
        ({"path": "/dev/x", "hostPath": "/dev/null"}, {"type": "c", "major": 1, "minor": 3, "fileMode": NULL}),
        ({"path": "/dev/null", "minor": 7}, {"type": "c", "major": 1, "minor": 3, "fileMode": NULL}),
        ({"path": "/dev/null", "major": 7}, {"type": "c", "major": 7, "minor": 0, "fileMode": NULL}),
        ({"path": "/dev/null", "fileMode": 0}, {"type": "c", "major": 1, "minor": 3, "fileMode": 0}),
        ({"path": "/dev/null", "type": "b", "major": 8}, {"type": "b", "major": 8, "minor": 0, "fileMode": NULL}),
        ({"path": "/absent", "type": "b", "major": 8, "minor": 1}, {"type": "b", "major": 8, "minor": 1}),
        ({"path": "/absent", "type": "p"}, {"type": "p", "major": 0, "minor": 0}),
        (
            {"path": "/absent", "type": "p", "uid": 0, "gid": 5},
            {"type": "p", "major": 0, "minor": 0, "uid": 0, "gid": 5},
        ),
    ],
)
def test_what_a_node_leaves_out_is_the_hosts(node: Any, device: dict[str, Any]) -> None:
    assert oci_device(node) == {"path": node["path"]} | device


def test_a_pipe_on_the_host(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "p", 0o640)
    os.chmod(tmp_path / "p", 0o640)
    node: Any = {"path": "/dev/p", "hostPath": str(tmp_path / "p")}
    assert oci_device(node) == {"path": "/dev/p", "type": "p", "major": 0, "minor": 0, "fileMode": 0o640}


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"path": "/absent"}, "host device '/absent': No such file or directory"),
        ({"path": "/absent", "type": "c"}, "host device '/absent': No such file or directory"),
        (
            {"path": "/dev/x", "hostPath": "/etc"},
            "host device '/etc' is not a block device, a character device or a pipe",
        ),
        ({"path": "/dev/null", "type": "b"}, "host device '/dev/null' is of type c, not b as the spec says"),
        ({"path": "/dev/null", "type": "u"}, "host device '/dev/null' is of type c, not u as the spec says"),
        ({"path": "/dev/a\0b"}, r"host device '/dev/a\x00b' cannot be the name of a file"),
        ({"path": "/dev/\udbff"}, r"host device '/dev/\udbff' cannot be the name of a file"),
    ],
)
def test_a_host_that_lacks_the_device(node: Any, message: str) -> None:
    config: dict[str, Any] = {"process": {"env": ["A=1"]}}
    with pytest.raises(InjectionError) as caught:
        edited(config, {"env": ["A=2"], "mounts": [{"hostPath": "/a", "containerPath": "/b"}], "deviceNodes": [node]})
    assert str(caught.value) == f"v.com/c=0: {message}"
    assert config == {"process": {"env": ["A=1"]}}


def test_links_are_not_followed(tmp_path: pathlib.Path) -> None:
    (tmp_path / "link").symlink_to("/dev/null")
    with pytest.raises(InjectionError, match="is a symbolic link: the spec must name the device"):
        oci_device({"path": str(tmp_path / "link")})


@pytest.mark.parametrize(
    ("node", "rule"),
    [
        ({"type": "c", "major": 5}, {"allow": True, "type": "c", "major": 5, "minor": 0, "access": "rwm"}),
        (
            {"type": "b", "major": 5, "permissions": "rr"},
            {"allow": True, "type": "b", "major": 5, "minor": 0, "access": "rr"},
        ),
        ({"type": "c", "major": 5, "permissions": "none"}, {"allow": True, "type": "c", "major": 5, "minor": 0}),
        ({"type": "u", "major": 5}, None),
        ({"type": "p"}, None),
    ],
)
def test_cgroup_rules(node: Any, rule: Any) -> None:
    linux = edited({}, {"deviceNodes": [{"path": "/absent"} | node]})["linux"]
    assert linux.get("resources") == (rule and {"devices": [rule]})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], ["new"]),
        (["/dev/a", "/dev/x", "/dev/b"], ["/dev/a", "/dev/b", "new"]),
        (["/dev/x", "/dev/a", "/dev/x", "/dev/b"], ["/dev/a", "new", "/dev/b"]),
        (["/dev/x", "/dev/x", "/dev/x"], ["new", "/dev/x"]),
        (["/dev//x"], ["/dev//x", "new"]),
    ],
)
def test_a_device_of_the_path_is_replaced(before: list[str], after: list[str]) -> None:
    config = edited(
        {"linux": {"devices": [{"path": path} for path in before]}},
        {"deviceNodes": [{"path": "/dev/x", "type": "c", "major": 1, "fileMode": 0}]},
    )
    assert ["new" if "type" in device else device["path"] for device in config["linux"]["devices"]] == after


@pytest.mark.parametrize(
    ("user", "owner"),
    [({"uid": 7, "gid": 8}, {"uid": 7, "gid": 8}), ({"uid": 0}, {}), ({}, {}), (None, {}), ({"gid": 8}, {"gid": 8})],
)
def test_devices_belong_to_the_process(user: Any, owner: dict[str, int]) -> None:
    node = {"path": "/dev/x", "type": "c", "major": 1, "fileMode": 0}
    config = edited({"process": {"user": user}}, {"deviceNodes": [node]})
    device = config["linux"]["devices"][0]
    assert {field: device[field] for field in ("uid", "gid") if field in device} == owner


def test_network_devices_go_by_the_hosts_name() -> None:
    config = edited(
        {"linux": {"netDevices": {"eth0": {"name": "a"}, "eth1": {"name": "b"}}}},
        {"netDevices": [{"hostInterfaceName": "eth0", "name": "c"}]},
        {"netDevices": [{"hostInterfaceName": "eth2", "name": "c"}]},
    )
    assert config == {"linux": {"netDevices": {"eth0": {"name": "c"}, "eth1": {"name": "b"}, "eth2": {"name": "c"}}}}


@pytest.mark.parametrize(
    ("before", "added", "after"),
    [
        (["/a/b", "/a"], "/a/b/c", ["/a", "/a/b", "/a/b/c"]),
        (["/x", "/a/b", "/a"], "/", ["/x", "/a", "/", "/a/b"]),
        (["/x/", "/x"], "/x", ["/x/", "/x"]),
        (["/x", "/y", "/x"], "/x", ["/y", "/x", "/x"]),
        (["/a", "b/c", "d"], "//e", ["d", "/a", "b/c", "//e"]),
    ],
)
def test_mounts_are_replaced_and_sorted(before: list[str], added: str, after: list[str]) -> None:
    config = edited(
        {"mounts": [{"destination": path} for path in before]},
        {"mounts": [{"hostPath": "/h", "containerPath": added}]},
    )
    assert [mount["destination"] for mount in config["mounts"]] == after
    assert [mount for mount in config["mounts"] if "source" in mount] == [{"destination": added, "source": "/h"}]


def test_mounts_stay_in_order_where_no_device_brings_one() -> None:
    config = {"mounts": [{"destination": "/a/b"}, {"destination": "/a"}]}
    assert edited(copy.deepcopy(config), {"env": ["A=1"]})["mounts"] == config["mounts"]


@pytest.mark.parametrize(
    ("mount", "options"),
    [
        ({"options": ["ro", "bind"]}, ["ro", "bind", "idmap"]),
        ({"options": ["bind", "rbind"]}, ["bind", "rbind", "ridmap"]),
        ({"options": ["rbind", "bind"]}, ["rbind", "bind", "idmap"]),
        ({"type": "bind"}, ["idmap"]),
        ({"type": "bind", "options": ["rbind"]}, ["rbind", "ridmap"]),
        ({"options": ["bind", "ridmap"]}, ["bind", "ridmap"]),
        ({"type": "tmpfs", "options": ["ro"]}, ["ro"]),
    ],
)
def test_bind_mounts_map_ids_in_a_user_namespace(mount: Any, options: list[str]) -> None:
    edits = {"mounts": [{"hostPath": "/h", "containerPath": "/c"} | mount]}
    plain = edited({"linux": {"namespaces": [{"type": "mount"}]}}, edits)
    mapped = edited({"linux": {"namespaces": [{"type": "user", "path": "/proc/1/ns/user"}]}}, edits)
    assert plain["mounts"][0].get("options", []) == mount.get("options", [])
    assert mapped["mounts"][0]["options"] == options


def test_hooks_are_appended() -> None:
    hook = {"hookName": "prestart", "path": "h", "args": ["a"], "env": ["A=1"], "timeout": 0}
    config = edited(
        {"hooks": {"prestart": [{"path": "first"}]}}, {"hooks": [hook, hook, {"hookName": "poststop", "path": "x"}]}
    )
    wanted = {"path": "h", "args": ["a"], "env": ["A=1"], "timeout": 0}
    assert config == {"hooks": {"prestart": [{"path": "first"}, wanted, wanted], "poststop": [{"path": "x"}]}}


@pytest.mark.parametrize(
    ("given", "rdt"),
    [
        ([{"closID": "a", "schemata": ["x"]}], {"closID": "a", "schemata": ["x"]}),
        ([{"closID": "a"}, {"memBwSchema": "b"}], {"memBwSchema": "b"}),
        ([{"closID": "a"}, {}], {}),
        ([{"closID": "", "schemata": [], "enableMonitoring": False}], {}),
    ],
)
def test_intel_rdt_is_replaced_whole(given: list[Any], rdt: dict[str, Any]) -> None:
    config = {"linux": {"intelRdt": {"l3CacheSchema": "old"}}}
    assert edited(config, *({"intelRdt": each} for each in given)) == {"linux": {"intelRdt": rdt}}


@pytest.mark.parametrize(
    ("before", "gids", "after"),
    [([5], [6, 5, 0, 6], [5, 6]), ([5, 5], [7], [5, 5, 7]), (None, [1], [1])],
)
def test_groups_are_added_once(before: Any, gids: list[int], after: list[int]) -> None:
    config = {"process": {"user": {"additionalGids": before}}}
    assert edited(config, {"additionalGids": gids}) == {"process": {"user": {"additionalGids": after}}}


def test_group_0_alone_changes_nothing() -> None:
    assert edited({}, {"additionalGids": [0]}) == {}


def test_what_is_not_known_is_kept() -> None:
    config: dict[str, Any] = {
        "process": {"x": 1, "env": []},
        "y": {"z": 2},
        "linux": {"devices": [{"path": "/dev/a", "q": 3}], "w": 4},
    }
    before = copy.deepcopy(config)
    edited(config, {"env": ["A=1"], "deviceNodes": [{"path": "/dev/x", "type": "p", "fileMode": 1}]})
    assert (config["process"]["x"], config["y"], config["linux"]["w"]) == (1, {"z": 2}, 4)
    assert config["linux"]["devices"][0] == before["linux"]["devices"][0]


def test_the_edits_stay_as_they_are() -> None:
    edits: Any = {
        "mounts": [{"hostPath": "/h", "containerPath": "/c", "options": ["bind"]}],
        "intelRdt": {"schemata": ["a"]},
    }
    before = copy.deepcopy(edits)
    config = edited({"linux": {"namespaces": [{"type": "user"}]}}, edits)
    config["mounts"][0]["options"].append("x")
    config["linux"]["intelRdt"]["schemata"].append("x")
    assert edits == before


NODE = {"deviceNodes": [{"path": "/dev/x", "type": "c", "major": 1, "fileMode": 0}]}
MOUNT = {"mounts": [{"hostPath": "/h", "containerPath": "/c"}]}


@pytest.mark.parametrize(
    ("config", "edits", "message"),
    [
        ([], {}, "the OCI config is a list, not an object"),
        ({"process": []}, {"env": ["A=1"]}, "process in the OCI config is a list, not an object"),
        ({"process": {"env": {}}}, {"env": ["A=1"]}, "process.env in the OCI config is an object, not a list of texts"),
        (
            {"process": {"env": [1]}},
            {"env": ["A=1"]},
            "process.env in the OCI config is a list with other things, not a",
        ),
        (
            {"process": {"user": 1}},
            {"additionalGids": [1]},
            "process.user in the OCI config is a number, not an object",
        ),
        ({"process": {"user": {"uid": "1"}}}, NODE, "process.user.uid in the OCI config is a text, not an integer"),
        ({"linux": "x"}, NODE, "linux in the OCI config is a text, not an object"),
        ({"linux": {"devices": ["/dev/x"]}}, NODE, "linux.devices in the OCI config is a list with other things"),
        ({"linux": {"resources": {"devices": 0}}}, NODE, "linux.resources.devices in the OCI config is a number"),
        ({"mounts": {}}, MOUNT, "mounts in the OCI config is an object, not a list of objects"),
        ({"mounts": [{"destination": 1}]}, MOUNT, "mounts in the OCI config has a destination that is not a text"),
        ({"linux": {"namespaces": [1]}}, MOUNT, "linux.namespaces in the OCI config is not a list of objects"),
        ({"hooks": True}, {"hooks": [{"hookName": "poststop", "path": "x"}]}, "hooks in the OCI config is a boolean"),
        ({"linux": []}, {"intelRdt": {}}, "linux in the OCI config is a list, not an object"),
    ],
)
def test_a_config_of_another_shape(config: Any, edits: Any, message: str) -> None:
    before = copy.deepcopy(config)
    with pytest.raises(InjectionError) as caught:
        edited(config, edits)
    assert str(caught.value).startswith(message)
    assert config == before


def test_only_what_is_edited_must_be_in_shape() -> None:
    assert edited({"linux": 5, "hooks": 6}, {"env": ["A=1"]})["linux"] == 5
