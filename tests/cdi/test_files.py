"""Foreign files are read with care, and files are replaced whole, with all that belongs to them."""

from __future__ import annotations

import errno
import os
import pathlib
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from cdi_runc.cdi._files import UnfitFile, read_file, remove_temporary, replace_file, temporary_name

IS_ROOT = os.geteuid() == 0


def names(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_read_up_to_its_limit(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 10)
    assert read_file(path, 10) == b"x" * 10
    with pytest.raises(UnfitFile) as caught:
        read_file(path, 9)
    assert (caught.value.errno, caught.value.strerror) == (errno.EFBIG, "is larger than 9 bytes")
    assert caught.value.filename == str(path)


@pytest.mark.parametrize(
    ("limit", "size"), [(1000, "1000 bytes"), (1 << 20, "1 MiB"), ((1 << 21) - 1, "1 MiB"), (3 << 20, "3 MiB")]
)
def test_a_file_of_any_size_is_read_up_to_the_byte(tmp_path: pathlib.Path, limit: int, size: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * limit)
    assert len(read_file(path, limit)) == limit
    with path.open("ab") as file:
        file.write(b"x")
    with pytest.raises(UnfitFile, match=f"is larger than {size}: "):
        read_file(path, limit)


def test_the_size_that_a_file_of_proc_tells_does_not_count() -> None:
    assert read_file("/proc/self/cmdline", 1 << 20).endswith(b"\0")


UNFIT: dict[str, tuple[Callable[[pathlib.Path], object], str]] = {
    "pipe": (os.mkfifo, "is a pipe, socket or device, not a file"),
    "folder": (os.mkdir, "is a directory, not a file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "is a pipe, socket or device, not a file"),
}


@pytest.mark.parametrize(("make", "words"), UNFIT.values(), ids=UNFIT)
def test_what_is_no_file_is_refused_at_once(
    make: Callable[[pathlib.Path], object], words: str, tmp_path: pathlib.Path
) -> None:
    make(tmp_path / "a")
    with pytest.raises(UnfitFile) as caught:
        read_file(tmp_path / "a", 100)
    assert (caught.value.errno, caught.value.strerror) == (errno.EINVAL, words)
    assert caught.value.filename == str(tmp_path / "a")


def test_a_link_is_read_only_where_links_are_welcome(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    assert read_file(tmp_path / "link", 100) == b"x"
    with pytest.raises(UnfitFile, match="is a symbolic link"):
        read_file(tmp_path / "link", 100, links=False)


def test_a_file_is_read_below_the_folder_that_is_open(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    folder = os.open(tmp_path, os.O_PATH)
    try:
        (tmp_path.parent / "elsewhere").mkdir()
        os.rename(tmp_path, tmp_path.parent / "moved")
        assert read_file("a", 100, folder=folder) == b"x"
    finally:
        os.close(folder)


def test_a_new_file_has_the_mode_that_is_asked_for_whatever_the_umask(tmp_path: pathlib.Path) -> None:
    before = os.umask(0o077)
    try:
        replace_file(tmp_path / "a", b"new", mode=0o640)
    finally:
        os.umask(before)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
    assert names(tmp_path) == ["a"]


def test_a_file_keeps_its_mode_and_its_attributes(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o600)
    os.setxattr(path, "user.note", b"mine")
    replace_file(path, b"new", mode=0o644)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.getxattr(path, "user.note") == b"mine"


@pytest.mark.skipif(not IS_ROOT, reason="only root may give files away")
def test_a_file_keeps_its_owner(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    os.chown(path, 1000, 1001)
    path.chmod(0o4750)
    replace_file(path, b"new")
    found = path.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1000, 1001, 0o4750)


def test_a_file_keeps_its_acl(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o640)
    # Version 2 of the kernel's form: tag, permissions, id. user::rw-, user:1234:r--, group::r--, mask::r--, other::---
    entries = [
        (0x01, 6, 0xFFFFFFFF),
        (0x02, 4, 1234),
        (0x04, 4, 0xFFFFFFFF),
        (0x10, 4, 0xFFFFFFFF),
        (0x20, 0, 0xFFFFFFFF),
    ]
    acl = b"\2\0\0\0" + b"".join(
        tag.to_bytes(2, "little") + perm.to_bytes(2, "little") + who.to_bytes(4, "little") for tag, perm, who in entries
    )
    try:
        os.setxattr(path, "system.posix_acl_access", acl)
    except OSError as fault:
        if fault.errno != errno.ENOTSUP:
            raise
        pytest.skip("the file system has no ACLs")
    replace_file(path, b"new")
    assert os.getxattr(path, "system.posix_acl_access") == acl


def test_nothing_is_kept_where_that_is_not_wanted(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o666)
    os.setxattr(path, "user.note", b"mine")
    replace_file(path, b"new", mode=0o600, keep=False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listxattr(path) == []


def test_a_link_is_replaced_and_its_target_stays(tmp_path: pathlib.Path) -> None:
    (tmp_path / "victim").write_bytes(b"old")
    (tmp_path / "a").symlink_to("victim")
    replace_file(tmp_path / "a", b"new")
    assert (tmp_path / "victim").read_bytes() == b"old"
    assert not (tmp_path / "a").is_symlink()


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_not_replaced(make: Callable[[pathlib.Path], None], tmp_path: pathlib.Path) -> None:
    make(tmp_path / "a")
    with pytest.raises(OSError, match="a"):
        replace_file(tmp_path / "a", b"new")
    assert names(tmp_path) == ["a"]
    assert not (tmp_path / "a").is_file()


def test_a_file_that_must_stay_stays(tmp_path: pathlib.Path) -> None:
    replace_file(tmp_path / "a", b"one", overwrite=False)
    with pytest.raises(FileExistsError) as caught:
        replace_file(tmp_path / "a", b"two", overwrite=False)
    assert caught.value.filename == str(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"one"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("failing", ["write", "fsync", "fchmod", "rename"])
def test_a_fault_leaves_the_old_file_and_nothing_else(
    failing: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(OSError, match="No space left") as caught:
        replace_file(tmp_path / "a", b"new")
    monkeypatch.undo()
    assert caught.value.filename == str(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def _plant_file(path: pathlib.Path) -> None:
    path.write_bytes(b"half a fi")
    path.chmod(0o777)
    os.setxattr(path, "user.note", b"stale")


LEFT_BEHIND: dict[str, Callable[[pathlib.Path], None]] = {
    "half a file": _plant_file,
    "a link": lambda path: path.symlink_to("victim"),
    "a pipe": os.mkfifo,
    "a file with two names": lambda path: path.hardlink_to(path.parent / "victim"),
}


@pytest.mark.parametrize("plant", LEFT_BEHIND.values(), ids=LEFT_BEHIND)
def test_what_is_left_at_the_temporary_name_is_neither_used_nor_kept(
    plant: Callable[[pathlib.Path], None], tmp_path: pathlib.Path
) -> None:
    (tmp_path / "victim").write_bytes(b"old")
    plant(tmp_path / temporary_name("a"))
    replace_file(tmp_path / "a", b"new", mode=0o600)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (stat.S_IMODE((tmp_path / "a").stat().st_mode), os.listxattr(tmp_path / "a")) == (0o600, [])
    assert (tmp_path / "victim").read_bytes() == b"old"
    assert names(tmp_path) == ["a", "victim"]


def test_many_writers_of_one_file_never_mix(tmp_path: pathlib.Path) -> None:
    texts = [bytes([65 + number]) * 100_000 for number in range(8)]
    seen: list[bytes] = []

    def write(text: bytes) -> None:
        for _ in range(5):
            replace_file(tmp_path / "a", text)
            seen.append((tmp_path / "a").read_bytes())

    writers = [threading.Thread(target=write, args=[text]) for text in texts]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert len(seen) == 40
    assert set(seen) <= set(texts)
    assert names(tmp_path) == ["a"]


def test_what_a_killed_writer_left_can_be_removed(tmp_path: pathlib.Path) -> None:
    remove_temporary(str(tmp_path / "a"))
    (tmp_path / temporary_name("a")).write_bytes(b"half")
    remove_temporary(str(tmp_path / "a"))
    assert names(tmp_path) == []


def test_a_limit_on_file_sizes_is_an_error_and_nothing_stays(tmp_path: pathlib.Path) -> None:
    """As on a full disk. In a process of its own, since the limit holds for the whole process."""
    program = (
        "import signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from cdi_runc.cdi._files import replace_file\n"
        "replace_file(sys.argv[1], b'x' * 100_000)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "File too large" in done.stderr
    assert names(tmp_path) == []


def test_a_file_of_the_working_directory(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    replace_file("a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def test_no_descriptor_stays_open(tmp_path: pathlib.Path) -> None:
    before = os.listdir("/proc/self/fd")
    for _ in range(2):
        replace_file(tmp_path / "a", b"new")
    read_file(tmp_path / "a", 100)
    for path, limit in ((tmp_path / "none", 1), (tmp_path, 1), (tmp_path / "a", 1)):
        with pytest.raises(OSError, match=path.name):
            read_file(path, limit)
    assert os.listdir("/proc/self/fd") == before
