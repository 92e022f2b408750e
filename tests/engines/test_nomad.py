"""`cdictl engine` with Nomad: what is written into the agent's directory, beside which files of the administrator's."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cdi_runc.ctl import main
from cdi_runc.engines import journal, nomad, nomad_files, processes
from cdi_runc.engines.processes import Process
from tests.engines.conftest import Command

Cdictl = Callable[..., Result]

SITE = 'data_dir = "{data}"\nclient {{ enabled = true }}\n'


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    """The agent's directory, with a file as HashiCorp's packages have one."""
    folder = tmp_path / "nomad.d"
    folder.mkdir()
    (folder / "nomad.hcl").write_text(SITE.format(data=tmp_path / "data"))
    return folder


@pytest.fixture
def cdictl(tmp_path: Path, agent: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> Cdictl:
    """Runs `cdictl engine ...` with a Nomad whose agent does not run, and settings of the test's own."""
    monkeypatch.setattr(journal, "state_directory", lambda: str(tmp_path / "state"))
    monkeypatch.setattr(nomad, "_DIRECTORY", str(agent))
    monkeypatch.setattr(nomad, "SYSTEM_CONFIG", str(tmp_path / "config.yaml"))
    monkeypatch.setattr(nomad_files, "running", lambda: None)
    monkeypatch.setattr("sys.argv", [str(tmp_path / "bin/cdictl")])
    command("nomad", "echo Nomad v1.7.3; echo BuildDate 2024-01-15")
    command("cdi-nomad", "")

    def run(*arguments: str, spec_dir: str = "") -> Result:
        first = ["--spec-dir", spec_dir] if spec_dir else []
        return CliRunner().invoke(main, [*first, "engine", *arguments], catch_exceptions=False)

    return run


def listing(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file below, with its text and its mode."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_text(), path.stat().st_mode) for path in files}


def run_an_agent(monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    """From now on an agent runs, whose process is this one."""
    argv = ["/usr/bin/nomad", "agent", *options]
    monkeypatch.setattr(nomad_files, "running", lambda: Process(os.getpid(), 0, argv))
    monkeypatch.setattr(processes, "argv_of", lambda pid: argv)


def test_the_files_and_that_disable_puts_all_back(cdictl: Cdictl, agent: Path, tmp_path: Path) -> None:
    before = listing(tmp_path)
    said = cdictl("enable", "nomad", spec_dir="/etc/cdi")
    assert said.exit_code == 0, said.output
    assert (agent / "cdi-runc.hcl").read_text() == (
        "# Written by `cdictl engine enable nomad`, and taken away by `cdictl engine disable nomad`.\n"
        'plugin "cdi-nomad" {\n  config {\n    mode = "name"\n    spec_dirs = ["/etc/cdi"]\n  }\n}\n'
        'plugin "docker" {\n  config {\n    allow_runtimes = ["runc", "nvidia", "cdi-runc"]\n  }\n}\n'
    )
    plugin = tmp_path / "data/plugins/cdi-nomad"
    assert plugin.read_text().splitlines()[-1] == f'exec {tmp_path}/bin/cdi-nomad "$@"'
    assert os.access(plugin, os.X_OK)
    assert 'runtime = "cdi-runc"' in said.stdout
    assert "requests:" in said.stdout  # the settings take no mounts yet
    [row] = json.loads(cdictl("status", "nomad", "-o", "json").stdout)["registrations"]
    assert (row["runtime"], row["path"]) == ("cdi-runc", str(tmp_path / "bin/cdi-nomad"))
    assert row["engine_says"] == "is not running; its files have it"
    assert cdictl("enable", "nomad", spec_dir="/etc/cdi").stdout.startswith("nomad: cdi-runc is registered already")
    assert cdictl("disable", "nomad").exit_code == 0
    assert {name for name in listing(tmp_path).keys() ^ before.keys() if not name.startswith("state/")} == set()
    assert not (tmp_path / "data").exists()


def test_a_dry_run_shows_a_diff_and_writes_nothing(cdictl: Cdictl, tmp_path: Path) -> None:
    before = listing(tmp_path)
    said = cdictl("enable", "nomad", "--dry-run").stdout
    assert '+plugin "cdi-nomad" {' in said.splitlines()
    assert f"+++ {tmp_path}/data/plugins/cdi-nomad" in said.splitlines()
    assert listing(tmp_path) == before


def test_the_mode_edits_needs_no_runtime(cdictl: Cdictl, agent: Path) -> None:
    said = cdictl("enable", "nomad", "--mode", "edits")
    assert 'mode = "edits"' in (agent / "cdi-runc.hcl").read_text()
    assert "docker" not in (agent / "cdi-runc.hcl").read_text()
    assert "requests:" not in said.stdout
    cdictl("enable", "nomad", "--mode", "name")
    assert "allow_runtimes" in (agent / "cdi-runc.hcl").read_text()


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        (
            "a.hcl",
            'plugin "docker" { config { allow_privileged = true } }',
            'a.hcl, put into plugin "docker" { config { allow_runtimes = ["runc", "nvidia", "cdi-runc"] } }',
        ),
        (
            "z.json",
            '{"plugin": [{"docker": {"config": {"allow_runtimes": ["runc", "kata"]}}}]}',
            'z.json, put into plugin "docker" { config { allow_runtimes = ["runc", "kata", "cdi-runc"] } }',
        ),
        ("z.hcl", 'plugin "docker" { config { allow_runtimes = ["cdi-runc"] } }', ""),
        ("z.hcl", 'client { options = { "docker.volumes.enabled" = "true" } }', "by options of the client"),
    ],
)
def test_the_administrators_own_docker_block_stays_the_only_one(
    cdictl: Cdictl, agent: Path, name: str, text: str, says: str
) -> None:
    """Of two blocks Nomad takes one whole: ours would undo theirs, or theirs ours."""
    (agent / name).write_text(text)
    said = cdictl("enable", "nomad")
    assert said.exit_code == 0
    assert "docker" not in (agent / "cdi-runc.hcl").read_text()
    assert (says in said.stdout) if says else ("allow_runtimes" not in said.stdout)
    assert (agent / name).read_text() == text


