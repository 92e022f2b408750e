from pathlib import Path

from cdi_runc.render import edits_of
from tests.render.conftest import MakeEdits


def test_of_what_sets_the_same_thing_the_last_counts() -> None:
    first = {"env": ["A=1", "B=2"], "deviceNodes": [{"path": "/dev/x", "hostPath": "/dev/null"}]}
    second = {"env": ["A=3"], "deviceNodes": [{"path": "/dev/x", "hostPath": "/dev/zero", "permissions": "r"}]}

    edits = edits_of(["v.com/c=a", "v.com/c=b"], [("v.com/c=a", first), ("v.com/c=b", second)])  # type: ignore[list-item]

    assert edits.env == [("A", "3"), ("B", "2")]
    assert [(node.path, node.host_path, node.numbers, node.access) for node in edits.nodes] == [
        ("/dev/x", "/dev/zero", "c 1:5", "r")
    ]
    assert edits.asked == "v.com/c=a,v.com/c=b"


def test_outer_mounts_come_first(edits: MakeEdits) -> None:
    mounts = [{"hostPath": "/usr", "containerPath": path} for path in ("/a/b/c", "/a//", "/a/b")]
    assert [mount.target for mount in edits(mounts=mounts).mounts] == ["/a", "/a/b", "/a/b/c"]


def test_what_is_no_bind_keeps_its_type_and_options(edits: MakeEdits, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    mounts = [
        {"hostPath": "tmpfs", "containerPath": "/t", "type": "tmpfs", "options": ["size=1m"]},
        {"hostPath": str(file), "containerPath": "/f", "options": ["rbind", "rw", "ro"]},
    ]
    found = edits(mounts=mounts).mounts
    assert [(mount.type, mount.options, mount.is_directory) for mount in found] == [
        ("tmpfs", ("size=1m",), True),
        ("bind", ("rbind", "rw", "ro"), False),
    ]
    assert found[1].read_only


def test_a_mode_that_the_host_has_as_well_is_not_a_mode_of_its_own(edits: MakeEdits) -> None:
    nodes = [
        {"path": "/dev/a", "hostPath": "/dev/null", "fileMode": 0o666},
        {"path": "/dev/b", "hostPath": "/dev/null", "fileMode": 0o600},
        {"path": "/dev/c", "hostPath": "/dev/null", "permissions": "none"},
    ]
    assert [(node.has_own_owner, node.access) for node in edits(deviceNodes=nodes).nodes] == [
        (False, "rwm"),
        (True, "rwm"),
        (False, ""),
    ]
