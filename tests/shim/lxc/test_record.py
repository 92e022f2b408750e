from pathlib import Path

from cdi_runc.shim.lxc import record


def test_lines_of_one_container(tmp_path: Path) -> None:
    path = str(tmp_path / "log" / "lxc.log")
    record.write(path, "lxc/a", "error", "no\nsuch  device")
    record.write(path, "lxc/b", "info", "x")
    record.write(path, "lxc/a", "info", "y")
    assert [line[1:] for line in record.lines_of(path, "lxc/a")] == [("error", "no such device"), ("info", "y")]


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
