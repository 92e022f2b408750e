from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from cdi_runc.ctl.options import Options
from cdi_runc.ctl.why import guard
from cdi_runc.ctl.why.host import Host
from cdi_runc.engines import launcher, records
from cdi_runc.engines.engine import Found, Runtimes
from cdi_runc.host import places


class Podman:
    """A Podman that knows cdi-runc."""

    def __init__(self, version: str) -> None:
        self.version = version

    def find(self, config: str | None) -> Found:
        return Found("podman", "/usr/bin/podman", self.version, "/c", None, "on")

    def runtimes(self, found: Found) -> Runtimes:
        return Runtimes("runc", {"cdi-runc": {"path": "/usr/bin/cdi-runc"}})


@pytest.mark.parametrize(
    ("version", "settings", "warned"),
    [("4.3.1", "", True), ("4.3.1", "requests:\n  annotations: []\n", False), ("4.6.0", "", False)],
)
def test_images_that_can_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, settings: str, warned: bool
) -> None:
    (tmp_path / "config.yaml").write_text(settings)
    monkeypatch.setattr(guard, "NAMES", ("docker", "podman"))
    monkeypatch.setattr(guard, "engine_of", lambda name: Podman(version))
    monkeypatch.setattr(launcher, "is_ours", lambda path: path == "/usr/bin/cdi-runc")
    found = list(guard.images_cannot_ask(Host(Options(config=str(tmp_path / "config.yaml")))))
    assert [(result.level, "annotations: []" in result.mend) for result in found] == [("warning", True)] * warned


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The files that root executes, each in a directory of its own, and nothing else of cdi-runc's."""
    found = {what: tmp_path / what / "file" for what in ("launcher", "python", "full", "library", "engine")}
    for path in found.values():
        path.parent.mkdir(mode=0o755)
        path.parent.chmod(0o755)
        path.touch(0o755)
        path.chmod(0o755)
    found["launcher"].write_text(f"_cdi_python='{found['python']}'\n_cdi_full='{found['full']}'\n")
    registered: Any = [{"engine": "podman", "path": str(found["engine"])}, {"engine": "docker", "path": ""}]
    monkeypatch.setattr(launcher, "installed", lambda name: str(found["launcher"]))
    monkeypatch.setattr(records, "registrations", lambda directory: registered)
    monkeypatch.setattr("cdi_runc.ctl.why.guard.cdi_runc.__file__", str(found["library"]))
    monkeypatch.setattr(places, "is_host_root", lambda: True)
    (tmp_path / "config.yaml").write_text(f"spec-dirs: [{tmp_path}/none]\n")
    (tmp_path / "config.yaml").chmod(0o644)
    return found


def untrusted(directory: Path) -> Iterable[tuple[str, str]]:
    found = guard.files_protected(Host(Options(config=str(directory / "config.yaml"))))
    return [(result.level, result.text) for result in found]


@pytest.mark.parametrize("what", ["launcher", "python", "full", "library", "engine"])
@pytest.mark.parametrize("of", ["file", "directory"])
def test_programs_that_others_can_write(tmp_path: Path, programs: dict[str, Path], what: str, of: str) -> None:
    path = programs[what] if of == "file" else programs[what].parent
    [(level, _)] = untrusted(tmp_path)
    assert level == "ok"
    path.chmod(0o777)
    assert untrusted(tmp_path) == [("warning", f"others than root may write {path}")]


def test_a_link_to_a_program_in_a_directory_of_others(tmp_path: Path, programs: dict[str, Path]) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    programs["python"].rename(elsewhere / "python3")
    programs["python"].symlink_to(elsewhere / "python3")
    elsewhere.chmod(0o777)
    assert untrusted(tmp_path) == [("warning", f"others than root may write {elsewhere}")]


def test_settings_in_a_directory_of_others(tmp_path: Path, programs: dict[str, Path]) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc").chmod(0o777)
    (tmp_path / "config.yaml").rename(tmp_path / "etc/config.yaml")
    assert untrusted(tmp_path / "etc") == [("warning", f"others than root may write {tmp_path}/etc")]


def test_a_policy_that_others_may_write_is_said_once_with_what_mends_it(
    tmp_path: Path, programs: dict[str, Path]
) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("rules: []\n")
    path.chmod(0o666)
    host = Host(Options(config=str(tmp_path / "config.yaml")))
    assert list(guard.policy_usable(host)) == []
    (found,) = guard.files_protected(host)
    assert (found.level, found.mend) == ("problem", f"chmod go-w {path}")
    assert found.fix
    found.fix()
    assert [result.level for result in (*guard.policy_usable(host), *guard.files_protected(host))] == ["ok"]


@pytest.mark.parametrize(
    ("policy", "level", "words"),
    [
        ("rule: []\n", "problem", "unknown key 'rule', did you mean 'rules'?"),
        (
            "rules: [{action: deny, match: {device: gpu}}]\n",
            "warning",
            "this rule never decides: no device is called gpu",
        ),
        ("rules: []\n", "", ""),
        (None, "", ""),
    ],
)
def test_a_policy_that_is_not_as_it_was_meant(tmp_path: Path, policy: str | None, level: str, words: str) -> None:
    if policy is not None:
        (tmp_path / "policy.yaml").write_text(policy)
        (tmp_path / "policy.yaml").chmod(0o644)
    found = list(guard.policy_usable(Host(Options(config=str(tmp_path / "config.yaml")))))
    assert [(result.level, words in result.text) for result in found] == [(level, True)] * bool(level)
