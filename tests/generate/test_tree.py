import os
from pathlib import Path

import pytest

from cdi_runc.generate.tree import Tree, Unreadable
from tests.generate.fixture_trees import grow


def test_links_do_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("outside")
    root = grow(
        tmp_path / "root",
        [
            "/a/up -> ../../../secret",
            f"/a/absolute -> {tmp_path}/secret",
            "/a/inside -> /b/c",
            "/b/c = text",
            "/a/loop -> loop",
        ],
    )
    tree = Tree(str(root))
    assert tree.real("/a/up") is None
    assert tree.real("/a/absolute") is None
    assert tree.real("/a/loop") is None
    assert tree.read("/a/inside") == "text"
    assert tree.glob("/a/*") == ["/a/inside"]


def test_up_from_the_root_is_the_root(tmp_path: Path) -> None:
    tree = Tree(str(grow(tmp_path, ["/x = 1", "/d/"])))
    assert tree.real("/d/../../../x") == "/x"


def test_place_is_where_a_file_would_be(tmp_path: Path) -> None:
    tree = Tree(str(grow(tmp_path, ["/run/", "/var/run -> /run"])))
    assert tree.place("/var/run/cdi") == f"{tree.root}/run/cdi"


def test_a_node_of_the_host_is_a_device() -> None:
    tree = Tree()
    assert tree.is_node("/dev/null")
    assert not tree.is_node("/etc/passwd")
    assert not tree.is_node("/dev/none")


def test_a_name_in_sysfs_with_an_exclamation_mark_is_a_path(tmp_path: Path) -> None:
    tree = Tree(str(grow(tmp_path, ["/sys/class/x/a!0/dev = 1:1"])))
    assert tree.node_of("/sys/class/x/a!0") == "/dev/a/0"


@pytest.mark.parametrize("name", ["../etc/shadow", "a\x01b", "a" * 256])
def test_a_name_that_cannot_be_a_nodes_is_none(tmp_path: Path, name: str) -> None:
    tree = Tree(str(grow(tmp_path, ["/sys/x/dev = 1:1", f"/sys/x/uevent = DEVNAME={name}"])))
    assert tree.node_of("/sys/x") is None


def test_a_path_longer_than_any_is_not_there(tmp_path: Path) -> None:
    assert Tree(str(tmp_path)).real("/a" * 3000) is None


def test_names_that_are_no_text_are_left_out(tmp_path: Path) -> None:
    for name in (b"good", b"\xff", b"a\nb"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).touch()
    assert Tree(str(tmp_path)).glob("/*") == ["/good"]


def test_names_are_sorted_by_their_numbers(tmp_path: Path) -> None:
    tree = Tree(str(grow(tmp_path, ["/d/card10", "/d/card9", "/d/.hidden", "/d/a"])))
    assert tree.glob("/d/*") == ["/d/a", "/d/card9", "/d/card10"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b"x" * ((1 << 20) + 1)), "/f is larger than 1024 KiB"),
        (lambda path: path.mkdir(), "/f cannot be read: Is a directory"),
        (lambda path: os.mkfifo(path), "/f is not a file"),
    ],
    ids=["huge", "a directory", "a pipe"],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, make: object, message: str) -> None:
    make(tmp_path / "f")  # type: ignore[operator]
    with pytest.raises(Unreadable) as fault:
        Tree(str(tmp_path)).read("/f")
    assert message in str(fault.value)


def test_a_file_that_fails_is_said() -> None:
    """The kernel's own, which answers with EIO or EINVAL where it is read at its start."""
    if not os.path.exists("/proc/self/mem"):
        pytest.skip("there is no such file here")
    with pytest.raises(Unreadable, match="/proc/self/mem cannot be read: Input/output error"):
        Tree().read("/proc/self/mem")


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Tree(str(tmp_path)).read("/none")


def test_bytes_that_are_no_text_are_shown_as_such(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"a\xff\n\0")
    assert Tree(str(tmp_path)).read("/f") == "a\ufffd"
