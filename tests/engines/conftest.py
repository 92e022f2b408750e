"""An engine as simple as one can be: a JSON file of runtimes, and a setting that names the default."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from cdi_runc.engines import values
from cdi_runc.engines.engine import EngineError, FilePlan, Found, Native, NewRuntime, Put, Runtimes

_NATIVE = Native(
    "notebook run --device vendor.com/class=name",
    "1.0",
    lambda found: [FilePlan(found.config, "json", (Put(("cdi",), True),))],
    lambda found: values.load("json", found.config).get("cdi") is True,
    lambda found: None,
    "restart notebook",
)


@dataclass
class Notebook:
    """The engine. It refuses a config with a runtime of the name `refuses`, and keeps each text that it reloads.

    `keeps` has the ids of pods, by runtime; `elsewhere` are handlers of a file that we don't know.
    """

    TO_FORGET: tuple[Put, ...] = ()
    NATIVE: Native = _NATIVE
    running: bool = False
    refuses: str = ""
    keeps: dict[str, list[str]] = field(default_factory=dict)
    elsewhere: dict[str, dict[str, object]] = field(default_factory=dict)
    reloads: list[str] = field(default_factory=list)

    def find(self, config: str | None) -> Found:
        found = Found("notebook", "/usr/bin/notebook", "1.2", config or "", self.running, "off", True)
        return replace(found, cdi="on" if _NATIVE.written(found) else "off")

    def runtimes(self, found: Found) -> Runtimes:
        settings = values.load("json", found.config)
        handlers = settings.get("runtimes", {})
        assert isinstance(handlers, dict)
        if self.refuses and self.refuses in handlers:
            raise EngineError(f"notebook: I want no {self.refuses}")
        return Runtimes(str(settings.get("default", "runc")), {"runc": {"path": "runc"}, **handlers, **self.elsewhere})

    def plan(self, found: Found, new: NewRuntime, known: Runtimes) -> list[FilePlan]:
        puts = [Put(("runtimes", new.name), {"path": new.path})]
        if new.default:
            puts.append(Put(("default",), new.name))
        return [FilePlan(found.config, "json", tuple(puts))]

    def live(self, found: Found) -> Runtimes | None:
        return None

    def reload(self, found: Found, runtime: str | None) -> None:
        self.reloads.append(Path(found.config).read_text())

    def reload_command(self, found: Found, gone: bool) -> str:
        return ""

    def advice(self, found: Found, new: NewRuntime) -> list[str]:
        return []

    def owns_monitor(self, command: Sequence[str]) -> bool:
        return "/bundle" in command  # not those of the real containers that other tests run meanwhile

    def pods_of(self, found: Found, runtime: str) -> list[str]:
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
