"""What `engine status` says: it does not take the files for the running engine."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from cdi_runc.engines import status
from cdi_runc.engines.engine import Found, Runtimes
from cdi_runc.engines.records import FileRecord, Registration
from tests.engines.conftest import Notebook

PATH = "/usr/bin/cdi-runc"


@dataclass
class Daemon(Notebook):
    """A notebook with a daemon: our own process, which may be asked or not."""

    pid: int | None = None
    knows: Runtimes | None = None

    def find(self, config: str | None) -> Found:
        return replace(super().find(config), pid=self.pid)

    def live(self, found: Found) -> Runtimes | None:
        return self.knows

    def reload_command(self, found: Found, gone: bool) -> str:
        return "turn the page"


@pytest.fixture
def record(tmp_path: Path) -> Registration:
    path = tmp_path / "notebook.json"
    path.write_text('{"runtimes": {"cdi-runc": {"path": "/usr/bin/cdi-runc"}}}')
    files = [cast("FileRecord", {"path": str(path)})]
    plain: Any = {"engine": "notebook", "config": str(path), "explicit": True, "runtime": "cdi-runc", "path": PATH}
    return cast("Registration", {**plain, "wraps": "runc", "default": False, "native": False, "files": files})


OURS = Runtimes("runc", {"cdi-runc": {"path": PATH}})
UNREAD = "has not read its files yet: turn the page"


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        (Daemon(running=False), "is not running; its files have it"),
        (Daemon(running=True, knows=OURS), "knows it"),
        (Daemon(running=True, knows=Runtimes("runc", {})), UNREAD),
        (Daemon(running=True, knows=Runtimes("runc", {"cdi-runc": {"path": "/old"}})), UNREAD),
        (Daemon(running=True), "can't be asked whether it has read its files; they have it"),
        (Daemon(running=True, pid=os.getpid()), UNREAD),
    ],
)
def test_what_the_running_engine_knows(engine: Daemon, said: str, record: Registration) -> None:
    assert status.verdict(engine, record) == said


def test_an_engine_that_was_started_after_the_change_has_read_it(record: Registration) -> None:
    before = time.time() - 1_000_000
    os.utime(record["config"], (before, before))
    assert status.verdict(Daemon(running=True, pid=os.getpid()), record) == "knows it"


def test_a_default_that_the_running_engine_does_not_have_yet(record: Registration) -> None:
    Path(record["config"]).write_text(
        '{"runtimes": {"cdi-runc": {"path": "/usr/bin/cdi-runc"}}, "default": "cdi-runc"}'
    )
    record["default"] = True
    assert status.verdict(Daemon(running=True, knows=OURS), record) == UNREAD


def test_what_is_not_in_the_files(record: Registration) -> None:
    Path(record["config"]).write_text('{"runtimes": {"cdi-runc": {"path": "/other"}}}')
    assert status.verdict(Daemon(), record) == "does not know it: in its files cdi-runc is /other"
    Path(record["config"]).write_text("{}")
    assert status.verdict(Daemon(), record) == "does not know cdi-runc (any more): its files do not have it"
    record["native"] = True
    assert status.verdict(Daemon(), record) == "its own CDI is off again: its files do not turn it on"
