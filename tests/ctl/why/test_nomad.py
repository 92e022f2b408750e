"""What `cdictl doctor` says of Nomad."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cdi_runc.ctl.options import Options
from cdi_runc.ctl.why import nomad as checks
from cdi_runc.ctl.why.host import Host
from cdi_runc.ctl.why.result import Result
from cdi_runc.engines import docker, nomad, nomad_files
from cdi_runc.engines.engine import Found, NotInstalled, Runtimes

DRIVER = 'plugin "docker" { config { allow_runtimes = ["cdi-runc"] } }\n'
PLUGIN = 'plugin "cdi-nomad" { config { mode = "name" } }\n'


class Site:
    """A host with Nomad: its agent's file, its plugin_dir, and what Docker knows."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.plugin = root / "plugins/cdi-nomad"
        self.plugin.parent.mkdir()
        self.runtimes: dict[str, dict[str, object]] | None = {"cdi-runc": {"path": "/usr/bin/cdi-runc"}}
        self.settings("requests:\n  mounts: /var/run/cdi-devices\n")

    def settings(self, text: str) -> None:
        (self.root / "config.yaml").write_text(text)

    def agent(self, text: str, plugin_dir: bool = True) -> None:
        own = f'plugin_dir = "{self.plugin.parent}"\n' if plugin_dir else ""
        (self.root / "nomad.d").mkdir(exist_ok=True)
        (self.root / "nomad.d/nomad.hcl").write_text(own + text)

    def install(self, text: str = "#!/bin/sh\n", mode: int = 0o755) -> None:
        self.plugin.write_text(text)
        self.plugin.chmod(mode)

    def said(self) -> list[tuple[str, str, str]]:
        host = Host(Options(config=str(self.root / "config.yaml")))
        found: Iterator[Result] = iter([*checks.nomad_finds_plugin(host), *checks.nomad_tasks_can_ask(host)])
        return [(each.level, each.text.replace(str(self.root), ""), each.mend) for each in found]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site(tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/nomad").write_text("#!/bin/sh\necho Nomad v1.7.3\n")
    (tmp_path / "bin/nomad").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setattr(nomad, "_DIRECTORY", str(tmp_path / "nomad.d"))
    monkeypatch.setattr(nomad_files, "running", lambda: None)

    def find(config: str | None) -> Found:
        if made.runtimes is None:
            raise NotInstalled("Docker is not installed")
        return Found("docker", "/usr/bin/docker", "26.1", "/etc/docker/daemon.json", True, "on")

    monkeypatch.setattr(docker, "find", find)
    monkeypatch.setattr(docker, "runtimes", lambda found: Runtimes("runc", made.runtimes or {}))
    return made


def test_all_is_well(site: Site) -> None:
    site.agent(PLUGIN + DRIVER)
    site.install()
    assert site.said() == [("ok", "Nomad's agent finds the plugin /plugins/cdi-nomad, with the mode name", "")]


def test_a_host_without_our_plugin_is_told_nothing(site: Site) -> None:
    site.agent("")
    assert site.said() == []


def test_a_host_without_nomad_is_told_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nomad, "binary", raising_not_installed)
    site.agent(PLUGIN)
    assert site.said() == []


def raising_not_installed(*names: str) -> str:
    raise NotInstalled("Nomad is not installed")


@pytest.mark.parametrize(
    ("spoil", "level", "text", "mend"),
    [
        ("gone", "problem", "and there is no /plugins/cdi-nomad", "cdictl engine enable nomad"),
        ("link", "problem", "/plugins/cdi-nomad is a link to what is gone, and Nomad's agent does not start", "rm "),
        ("mode", "problem", "/plugins/cdi-nomad can't be executed", "chmod 755 "),
        ("behind", "problem", "executes /nowhere/cdi-nomad, which is gone", "install cdi-runc again, or rm "),
        ("unnamed", "warning", "no file of Nomad's agent has a block for it", "cdictl engine enable nomad"),
        ("nowhere", "problem", "nobody knows where it looks for plugins", "set plugin_dir"),
        ("driver", "problem", "no task may name the runtime cdi-runc: no file has it", "change that file"),
        ("settings", "problem", "its settings take no such requests", "requests:"),
        ("docker", "problem", "Docker does not know the runtime cdi-runc", "cdictl engine enable docker"),
    ],
)
def test_what_is_wrong(site: Site, spoil: str, level: str, text: str, mend: str) -> None:
    site.agent(PLUGIN + DRIVER)
    site.install()
    if spoil in ("gone", "link"):
        site.plugin.unlink()
    if spoil == "link":
        site.plugin.symlink_to("/nowhere")
    if spoil == "mode":
        site.plugin.chmod(0o644)
    if spoil == "behind":
        site.install(f'#!/bin/sh\n{nomad._HEAD}exec /nowhere/cdi-nomad "$@"\n')
    if spoil == "unnamed":
        site.agent(DRIVER)
    if spoil == "nowhere":
        site.agent(PLUGIN + DRIVER, plugin_dir=False)
    if spoil == "driver":
        site.agent(PLUGIN)
    if spoil == "settings":
        site.settings("")
    if spoil == "docker":
        site.runtimes = {}
    [found] = [each for each in site.said() if each[0] != "ok"]
    assert (found[0], text in found[1], mend in found[2]) == (level, True, True), found


def test_the_mode_edits_needs_neither_docker_nor_mounts(site: Site) -> None:
    site.agent(PLUGIN.replace(chr(34) + "name", chr(34) + "edits"))
    site.install()
    site.settings("")
    site.runtimes = {}
    assert [each[0] for each in site.said()] == ["ok"]


def test_without_docker_other_drivers_count(site: Site) -> None:
    site.agent(PLUGIN + DRIVER)
    site.install()
    site.runtimes = None
    assert [each[0] for each in site.said()] == ["ok"]
