"""A config.json is read from the bundle that was named, and replaced there, with all that belongs to a file."""

import json
import os
import posix
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cdi_runc.shim import bundle
from cdi_runc.shim.bundle import Config, mentions
from cdi_runc.shim.errors import ConfigError
from tests.processes import ending

LIB = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    directory = tmp_path / "bundle"
    directory.mkdir()
    (directory / "config.json").write_text('{"a": 1}')
    return directory / "config.json"


def changed(path: Path | str) -> Config:
    config = Config(str(path))
    config.data["b"] = 2
    config.replace()
    config.close()
    return config


def test_a_file_is_replaced_and_nothing_else_appears(path: Path) -> None:
    changed(path)
    assert json.loads(path.read_text()) == {"a": 1, "b": 2}
    assert os.listdir(path.parent) == ["config.json"]


def test_what_was_read_can_be_put_back(path: Path) -> None:
    before = ' {"a":1.10,\t"\u00e4": "\xc3" }\n'
    path.write_text(before)
    config = Config(str(path))
    config.data["b"] = 2
    config.replace()
    config.restore()
    assert path.read_text() == before
    assert os.listdir(path.parent) == ["config.json"]


@pytest.mark.parametrize("name", ["config.json", "./config.json", "../bundle/config.json", "other"])
def test_a_path_may_be_relative_and_the_file_may_have_any_name(
    path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (path.parent / "other").write_text("{}")
    monkeypatch.chdir(path.parent)
    changed(name)
    assert json.loads((path.parent / name).read_text())["b"] == 2
    assert sorted(os.listdir()) == ["config.json", "other"]


def test_a_bundle_that_is_swapped_during_the_call_gets_nothing(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "config.json").write_text("{}")
    link = tmp_path / "link"
    link.symlink_to(path.parent)
    config = Config(f"{link}/config.json")
    config.data["b"] = 2
    link.unlink()
    link.symlink_to(victim)
    config.replace()
    assert (victim / "config.json").read_text() == "{}"
    assert os.listdir(victim) == ["config.json"]
    assert json.loads(path.read_text())["b"] == 2


def test_a_descriptor_is_not_for_the_runtime_and_can_be_closed(path: Path) -> None:
    def leading_there() -> list[int]:
        targets = [(int(name), f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
        return [number for number, link in targets if os.path.realpath(link).startswith(str(path.parent))]

    config = Config(str(path))
    assert len(leading_there()) == 2
    assert not any(os.get_inheritable(descriptor) for descriptor in leading_there())
    config.close()
    config.close()
    assert leading_there() == []


def attributes(path: Path) -> dict[str, bytes]:
    return {name: os.getxattr(path, name) for name in os.listxattr(path)}


def test_mode_owner_and_attributes_are_kept(path: Path) -> None:
    path.chmod(0o640)
    kept = {"user.origin": b"an engine", "trusted.note": b"x"} if os.geteuid() == 0 else {"user.origin": b"an engine"}
    try:
        for name, value in kept.items():
            os.setxattr(path, name, value)
    except OSError as fault:
        pytest.skip(f"no extended attributes here: {fault}")
    if os.geteuid() == 0:
        os.chown(path, 1234, 4321)
    before, had = path.stat(), attributes(path)
    changed(path)
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert attributes(path) == had
    assert after.st_ino != before.st_ino


# The binary form of `u::rw,u:1000:r,g::r,m::r,o::-` (linux/posix_acl_xattr.h: version 2, then tag, rights, id).
ACL = bytes.fromhex("02000000 01000600ffffffff 02000400e8030000 04000400ffffffff 10000400ffffffff 20000000ffffffff")


def test_an_acl_is_kept_and_none_is_inherited(path: Path) -> None:
    try:
        os.setxattr(path, "system.posix_acl_access", ACL)
    except OSError as fault:
        pytest.skip(f"no ACLs here: {fault}")
    before = path.stat().st_mode
    changed(path)
    assert os.getxattr(path, "system.posix_acl_access") == ACL
    assert path.stat().st_mode == before
    os.removexattr(path, "system.posix_acl_access")
    path.chmod(0o640)
    os.setxattr(path.parent, "system.posix_acl_default", ACL)
    changed(path)
    assert os.listxattr(path) == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_another_hard_link_keeps_the_old_data(path: Path) -> None:
    os.link(path, path.parent / "original")
    changed(path)
    assert (path.parent / "original").read_text() == '{"a": 1}'


LEFTOVERS = ["config.json.4711.cdi-runc", f"config.json.{os.getpid()}.cdi-runc", "config.json.00ffaa.cdi-runc"]
OF_OTHERS = ["config.json.bak", "config.json.cdi-runc", "config.json.old.cdi-runc", "x.4711.cdi-runc"]


def test_what_killed_processes_left_is_swept(path: Path) -> None:
    for name in [*LEFTOVERS, *OF_OTHERS]:
        (path.parent / name).write_text("half")
    changed(path)
    assert sorted(os.listdir(path.parent)) == sorted(["config.json", *OF_OTHERS])


def test_the_temporary_file_of_a_process_that_lives_is_not_swept(path: Path) -> None:
    other = path.parent / "config.json.4711.cdi-runc"
    other.write_text("half")
    code = (
        "import os, sys\n"
        "os.lockf(os.open(sys.argv[1], os.O_WRONLY), os.F_TLOCK, 0)\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(other)]
    with ending(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "locked\n"
        changed(path)
        assert other.exists()
    changed(path)
    assert not other.exists()


def test_nothing_is_left_behind_where_the_file_cannot_be_replaced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cdi_runc.shim.bundle.posix.write", no_space)
    with pytest.raises(ConfigError, match="can't be replaced: No space left"):
        changed(path)
    assert os.listdir(path.parent) == ["config.json"]
    assert path.read_text() == '{"a": 1}'


def test_a_disk_that_complains_after_the_file_was_replaced_stops_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(str(path))
    config.data["b"] = 2
    with monkeypatch.context() as patch:
        close = posix.close

        def complain(descriptor: int) -> None:
            close(descriptor)
            raise OSError(5, "Input/output error")

        patch.setattr(bundle, "_names", lambda _: [])
        patch.setattr(posix, "close", complain)
        config.replace()
    config.close()
    assert json.loads(path.read_text()) == {"a": 1, "b": 2}


def test_the_new_file_is_on_the_disk_before_it_takes_the_place(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def noted(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            done.append(name)
            return real(*arguments, **options)

        return call

    for name in ("fsync", "rename"):
        monkeypatch.setattr(f"cdi_runc.shim.bundle.posix.{name}", noted(name, getattr(os, name)))
    changed(path)
    assert done == ["fsync", "rename"]


def zero(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link(path: Path) -> None:
    path.rename(path.parent / "elsewhere")
    path.symlink_to("elsewhere")


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def missing(path: Path) -> None:
    path.unlink()


def no_bundle(path: Path) -> None:
    path.unlink()
    path.parent.rmdir()


def large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(bundle.MAX_SIZE + 1)


def marked(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf{}")


def holds(data: bytes) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        path.write_bytes(data)

    return spoil


UNFIT: list[tuple[Callable[[Path], None], str]] = [
    (zero, "a symbolic link"),
    (link, "a symbolic link"),
    (fifo, "not a regular file"),
    (directory, "not a regular file"),
    (missing, "No such file"),
    (no_bundle, "No such file"),
    (large, "bytes; the limit is"),
    (marked, "byte order mark"),
    (holds(b"[]"), "expected a JSON object, found a list$"),
    (holds(b'"a"'), "expected a JSON object, found a text$"),
    (holds(b"true"), "expected a JSON object, found a truth value$"),
    (holds(b"null"), "expected a JSON object, found null$"),
    (holds(b"1"), "expected a JSON object, found a number$"),
    (holds(b"1.5"), "expected a JSON object, found a number$"),
    (holds(b'"\xff"'), "not UTF-8 at byte 1$"),
]


@pytest.mark.parametrize(("spoil", "expected"), UNFIT, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_no_fit_file_is_said_in_one_line(path: Path, spoil: Callable[[Path], None], expected: str) -> None:
    spoil(path)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ConfigError, match=f"^{re.escape(str(path))}: .*{expected}"):
        Config(str(path))
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_request_is_searched_for_in_regular_files_only_and_not_without_end(path: Path) -> None:
    assert mentions(str(path), [b"x", b'"a"'])
    assert not mentions(str(path), [b"x"])
    link(path)
    assert mentions(str(path), [b'"a"'])
    path.unlink()
    path.symlink_to("/dev/zero")
    assert not mentions(str(path), [b"x"])
    path.unlink()
    path.symlink_to("/proc/self/status")  # no size: nothing of it is read, as some such files wait
    assert not mentions(str(path), [b"Name"])
    path.unlink()
    with path.open("wb") as file:
        file.truncate(20 << 30)
    assert mentions(str(path), [b"x"])


def test_a_request_is_found_across_the_seam_of_two_reads(path: Path) -> None:
    path.write_bytes(b" " * ((1 << 20) - 3) + b"needle")
    assert mentions(str(path), [b"needle"])
