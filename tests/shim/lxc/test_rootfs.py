"""Nodes, programs and mounts in a root file system. Mounts are made in a mount namespace that ends with its process."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.lxc.rootfs import Rootfs

TREE = Path(__file__).parents[3]
FIFO = {"path": "/dev/pipe", "type": "p", "major": 0, "minor": 0, "uid": os.getuid(), "gid": os.getgid()}

# Make the mounts, and print what the kernel says of them and what the files hold.
MOUNT = """
import json, posix, sys
sys.path.insert(0, sys.argv[1])
from cdi_runc.shim.lxc.rootfs import Rootfs
root, mapped, mounts, files = sys.argv[2], *map(json.loads, sys.argv[3:])
before = len(posix.listdir('/proc/self/fd'))
rootfs = Rootfs(root, mapped)
for mount in mounts:
    rootfs.add_node(mount) if 'hostPath' in mount else rootfs.add_mount(mount)
said = {'open': len(posix.listdir('/proc/self/fd')) - before, 'files': [open(root + file).read() for file in files]}
for line in open('/proc/self/mountinfo'):
    fields = line.split()
    if fields[4].startswith(root + '/'):
        end = fields.index('-')
        options = [*fields[5].split(','), *fields[6:end]]
        said[fields[4].removeprefix(root)] = [*options, fields[end + 1], *fields[end + 3].split(',')]
