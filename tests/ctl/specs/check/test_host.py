from pathlib import Path
from typing import Any

import pytest

from cdi_runc.ctl.specs.check.host import THERE

NULL = {"path": "/dev/null"}


def said(edits: Any) -> list[str]:
    data = {"devices": [{"name": "a", "containerEdits": edits}]}
    return [message for check in THERE for _, message in check(data)]


@pytest.mark.parametrize(
    "edits",
    [
        {"deviceNodes": [NULL]},
        {"deviceNodes": [{"path": "/dev/x", "hostPath": "/dev/null"}]},
        {"deviceNodes": [NULL | {"type": "c", "major": 1, "minor": 3}]},
        {"deviceNodes": [NULL | {"type": "u", "major": 1, "minor": 3}]},
        {"mounts": [{"hostPath": "/usr", "containerPath": "/x"}]},
        {"mounts": [{"hostPath": "none", "containerPath": "/x", "type": "tmpfs"}]},
        {"hooks": [{"hookName": "poststop", "path": "/bin/sh"}]},
        {"netDevices": [{"hostInterfaceName": "lo", "name": "lo"}]},
    ],
    ids=str,
)
def test_what_is_there(edits: Any) -> None:
    assert said(edits) == []


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"deviceNodes": [{"path": "/dev/none"}]}, "host device '/dev/none': No such file or directory"),
        ({"deviceNodes": [{"path": "/usr"}]}, "host device '/usr' is not a block device, a character device or a pipe"),
        (
            {"deviceNodes": [{"path": "/dev/none", "type": "c", "major": 1}]},
            "host device '/dev/none': No such file or directory",
        ),
        (
            {"deviceNodes": [NULL | {"type": "c", "major": 9, "minor": 3}]},
            "host device '/dev/null' is 1:3 and not 9:3, which is not what the spec says",
        ),
        (
            {"deviceNodes": [NULL | {"type": "b", "major": 1, "minor": 3}]},
            "host device '/dev/null' is of type c and not b, which is not what the spec says",
        ),
        (
            {"deviceNodes": [{"path": "/usr", "type": "b", "major": 1}]},
            "host device '/usr' is no device, which is not what the spec says",
        ),
        (
            {"deviceNodes": [{"path": "/a\0", "type": "b", "major": 1}]},
            "host device '/a\\x00' cannot be the name of a file",
        ),
        ({"mounts": [{"hostPath": "/none", "containerPath": "/x"}]}, "/none is not there on this host"),
        ({"hooks": [{"hookName": "poststop", "path": "/none"}]}, "/none is not there on this host"),
        ({"hooks": [{"hookName": "poststop", "path": "/etc/passwd"}]}, "/etc/passwd can't be executed"),
        (
            {"netDevices": [{"hostInterfaceName": "none0", "name": "x"}]},
            "there is no network interface none0 on this host",
        ),
    ],
    ids=str,
)
def test_what_is_not_there(edits: Any, message: str) -> None:
    assert said(edits) == [message]


def test_a_dangling_link_is_no_mount_source(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("none")
    assert said({"mounts": [{"hostPath": f"{tmp_path}/link", "containerPath": "/x"}]}) != []
