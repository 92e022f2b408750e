"""Engines are asked whether they can read groups, and not asked again until one of them has changed."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cdi_runc.ctl.specs import engine_gids
from cdi_runc.engines.engine import EngineError, Found, NotInstalled
from cdi_runc.host import places
from tests.processes import ending, wait_until_it_sleeps

_DAEMONS = engine_gids._daemons


class Engines:
    """Engines by name with their versions, or None for one that fails. Their programs are copies of `true`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state = folder / "bin", folder / "state"
        self.versions: dict[str, str | None] = {}
        self.asked = 0

    def install(self, **versions: str | None) -> None:
        self.folder.mkdir(exist_ok=True)
        for name, version in versions.items():
            self.versions[name] = version
            shutil.copy(shutil.which("true") or "", self.folder / name)

    def binary(self, _: str, name: str) -> str:
        if not (self.folder / name).exists():
            raise NotInstalled(name)
        return str(self.folder / name)

    def module(self, name: str) -> "Module":
        return Module(self, name)


class Module:
    """An engine's module, as far as it is asked for a version."""

    def __init__(self, engines: Engines, name: str) -> None:
        self.engines, self.name = engines, name

    def find(self, config: str | None) -> Found:
        self.engines.asked += 1
        if self.name not in self.engines.versions:
            raise NotInstalled(self.name)
        version = self.engines.versions[self.name]
        if version is None:
            raise EngineError("it does not answer")
        return Found(self.name, "", version, "", None, "on")


@pytest.fixture
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engines:
    found = Engines(tmp_path)
    monkeypatch.setattr(engine_gids, "engine", found.module)
    monkeypatch.setattr(engine_gids, "binary", found.binary)
    monkeypatch.setattr(engine_gids, "_daemons", list)  # those of this host may start or end meanwhile
    monkeypatch.setattr(places, "SYSTEM_STATE", str(found.state))
    monkeypatch.setattr(places, "is_host_root", lambda: True)
    return found


@pytest.mark.parametrize(
    ("versions", "taken"),
    [
        ({}, True),
        ({"podman": "4.9.3"}, False),
        ({"podman": "5.1.0"}, True),
        ({"docker": "20.10.24"}, True),
        ({"docker": "25.0.1", "podman": "5.4"}, False),
        ({"containerd": "1.7.16", "crio": "1.30.1"}, True),
        ({"podman": ""}, True),
    ],
)
def test_groups_are_for_engines_that_read_them(engines: Engines, versions: dict[str, str], taken: bool) -> None:
    engines.install(**versions)
    assert [engine_gids.engines_take_gids() for _ in range(2)] == [taken, taken]


@pytest.mark.parametrize("version", ["4.9.3", "5.1.0"])
def test_engines_that_stay_are_asked_once(engines: Engines, version: str) -> None:
    engines.install(podman=version)
    engine_gids.engines_take_gids()
    engines.asked = 0
    engine_gids.engines_take_gids()
    assert engines.asked == 0


def upgraded(engines: Engines) -> None:
    """Another podman is at its place."""
    (engines.folder / "podman").unlink()
    engines.install(podman="5.4.0")


def installed(engines: Engines) -> None:
    """There is one more engine."""
    engines.install(podman="5.4.0", crio="1.31.0")


def kept_text(engines: Engines, text: str) -> None:
    """The file has another text."""
    (engines.state / "engine-gids.json").write_text(text)


@pytest.mark.parametrize(
    "change",
    [
        upgraded,
        installed,
        lambda engines: kept_text(engines, "{"),
        lambda engines: kept_text(engines, "[" * 5000),
        lambda engines: kept_text(engines, json.dumps({"key": "x", "taken": False})),
        lambda engines: kept_text(engines, json.dumps({"key": ["x"], "taken": 0})),
        lambda engines: engines.state.chmod(0o770),
        lambda engines: shutil.rmtree(engines.state),
    ],
    ids=[
        "upgrade",
        "new engine",
        "cut short",
        "too deep",
        "other key",
        "wrong types",
        "open directory",
        "no directory",
    ],
)
def test_engines_are_asked_again_after_a_change(engines: Engines, change: Callable[[Engines], None]) -> None:
    engines.install(podman="4.9.3")
    assert not engine_gids.engines_take_gids()
    engines.versions["podman"] = "5.4.0"
    change(engines)
    assert engine_gids.engines_take_gids()


def test_engines_are_asked_again_after_a_daemon_has_started(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_gids, "_daemons", _DAEMONS)
    engines.install(crio="1.28.0")
    assert not engine_gids.engines_take_gids()
    engines.versions["crio"] = "1.31.0"
    shutil.copy(shutil.which("sleep") or "", engines.folder / "crio")
    assert engine_gids.engines_take_gids()  # for the new program
    engines.asked = 0
    with ending(subprocess.Popen([engines.folder / "crio", "60"])) as daemon:
        wait_until_it_sleeps(daemon.pid)  # until then it may have no argv
        engine_gids.engines_take_gids()
        assert engines.asked
    engines.asked = 0
    engine_gids.engines_take_gids()
    assert engines.asked


def test_an_engine_that_fails_is_asked_again(engines: Engines) -> None:
    engines.install(podman=None)
    assert engine_gids.engines_take_gids()
    engines.versions["podman"] = "4.9.3"
    assert not engine_gids.engines_take_gids()


def script(engines: Engines) -> None:
    """A script that may start any podman."""
    (engines.folder / "podman").write_text("#!/bin/sh\n")


def link(engines: Engines) -> None:
    """A link to a program of another name, which may look at the name by which it is called."""
    (engines.folder / "podman").rename(engines.folder / "launcher")
    (engines.folder / "podman").symlink_to("launcher")


@pytest.mark.parametrize("disguise", [script, link])
def test_a_program_that_may_start_another_is_asked_each_time(
    engines: Engines, disguise: Callable[[Engines], None]
) -> None:
    engines.install(podman="4.9.3")
    disguise(engines)
    assert not engine_gids.engines_take_gids()
    engines.versions["podman"] = "5.4.0"
    assert engine_gids.engines_take_gids()


def test_only_root_keeps_the_answer(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "is_host_root", lambda: False)
    engines.install(podman="4.9.3")
    engine_gids.engines_take_gids()
    assert not engines.state.exists()