print(json.dumps(said))
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A directory of the host, with a file in it."""
    path = tmp_path / "source"
    path.mkdir()
    (path / "file").write_text("the host's")
    return path


def mounted(root: Path, *mounts: Mapping[str, Any], mapped: bool = True, files: tuple[str, ...] = ()) -> Any:
    """What is mounted below the root, by its path there: options, propagation, file system, the file system's own."""
    # The mounts are private to the namespace, and a user namespace lets others than root make them.
    space = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*space, "true"], capture_output=True, timeout=60).returncode:
        pytest.skip("this machine allows no user namespace")
    command = [
        *space,
        sys.executable,
        "-I",
        "-c",
        MOUNT,
        str(TREE),
        str(root),
        *map(json.dumps, (mapped, mounts, files)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_root_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ShimError) as raised:
        Rootfs(f"{tmp_path}/none", False)
    assert str(raised.value) == f"root file system {tmp_path}/none: No such file or directory"


@pytest.mark.parametrize(
    ("fields", "mode"), [({}, 0o666), ({"fileMode": 0o640}, 0o640), ({"fileMode": 0o10604}, 0o604)]
)
def test_a_node_has_its_kind_mode_and_owner_whatever_the_umask(root: Path, fields: dict[str, int], mode: int) -> None:
    before = os.umask(0o077)
    try:
        Rootfs(str(root), False).add_node({**FIFO, **fields})
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    found = (root / "dev/pipe").stat()
    assert (found.st_mode, found.st_uid, found.st_gid) == (stat.S_IFIFO | mode, os.getuid(), os.getgid())
    assert (root / "dev").stat().st_mode & 0o777 == 0o755 & ~0o077


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a node of a device")
@pytest.mark.parametrize(("kind", "mode"), [("c", stat.S_IFCHR), ("b", stat.S_IFBLK)])
def test_a_node_has_its_numbers_and_another_owner(root: Path, kind: str, mode: int) -> None:
    node = {"path": "/dev/x", "type": kind, "major": 1, "minor": 300, "uid": 7}
    Rootfs(str(root), False).add_node(node)
    found = (root / "dev/x").stat()
    assert (found.st_mode, found.st_rdev) == (mode | 0o666, os.makedev(1, 300))
    assert (found.st_uid, found.st_gid) == (7, 0)


def test_a_node_replaces_what_is_there_and_follows_no_link(root: Path, source: Path) -> None:
    (root / "dev").mkdir()
    (root / "dev/pipe").symlink_to(source / "file")
    rootfs = Rootfs(str(root), False)
    rootfs.add_node(FIFO)
    rootfs.add_node({**FIFO, "fileMode": 0o600})
    assert (root / "dev/pipe").lstat().st_mode == stat.S_IFIFO | 0o600
    assert (source / "file").read_text() == "the host's"


def test_a_node_that_cannot_be_made_is_named(root: Path) -> None:
    (root / "dev/pipe/x").mkdir(parents=True)
    with pytest.raises(ShimError) as raised:
        Rootfs(str(root), False).add_node(FIFO)
    assert str(raised.value) == "device node /dev/pipe in the container: Is a directory"


@pytest.mark.parametrize("path", ["", "/dev/..", "/dev/."])
def test_a_path_that_no_node_can_have(root: Path, path: str) -> None:
    with pytest.raises(ShimError) as raised:
        Rootfs(str(root), False).add_node({**FIFO, "path": path})
    assert str(raised.value) == f"{path} cannot be the path of a device node"


def test_a_program_replaces_what_is_there_and_can_be_executed(root: Path, source: Path) -> None:
    (root / "dev").mkdir()
    (root / "dev/start").symlink_to(source / "file")
    rootfs = Rootfs(str(root), True)
    rootfs.add_program("/dev/start", "a long text")
    rootfs.add_program("/dev/start", "#!/bin/sh\n# \udce9\n")
    assert (root / "dev/start").read_bytes() == b"#!/bin/sh\n# \xe9\n"
    assert (root / "dev/start").lstat().st_mode == stat.S_IFREG | 0o755
    assert (source / "file").read_text() == "the host's"


def test_a_program_that_cannot_be_written_is_named(root: Path) -> None:
    (root / "dev/start/x").mkdir(parents=True)
    with pytest.raises(ShimError) as raised:
        Rootfs(str(root), True).add_program("/dev/start", "")
    assert str(raised.value) == "/dev/start in the container: Is a directory"


@pytest.mark.parametrize("target", ["/run/dev", "../../../run/dev", "run/dev"])
def test_no_link_leads_out_of_the_root(root: Path, target: str) -> None:
    (root / "run/dev").mkdir(parents=True)
    (root / "dev").symlink_to(target)
    Rootfs(str(root), True).add_program("/dev/deep/er/start", "x")
    assert (root / "run/dev/deep/er/start").read_text() == "x"


def test_a_link_that_leads_nowhere_is_named(root: Path) -> None:
    (root / "dev").symlink_to("/none")
    with pytest.raises(ShimError) as raised:
        Rootfs(str(root), True).add_program("/dev/start", "x")
    assert str(raised.value) == "/dev in the container is a link that leads nowhere: remove it"


def test_no_descriptor_stays_open(root: Path) -> None:
    rootfs = Rootfs(str(root), False)
    before = os.listdir("/proc/self/fd")
    rootfs.add_node(FIFO)
    rootfs.add_program("/a/b/c/start", "x")
    assert os.listdir("/proc/self/fd") == before


def test_a_file_and_a_directory_are_bound_and_no_descriptor_stays_open(root: Path, source: Path) -> None:
    file = {"destination": "/etc/file", "source": f"{source}/file", "options": ["bind", "ro"]}
    directory = {"destination": "/opt/dir/", "source": str(source), "type": "none", "options": ["rbind", "rprivate"]}
    found = mounted(root, file, directory, files=("/etc/file", "/opt/dir/file"))
    assert found["files"] == ["the host's"] * 2
    assert found["open"] == 1  # the root's own
    assert "ro" in found["/etc/file"]
    assert "rw" in found["/opt/dir"]
    assert (root / "etc/file").is_file()


def test_a_node_is_bound_where_none_can_be_made(root: Path) -> None:
    found = mounted(root, {"path": "/dev/x", "hostPath": "/dev/null"}, files=("/dev/x",))
    assert found["files"] == [""]
    assert "/dev/x" in found


@pytest.mark.parametrize(
    ("options", "has", "lacks"),
    [
        (["ro", "nosuid", "nodev", "noexec"], {"ro", "nosuid", "nodev", "noexec"}, {"rw"}),
        (["ro", "rw", "nosuid", "suid", "nodev", "dev", "noexec", "exec"], {"rw"}, {"ro", "nosuid", "nodev", "noexec"}),
        (["noatime", "nodiratime"], {"noatime", "nodiratime"}, {"relatime"}),
        (["noatime", "atime", "nodiratime", "diratime"], {"relatime", "rw"}, {"noatime", "nodiratime"}),
        (["strictatime"], set(), {"noatime", "relatime"}),
        (["sync"], {"sync"}, {"dirsync"}),
        (["dirsync"], {"dirsync"}, {"sync"}),
        (["sync", "async", "dirsync", "defaults"], {"dirsync", "rw"}, {"sync"}),
        (["size=4096", "mode=700", "ro"], {"ro", "size=4k", "mode=700"}, set()),
        (["norelatime", "relatime"], {"relatime", "rw"}, set()),
    ],
)
def test_options_of_a_file_system(root: Path, options: list[str], has: set[str], lacks: set[str]) -> None:
    found = mounted(root, {"destination": "/t", "source": "tmpfs", "type": "tmpfs", "options": options})["/t"]
    assert "tmpfs" in found
    assert has - set(found) == set()
    assert lacks & set(found) == set()


@pytest.mark.parametrize(
    ("options", "propagation"),
    [(["private"], set()), (["rshared"], {"shared"}), (["shared"], {"shared"}), (["unbindable"], {"unbindable"})],
)
def test_propagation(root: Path, source: Path, options: list[str], propagation: set[str]) -> None:
    found = mounted(root, {"destination": "/d", "source": str(source), "options": ["bind", *options]})["/d"]
    assert {option.partition(":")[0] for option in found} & {"shared", "master", "unbindable"} == propagation


@pytest.mark.parametrize(("option", "bound"), [("bind", False), ("rbind", True)])
def test_what_is_mounted_below_is_bound_where_that_is_asked(root: Path, option: str, bound: bool) -> None:
    below = {"destination": "/a/below", "source": "tmpfs", "type": "tmpfs"}
    found = mounted(root, below, {"destination": "/b", "source": f"{root}/a", "options": [option]})
    assert ("/b/below" in found) == bound


@pytest.mark.parametrize("mapped", [False, True])
def test_a_bind_mount_keeps_what_a_user_namespace_may_not_take_away(root: Path, mapped: bool) -> None:
    first = {"destination": "/a", "source": "tmpfs", "type": "tmpfs", "options": ["nosuid", "noexec", "noatime"]}
    again = {"destination": "/b", "source": f"{root}/a", "options": ["bind", "ro"]}
    found = set(mounted(root, first, again, mapped=mapped)["/b"])
    assert "ro" in found
    assert ({"nosuid", "noexec", "noatime"} <= found) == mapped


def test_a_bind_mount_without_options_is_as_its_source(root: Path) -> None:
    first = {"destination": "/a", "source": "tmpfs", "type": "tmpfs", "options": ["nosuid", "ro"]}
    again = {"destination": "/b", "source": f"{root}/a", "type": "bind"}
    found = mounted(root, first, again)
    assert set(found["/a"]) == set(found["/b"])


def test_a_mount_that_cannot_be_made_is_named(root: Path) -> None:
    with pytest.raises(ShimError) as raised:
        Rootfs(str(root), True).add_mount({"destination": "/x", "source": "/none", "options": ["bind"]})
    assert str(raised.value) == "mount /x of /none: No such file or directory"


def test_a_file_system_that_nobody_has_is_named(root: Path) -> None:
    (root / "x").mkdir()
    with pytest.raises(ShimError) as raised:
        Rootfs(str(root), True).add_mount({"destination": "/x", "type": "no-such-fs"})
    assert str(raised.value).startswith("mount /x of no-such-fs: ")
