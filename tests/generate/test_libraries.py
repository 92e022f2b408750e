import struct
from pathlib import Path

import pytest

from cdi_runc.generate.libraries import cached_libraries, library_mounts
from cdi_runc.generate.tree import Tree
from tests.generate.fixture_trees import grow

X86_64, AARCH64, OTHER = 62, 183, 94


def cache(*paths: str) -> bytes:
    """A cache of glibc's loader with these libraries, after one of the old form, as Debian has it."""
    head, entries, texts = 48, b"", b""
    for path in paths:
        name, place = path.rpartition("/")[2].encode(), path.encode()
        at = head + 24 * len(paths) + len(texts)
        texts += name + b"\0" + place + b"\0"
        entries += struct.pack("<iIIIQ", 0x303, at, at + len(name) + 1, 0, 0)
    new = b"glibc-ld.so.cache1.1" + struct.pack("<II", len(paths), len(texts)) + bytes(20) + entries + texts
    return b"ld.so-1.7.0\0" + bytes(4) + new


def elf(machine: int) -> bytes:
    return b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HH", 3, machine) + bytes(44)


def places(root: Path, *patterns: str) -> dict[str, str]:
    return {mount["containerPath"]: mount["hostPath"] for mount in library_mounts(Tree(str(root)), patterns)}


def test_the_cache_is_read(tmp_path: Path) -> None:
    grow(tmp_path, ["/etc/"])
    (tmp_path / "etc/ld.so.cache").write_bytes(cache("/opt/v/libv.so.1", "/usr/lib/libw.so.2"))
    assert cached_libraries(Tree(str(tmp_path))) == ["/opt/v/libv.so.1", "/usr/lib/libw.so.2"]


def test_our_own_cache_is_read() -> None:
    """Which is a real one, if this host has glibc."""
    found = cached_libraries(Tree())
    if not Path("/etc/ld.so.cache").exists():
        pytest.skip("this host has no cache of glibc's loader")
    assert any(path.endswith("/libc.so.6") and Path(path).exists() for path in found)


@pytest.mark.parametrize("content", [b"", b"x" * 100, cache("/a/liba.so.1")[:70]], ids=["empty", "other", "cut"])
def test_a_cache_that_is_none_is_none(tmp_path: Path, content: bytes) -> None:
    grow(tmp_path, ["/etc/"])
    (tmp_path / "etc/ld.so.cache").write_bytes(content)
    assert cached_libraries(Tree(str(tmp_path))) == []


@pytest.mark.parametrize(
    ("machine", "directories"),
    [
        (X86_64, ["/usr/lib/x86_64-linux-gnu", "/usr/lib64"]),
        (AARCH64, ["/usr/lib/aarch64-linux-gnu", "/usr/lib64"]),
        (OTHER, ["/opt/v"]),
    ],
)
def test_a_library_is_where_loaders_of_its_machine_look(tmp_path: Path, machine: int, directories: list[str]) -> None:
    root = grow(
        tmp_path, ["/etc/", "/opt/v/libv.so.9.1", "/opt/v/libv.so.1 -> libv.so.9.1", "/opt/v/libv.so -> libv.so.1"]
    )
    (root / "opt/v/libv.so.9.1").write_bytes(elf(machine))
    (root / "etc/ld.so.cache").write_bytes(cache("/opt/v/libv.so.1"))
    assert places(root, "libv.so.9.1") == {f"{directory}/libv.so.1": "/opt/v/libv.so.9.1" for directory in directories}


def test_a_library_without_a_soname_keeps_its_name(tmp_path: Path) -> None:
    root = grow(tmp_path, ["/usr/lib64/libv.so.9.1", "/usr/lib64/libother.so.9.1"])
    assert places(root, "libv.so.*") == {"/usr/lib64/libv.so.9.1": "/usr/lib64/libv.so.9.1"}


def test_a_link_out_of_the_root_is_no_library(tmp_path: Path) -> None:
    (tmp_path / "libv.so.1").write_text("")
    root = grow(tmp_path / "root", [f"/usr/lib64/libv.so.1 -> {tmp_path}/libv.so.1"])
    assert places(root, "libv.so.1") == {}