def test_the_administrators_own_plugin_block_counts(cdictl: Cdictl, agent: Path) -> None:
    (agent / "own.hcl").write_text('plugin "cdi-nomad" { config { mode = "edits" } }')
    said = cdictl("enable", "nomad")
    assert 'plugin "cdi-nomad"' not in (agent / "cdi-runc.hcl").read_text()
    assert f"{agent}/own.hcl has the plugin cdi-nomad with the mode edits, which counts" in said.stdout


@pytest.mark.parametrize(
    ("site", "options", "folder", "written"),
    [
        ("", (), "/opt/nomad/plugins", 'plugin_dir = "/opt/nomad/plugins"'),
        ('plugin_dir = "{0}/p"\ndata_dir = "{0}/d"', (), "{0}/p", ""),
        ('data_dir = "{0}/d"', (), "{0}/d/plugins", ""),
        ('data_dir = "{0}/d"', ("-plugin-dir={0}/q",), "{0}/q", ""),
        ("", ("-data-dir", "{0}/e"), "{0}/e/plugins", ""),
    ],
)
def test_the_plugin_goes_where_the_agent_looks(
    cdictl: Cdictl,
    agent: Path,
    monkeypatch: pytest.MonkeyPatch,
    site: str,
    options: tuple[str, ...],
    folder: str,
    written: str,
) -> None:
    (agent / "nomad.hcl").write_text(site.format(agent))
    if options:
        run_an_agent(monkeypatch, f"-config={agent}", *(each.format(agent) for each in options))
    said = cdictl("enable", "nomad", "--dry-run").stdout
    assert f"+++ {folder.format(agent)}/cdi-nomad" in said.splitlines()
    assert (f"+{written}" in said.splitlines()) if written else ("plugin_dir" not in said)


def test_the_directory_is_the_one_that_the_agent_uses(
    cdictl: Cdictl, agent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    run_an_agent(monkeypatch, f"-config={agent}/nomad.hcl", "-config", f"{tmp_path}/other")
    said = cdictl("enable", "nomad")
    assert f"the running nomad uses {tmp_path}/other" in said.stdout
    assert (tmp_path / "other/cdi-runc.hcl").exists()
    assert (tmp_path / "data/plugins/cdi-nomad").exists()  # which nomad.hcl says
    assert cdictl("disable", "nomad").exit_code == 0
    assert list((tmp_path / "other").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("-dev",), "was started without -config, so it reads no file"),
        (("-config={0}/nomad.hcl",), "and no directory: start it with a further -config="),
    ],
)
def test_an_agent_that_reads_no_directory(
    cdictl: Cdictl, agent: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], says: str
) -> None:
    run_an_agent(monkeypatch, *(each.format(agent) for each in options))
    said = cdictl("enable", "nomad")
    assert (said.exit_code, says in said.stderr) == (1, True), said.output


