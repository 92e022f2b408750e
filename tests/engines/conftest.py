"""An engine as simple as one can be: a JSON file of runtimes, and a setting that names the default."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cdi_runc.engines import values
from cdi_runc.engines.engine import EngineError, FilePlan, Found, Put, Runtimes, Trial, Wish


@dataclass
class Notebook:
    """The engine. It refuses a config with a runtime of the name `refuses`, and keeps each text that it reloads.

    `keeps` has the ids of pods, by runtime.
    """

    PARTING: tuple[Put, ...] = ()
    running: bool = False
    refuses: str = ""
    keeps: dict[str, list[str]] = field(default_factory=dict)
    reloads: list[str] = field(default_factory=list)

    def find(self, config: str | None) -> Found:
        return Found("notebook", "/usr/bin/notebook", "1.2", config or "", self.running, "no", True)

    def runtimes(self, found: Found) -> Runtimes:
        settings = values.load("json", found.config)
        handlers = settings.get("runtimes", {})
        assert isinstance(handlers, dict)
        if self.refuses and self.refuses in handlers:
            raise EngineError(f"notebook: I want no {self.refuses}")
        return Runtimes(str(settings.get("default", "runc")), {"runc": {"path": "runc"}, **handlers})

    def plan(self, found: Found, wish: Wish, known: Runtimes) -> list[FilePlan]:
        puts = [Put(("runtimes", wish.runtime), {"path": wish.path})]
        if wish.default:
            puts.append(Put(("default",), wish.runtime))
        return [FilePlan(found.config, "json", tuple(puts))]

    def reload(self, found: Found, runtime: str | None) -> None:
        self.reloads.append(Path(found.config).read_text())

    def reload_command(self, found: Found, gone: bool) -> str:
        return ""

    def advice(self, found: Found, wish: Wish) -> list[str]:
        return []

    def mine(self, command: Sequence[str]) -> bool:
        return True

    def start(self, found: Found, trial: Trial) -> int:
        raise EngineError("it only keeps notes")

    def load_image(self, found: Found, archive: str, image: str) -> None:
        raise EngineError("it only keeps notes")

    def clean(self, found: Found, trial: Trial, image: bool) -> None:
        pass

    def kept(self, found: Found, runtime: str) -> list[str]:
        return self.keeps.get(runtime, [])

    def takes_annotations(self, found: Found) -> bool:
        return True


@pytest.fixture
def notebook() -> Notebook:
    return Notebook()


Command = Callable[[str, str], Path]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Puts a shell script of that name and text on PATH, before all others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")

    def make(name: str, script: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return make


def as_json(path: Path) -> object:
    return json.loads(path.read_text())


def applied(plan: FilePlan) -> str:
    """The file's text with the plan in it, and that taking it out gives what was there."""
    path = Path(plan.path)
    before = path.read_text() if path.exists() else plan.start
    after, undos = values.apply(plan, before)
    rest = values.take_out(plan.syntax, after, undos)
    assert [line for line in rest.splitlines() if line] == [line for line in before.splitlines() if line]
    return after
