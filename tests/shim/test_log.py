"""Words for people go where the runtime's go, in its form."""

import json
import os
import re
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