@pytest.mark.parametrize(
    ("spoil", "arguments", "says"),
    [
        ("echo '{{' > nomad.d/x.hcl", (), "nomad.d/x.hcl: line "),
        ("mkdir -p data/plugins; echo > data/plugins/cdi-nomad", (), "is there and not from here: move it away"),
        ("mkdir -p data/plugins; ln -s /nowhere data/plugins/cdi-nomad", (), "is a link to what is gone"),
        ("echo a = 1 > nomad.d/cdi-runc.hcl", (), "cdi-runc.hcl is there and not from here"),
        ("rm bin/cdi-nomad", (), "cdi-nomad is not installed"),
        ("rm -r nomad.d; touch nomad.d", (), "is no directory"),
        ("true", ("--runtime-name", "gpu"), "Nomad has a plugin and no runtimes"),
        ("true", ("--set-as-default",), "Nomad has a plugin and no runtimes"),
        ("true", ("--wrap", "crun"), "leave --wrap out"),
    ],
)
def test_what_is_refused_changes_nothing(
    cdictl: Cdictl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: str, arguments: tuple[str, ...], says: str
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "bin/python"))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    os.system(f"cd {tmp_path} && {spoil}")
    before = listing(tmp_path / "data"), listing(tmp_path / "nomad.d")
    said = cdictl("enable", "nomad", *arguments)
    assert (said.exit_code != 0, says in said.stderr) == (True, True), said.output
    assert (listing(tmp_path / "data"), listing(tmp_path / "nomad.d")) == before


def test_a_link_to_the_plugin_that_the_administrator_made_is_left_alone(cdictl: Cdictl, tmp_path: Path) -> None:
    (tmp_path / "data/plugins").mkdir(parents=True)
    link = tmp_path / "data/plugins/cdi-nomad"
    link.symlink_to(tmp_path / "bin/cdi-nomad")
    assert cdictl("enable", "nomad").exit_code == 0
    assert cdictl("disable", "nomad").exit_code == 0
    assert link.is_symlink()


def test_an_agent_that_was_started_before_has_not_read_the_files(
    cdictl: Cdictl, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_an_agent(monkeypatch, f"-config={agent}")
    assert "nomad knows of it after: systemctl restart nomad" in cdictl("enable", "nomad").stdout
    [row] = json.loads(cdictl("status", "nomad", "-o", "json").stdout)["registrations"]
    assert row["engine_says"].startswith("has not read its files yet")


def test_mode_is_refused_for_another_engine(cdictl: Cdictl) -> None:
    said = cdictl("enable", "docker", "--mode", "edits")
    assert (said.exit_code, "--mode is for nomad" in said.stderr) == (2, True)


@pytest.mark.parametrize(
    ("files", "plugins"),
    [
        ({"a.hcl": 'plugin "x" { config { a = 1 } }', "b.hcl": 'plugin "x" { config { b = 2 } }'}, {"x": {"b": 2}}),
        ({"a.hcl": 'plugin "x" { config { a = 1 } }', "b.hcl": 'plugin "x" { args = ["c"] }'}, {"x": {"a": 1}}),
        (
            {"b.hcl": 'plugin "x" { config { b = 1 } }', "a.json": '{"plugin": {"x": {"config": {"a": 2}}}}'},
            {"x": {"b": 1}},
        ),
        ({"a.txt": "broken {", ".#a.hcl": "broken {", "a.hcl~": "broken {"}, {}),
    ],
)
def test_files_merge_as_nomad_merges_them(
    tmp_path: Path, files: dict[str, str], plugins: dict[str, dict[str, object]]
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    found = nomad_files.read([str(tmp_path)])
    assert {name: plugin.config for name, plugin in found.plugins.items()} == plugins
