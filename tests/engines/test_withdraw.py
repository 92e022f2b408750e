"""One installation goes, and takes its own registrations along, no others."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from cdi_runc.engines import journal, records
from cdi_runc.engines.withdraw import withdraw


def registration(path: str, **more: object) -> dict[str, object]:
    record = {"engine": "docker", "config": "/etc/docker/daemon.json", "runtime": "cdi-runc", "path": path, "files": []}
    return record | more


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    state = tmp_path / "state"
    (state / "bin").mkdir(parents=True)
    monkeypatch.setattr(journal, "state_directory", lambda: str(state))
    return state


@pytest.fixture
def write(state: Path) -> Callable[..., None]:
    def write(*entries: dict[str, object]) -> None:
        (state / "registrations.json").write_text(json.dumps(entries))

    return write


class Cdictl:
    """Takes the registration out of the records, as the real one does; a stubborn one does nothing."""

    def __init__(self, state: Path, stubborn: bool = False) -> None:
        self.state, self.stubborn = state, stubborn
        self.calls: list[list[str]] = []

    def __call__(self, command: Sequence[str]) -> None:
        self.calls.append(list(command))
        name = command[command.index("--runtime-name") + 1]
        if not self.stubborn:
            left = [record for record in records.registrations(str(self.state)) if record["runtime"] != name]
            (self.state / "registrations.json").write_text(json.dumps(left))


def test_what_is_ours_goes(state: Path, write: Callable[..., None]) -> None:
    write(registration("/usr/bin/cdi-runc"), registration("/usr/bin/cdi-crun", runtime="x", explicit=True, config="/c"))
    cdictl = Cdictl(state)
    assert withdraw("/usr/bin", str(state), True, cdictl) == ""
    ours = ["/usr/bin/cdictl", "engine", "disable", "docker", "--runtime-name"]
    assert cdictl.calls == [[*ours, "cdi-runc", "--restart"], [*ours, "x", "--config", "/c", "--restart"]]
    assert not state.exists()


@pytest.mark.parametrize("script", [None, "/usr/bin/cdi-runc --cdi-runtime=/usr/local/bin/runc"])
def test_another_installations_stays(state: Path, write: Callable[..., None], script: str | None) -> None:
    """Its launcher names our Python, and its script a runtime beside our launcher."""
    path = state / "bin/cdi-runc"
    path.write_text(f'#!/bin/sh\nexec {script} "$@"\n' if script else "")
    write(registration(str(path) if script else "/usr/bin/cdi-runc"))
    cdictl = Cdictl(state)
    assert withdraw("/usr/local/bin", str(state), False, cdictl) == ""
    assert cdictl.calls == []
    assert len(records.registrations(str(state))) == 1


def test_a_script_of_ours_is_ours(state: Path, write: Callable[..., None]) -> None:
    path = state / "bin/cdi-runc"
    path.write_text('#!/bin/sh\nexec /usr/local/bin/cdi-runc --cdi-runtime=/opt/runc "$@"\n')
    write(registration(str(path)))
    cdictl = Cdictl(state)
    assert withdraw("/usr/local/bin", str(state), False, cdictl) == ""
    assert len(cdictl.calls) == 1


def test_an_engines_own_cdi_stays(state: Path, write: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    write(registration("", runtime="", native=True))
    cdictl = Cdictl(state)
    assert withdraw("/usr/bin", str(state), False, cdictl) == ""
    assert cdictl.calls == []
    assert "docker: its own CDI stays on" in capsys.readouterr().out
    assert state.exists()


def test_while_an_engine_needs_us_nothing_is_removed(state: Path, write: Callable[..., None]) -> None:
    write(registration("/usr/bin/cdi-runc"))
    reason = withdraw("/usr/bin", str(state), False, Cdictl(state, stubborn=True))
    assert reason == "not removed, since an engine still needs it"
    assert state.exists()


def test_a_change_that_was_cut_short_is_rolled_back_first(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed after daemon.json was written and before the record was: dockerd would miss its default runtime."""
    daemon = tmp_path / "daemon.json"
    daemon.write_text("new")
    change = {"path": str(daemon), "before": "old", "after": "new", "mode": 0o644, "owner": None, "made": []}
    (state / "pending.json").write_text(json.dumps([change]))
    assert withdraw("/usr/bin", str(state), False, Cdictl(state)) == ""
    assert daemon.read_text() == "old"
    assert "put back as it was" in capsys.readouterr().out
    assert not state.exists()


def test_a_state_directory_with_an_unfinished_change_stays(state: Path, tmp_path: Path) -> None:
    daemon = tmp_path / "daemon.json"
    daemon.mkdir()
    change = {"path": str(daemon), "before": "old", "after": "new", "mode": 0o644, "owner": None, "made": []}
    (state / "pending.json").write_text(json.dumps([change]))
    assert "a file is not as it was before" in withdraw("/usr/bin", str(state), False, Cdictl(state))
    assert (state / "pending.json").exists()


def test_damaged_records_are_a_reason(state: Path) -> None:
    (state / "registrations.json").write_text("{")
    assert "registrations.json is damaged" in withdraw("/usr/bin", str(state), False, Cdictl(state))
