"""Words for people go where the runtime's go, in its form."""

import json
import os
import re
import syslog
import time
from pathlib import Path

import pytest

from cdi_runc.shim import log
from cdi_runc.shim.cmdline import Call


def logged(tmp_path: Path, dialect: str, log_format: str | None, message: str = 'no "x"', target: str = "") -> str:
    call = Call()
    call.log, call.log_format, call.bundle = target or str(tmp_path / "log"), log_format, str(tmp_path)
    log.tell("error", message, call, dialect)
    return (tmp_path / "log").read_text()


@pytest.mark.parametrize("dialect", ["runc", "crun", "youki"])
def test_a_json_log_gets_json(tmp_path: Path, dialect: str, capfd: pytest.CaptureFixture[str]) -> None:
    line = json.loads(logged(tmp_path, dialect, "json"))
    assert (line["level"], line["msg"]) == ("error", 'cdi-runc: no "x"')
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line["time"])
    assert capfd.readouterr().err == 'cdi-runc: no "x"\n'


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        ("runc", r'time="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ" level=error msg="cdi-runc: no \\"x\\""\n'),
        ("crun", r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z: cdi-runc: no "x"\n'),
    ],
)
def test_a_text_log_gets_text(tmp_path: Path, dialect: str, expected: str) -> None:
    assert re.fullmatch(expected, logged(tmp_path, dialect, None))


def test_what_the_log_holds_stays(tmp_path: Path) -> None:
    logged(tmp_path, "runc", "text")
    assert len(logged(tmp_path, "runc", "text").splitlines()) == 2


@pytest.mark.parametrize("target", ["file:{}/log", "{}/log", "log"])
def test_a_log_of_crun_may_name_its_kind_or_be_relative_to_the_bundle(tmp_path: Path, target: str) -> None:
    assert "no" in logged(tmp_path, "crun", None, target=target.format(tmp_path))


def test_a_message_is_one_line_of_bounded_length(tmp_path: Path) -> None:
    line = json.loads(logged(tmp_path, "runc", "json", "a\nb\r\n\tc " + "x" * 100_000))["msg"]
    assert line.startswith("cdi-runc: a b c xxx")
    assert len(line) == log.MAX_LENGTH


def test_nothing_that_a_terminal_would_obey_is_written(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log.tell("error", "/b/\x1b[31m\x07\x9b\u202e\ud800 gr\u00f6\u00dfe", None, "runc")
    assert capfd.readouterr().err == "cdi-runc: /b/\\x1b[31m\\x07\\x9b\\u202e\\ud800 gr\u00f6\u00dfe\n"


def test_a_log_that_cannot_be_written_is_no_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    call = Call()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for target in ("/nowhere/log", str(tmp_path), str(fifo), ""):
        call.log = target
        log.tell("error", "x", call, "runc")
    assert capfd.readouterr().err == "cdi-runc: x\n" * 4


def test_a_warning_is_for_the_log_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    call = Call()
    call.log, call.log_format = str(tmp_path / "log"), "json"
    log.tell("warning", "mind this", call, "runc")
    assert capfd.readouterr().err == ""
    assert json.loads((tmp_path / "log").read_text())["level"] == "warning"


@pytest.mark.parametrize(
    ("level", "length"),
    [("error", log.MAX_LENGTH + len(" (more)")), ("debug", len("cdi-runc: ") + 5000 + len(" (more)"))],
)
def test_what_a_line_ends_with_is_never_cut(tmp_path: Path, level: str, length: int) -> None:
    call = Call()
    call.log, call.log_format = str(tmp_path / "log"), "json"
    log.tell(level, "x" * 5000, call, "runc", " (more)")
    line = json.loads((tmp_path / "log").read_text())["msg"]
    assert len(line) == length
    assert line.endswith("x ... (more)" if level == "error" else "x (more)")


def test_a_message_of_the_longest_length_is_whole(capfd: pytest.CaptureFixture[str]) -> None:
    message = "x" * (log.MAX_LENGTH - len("cdi-runc: "))
    log.tell("error", message, None, "runc")
    assert capfd.readouterr().err == f"cdi-runc: {message}\n"


def test_a_new_log_can_be_read_by_all(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        logged(tmp_path, "runc", None)
    finally:
        os.umask(before)
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("target", ["journald:x", "syslog:x"])
@pytest.mark.parametrize(("level", "number"), [("error", syslog.LOG_ERR), ("warning", syslog.LOG_WARNING)])
def test_crun_s_journal_and_syslog(
    tmp_path: Path, target: str, level: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[object] = []
    monkeypatch.setattr(syslog, "openlog", said.append)
    monkeypatch.setattr(syslog, "syslog", lambda *line: said.append(line))
    monkeypatch.chdir(tmp_path)
    call = Call()
    call.log = target
    log.tell(level, "x", call, "crun")
    assert said == ["cdi-runc", (number, "cdi-runc: x")]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dialect", ["runc", "youki"])
def test_other_runtimes_take_a_kind_for_a_name(tmp_path: Path, dialect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    call = Call()
    call.log, call.bundle = "file:x", "/b"
    log.tell("warning", "x", call, dialect)
    assert [path.name for path in tmp_path.iterdir()] == ["file:x"]


@pytest.mark.parametrize(
    ("bundle", "where"), [("/b", "/b"), ("b", "{}/b"), (None, "{}"), ("", "{}"), ("b/../c", "{}/b/../c")]
)
def test_a_refusal_is_kept_for_explain(
    tmp_path: Path, bundle: str | None, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    call = Call()
    call.bundle = bundle
    for message in ("a long message", 'no "x"'):
        assert log.remember(message, call, str(state))
    kept = json.loads((state / "refused").read_text())
    assert abs(kept.pop("time") - time.time()) < 600
    assert kept == {"bundle": where.format(tmp_path), "message": 'no "x"'}
    assert (state / "refused").stat().st_mode & 0o777 == 0o600


def test_a_refusal_is_kept_only_in_a_directory_of_our_own(tmp_path: Path) -> None:
    assert not log.remember("x", None, "/nowhere")
    tmp_path.chmod(0o777)
    assert not log.remember("x", None, str(tmp_path))
    assert list(tmp_path.iterdir()) == []
