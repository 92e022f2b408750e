import calendar
import os
import time
from pathlib import Path

import pytest

from cdi_runc.shim.lxc import record


def test_lines_of_one_container(tmp_path: Path) -> None:
    path = str(tmp_path / "log" / "lxc.log")
    record.write(path, "lxc/a", "error", "no\nsuch  device")
    record.write(path, "lxc/b", "info", "x")
    record.write(path, "lxc/a", "info", "y")
    lines = record.lines_of(path, "lxc/a")
    assert [line[1:] for line in lines] == [("error", "no such device"), ("info", "y")]
    assert abs(calendar.timegm(time.strptime(lines[0][0], "%Y-%m-%dT%H:%M:%SZ")) - time.time()) < 600
    assert os.stat(path).st_mode & 0o777 == 0o640
    assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o755


def test_a_line_is_one_line_of_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "lxc.log"
    record.write(str(path), "lxc/a", "info", "caf\u00e9 \udcff")
    assert path.read_bytes().endswith("Z lxc/a info caf\u00e9 \\udcff\n".encode())
    with path.open("ab") as file:
        file.write(b"T lxc/a info \xff\n")
    assert record.lines_of(str(path), "lxc/a")[1] == ("T", "info", "\ufffd")


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "lxc.log").symlink_to("victim")
    record.write(str(tmp_path / "lxc.log"), "lxc/a", "info", "1")
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({b"XDG_STATE_HOME": b"/s\xff", b"HOME": b"/h"}, "/s\udcff/cdi-runc/lxc.log"),
        ({b"HOME": b"/h"}, "/h/.local/state/cdi-runc/lxc.log"),
        ({}, "/.local/state/cdi-runc/lxc.log"),
    ],
)
def test_where_a_user_s_log_is(environ: dict[bytes, bytes], path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdi_runc.host.places.is_host_root", lambda: False)
    assert record.log_path(environ) == path


def test_where_the_host_s_log_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdi_runc.host.places.is_host_root", lambda: True)
    assert record.log_path({b"XDG_STATE_HOME": b"/s"}) == "/var/log/cdi-runc/lxc.log"


def test_a_long_log_begins_anew_and_the_one_before_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "lxc.log"
    path.write_text("x" * (1 << 20) + "\n")
    record.write(str(path), "lxc/a", "info", "1")
    record.write(str(path), "lxc/a", "info", "2")
    assert path.read_text().count("\n") == 1
    assert [line[2] for line in record.lines_of(str(path), "lxc/a")] == ["1", "2"]


def test_a_log_that_cannot_be_written_is_nobodys_error() -> None:
    record.write("/proc/none/lxc.log", "lxc/a", "info", "1")
    assert record.lines_of("/proc/none/lxc.log", "lxc/a") == []
