from __future__ import annotations

import os
from typing import Any

import pytest

from cdi_runc.inventory.needs import missing, needs
from cdi_runc.inventory.tree import Tree
from tests.inventory.conftest import Host

NULL = os.stat("/dev/null").st_rdev
NUMBERS = {"major": os.major(NULL), "minor": os.minor(NULL)}


@pytest.mark.parametrize(
    ("node", "fault"),
    [
        ({"path": "/dev/null"}, ""),
        ({"path": "/dev/x", "hostPath": "/dev/null"}, ""),
        ({"path": "/dev/null", "type": "c", **NUMBERS}, ""),
        ({"path": "/dev/null", "type": "u", **NUMBERS}, ""),
        ({"path": "/dev/none"}, "device node /dev/none: No such file or directory"),
        ({"path": "/dev/none", "type": "c", **NUMBERS}, "device node /dev/none: No such file or directory"),
        ({"path": "/dev/null", "type": "b"}, "device node /dev/null: it is of type c, and the spec says b"),
        (
            {"path": "/dev/null", "type": "c", "major": 1, "minor": 5},
            "device node /dev/null: it is 1:3, and the spec says 1:5",
        ),
        ({"path": "/etc"}, "device node /etc: it is not a device"),
        ({"path": "/dev/stdin"}, "device node /dev/stdin: it is a link, and engines do not follow it"),
        ({"path": "/dev/\0"}, "device node /dev/\0: it cannot be the name of a file"),
    ],
)
def test_device_nodes(node: Any, fault: str) -> None:
    assert missing(needs({"deviceNodes": [node]}), Tree()) == fault


@pytest.mark.parametrize(
    ("edits", "fault"),
    [
        ({"mounts": [{"hostPath": "/lib/a.so", "containerPath": "/a"}]}, ""),
        (
            {"mounts": [{"hostPath": "/lib/none.so", "containerPath": "/a"}]},
            "mount source /lib/none.so: No such file or directory",
        ),
        ({"mounts": [{"hostPath": "none", "containerPath": "/a", "type": "tmpfs"}]}, ""),
        ({"hooks": [{"hookName": "createContainer", "path": "/bin/hook"}]}, ""),
        (
            {"hooks": [{"hookName": "createContainer", "path": "/lib/a.so"}]},
            "hook /lib/a.so: it is not an executable file",
        ),
        (
            {"hooks": [{"hookName": "createContainer", "path": "/bin/none"}]},
            "hook /bin/none: No such file or directory",
        ),
        ({"netDevices": [{"hostInterfaceName": "none0", "name": "eth1"}]}, ""),  # a container may have it
    ],
)
def test_mounts_and_hooks(edits: Any, fault: str, host: Host) -> None:
    host.program("/lib/a.so", 0o644)
    host.program("/bin/hook")
    assert missing(needs(edits), host.tree) == fault


def test_all_paths_that_are_needed_are_known() -> None:
    edits: Any = {
        "deviceNodes": [{"path": "/dev/a"}, {"path": "/dev/b", "hostPath": "/dev/c"}],
        "mounts": [{"hostPath": "/lib/x", "containerPath": "/x"}],
        "hooks": [{"hookName": "poststop", "path": "/bin/y"}],
    }
    assert [need.path for need in needs(edits)] == ["/dev/a", "/dev/c", "/lib/x", "/bin/y"]
