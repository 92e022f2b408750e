from __future__ import annotations

import os
from typing import Any

import pytest

from cdi_runc import Registry
from cdi_runc.inventory.tree import Tree
from cdi_runc.nomad.carrying import carried, lost
from tests.nomad.conftest import Node

GPU = "vendor.com/gpu=0"
HOOK = {"hookName": "createContainer", "path": "/bin/true"}
MOUNT = {"hostPath": "/usr", "containerPath": "/u"}


def test_all_edits_of_devices_and_of_their_files_are_carried(node: Node) -> None:
    pipe = node.pipe("p")
    mount = {**MOUNT, "options": ["ro", "rbind", "nosuid"]}
    node.spec(
        "gpu.json",
        {
            "0": {"deviceNodes": [{"path": "/dev/g", "hostPath": "/dev/null", "permissions": "rw"}], "env": ["A=1=2"]},
            "1": {"deviceNodes": [{"path": "/dev/zero"}, {"path": pipe, "permissions": "r"}], "env": ["A=3"]},
        },
        containerEdits={"mounts": [mount, {**MOUNT, "containerPath": "/w"}], "env": ["ALL=1"]},
    )
    given = carried(Registry([str(node.specs)]), [GPU, "vendor.com/gpu=1"], Tree())
    assert dict(given.envs) == {"ALL": "1", "A": "3"}
    assert [(each.host_path, each.task_path, each.read_only) for each in given.mounts] == [
        ("/usr", "/u", True),
        ("/usr", "/w", False),
        (pipe, pipe, True),
    ]
    assert [(each.host_path, each.task_path, each.permissions) for each in given.devices] == [
        ("/dev/null", "/dev/g", "rw"),
        ("/dev/zero", "/dev/zero", "rwm"),
    ]


@pytest.mark.parametrize(
    ("edits", "says"),
    [
        ({"hooks": [HOOK]}, "it has hooks"),
        ({"additionalGids": [44]}, "it has additional groups"),
        ({"intelRdt": {"closID": "x"}}, "it has a class of Intel RDT"),
        ({"netDevices": [{"hostInterfaceName": "e0", "name": "e0"}]}, "it has network interfaces"),
        ({"mounts": [{**MOUNT, "type": "tmpfs"}]}, "mount /u is of type tmpfs"),
        ({"mounts": [{**MOUNT, "options": ["rslave"]}]}, "mount /u has the option rslave"),
        ({"deviceNodes": [{"path": "/dev/null", "permissions": "none"}]}, "device node /dev/null is to be without any"),
        ({"deviceNodes": [{"path": "/dev/null", "uid": 77}]}, "device node /dev/null has uid 77, and the host's has 0"),
        ({"deviceNodes": [{"path": "/dev/null", "fileMode": 0o600}]}, "has fileMode 0o600, and the host's has 0o666"),
    ],
)
@pytest.mark.parametrize("where", ["device", "file"])
def test_what_nomad_has_no_field_for_is_named(node: Node, edits: dict[str, Any], says: str, where: str) -> None:
    node.spec("gpu.json", {"0": edits if where == "device" else {"env": ["A=1"]}}, containerEdits=edits)
    found = lost(Registry([str(node.specs)]), GPU, Tree())
    assert says in found
    assert found.endswith(": use mode name")


def test_a_mode_and_an_owner_that_the_host_has_too_are_no_loss(node: Node) -> None:
    host = os.stat("/dev/null")
    same = {"path": "/dev/null", "uid": host.st_uid, "gid": host.st_gid, "fileMode": host.st_mode & 0o7777}
    node.spec("gpu.json", {"0": {"deviceNodes": [same]}})
    assert lost(Registry([str(node.specs)]), GPU, Tree()) == ""
