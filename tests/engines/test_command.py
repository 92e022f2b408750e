"""`cdictl engine` as it is typed, over an engine that is a shell script: what it says, and with which status."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cdi_runc.ctl import main
from cdi_runc.engines import journal, launcher
from tests.engines.conftest import Command, as_json

Cdictl = Callable[..., Result]


@pytest.fixture
def cdictl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> Cdictl:
    """Runs `cdictl engine ...` with a journal of its own, a launcher, and a Docker whose daemon doesn't run."""
    monkeypatch.setattr(journal, "state_directory", lambda: str(tmp_path / "state"))
    # Not the tree's own, which real containers of other tests may use meanwhile.
    monkeypatch.setattr(launcher, "installed", lambda name: str(tmp_path / "bin" / name))
    monkeypatch.setattr("cdi_runc.ctl.engine.NAMES", ("docker", "crio"))  # whatever else this machine has
    monkeypatch.chdir(tmp_path)
    command("dockerd", "echo Docker version 20.10.24, build 1")
    command("docker", "echo Cannot connect to the Docker daemon. >&2; exit 1")
    command("cdi-runc", "")
    command("cdi-crun", "")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["engine", *arguments], catch_exceptions=False)

    return run


def test_enable_and_disable_without_a_daemon(cdictl: Cdictl) -> None:
    Path("daemon.json").write_text('{"debug": true}')
    said = cdictl("enable", "docker", "--config", "daemon.json")
    assert (said.exit_code, said.stdout.splitlines()[0]) == (0, "docker: cdi-runc is registered")
    assert f"  wrote {os.getcwd()}/daemon.json" in said.stdout
    assert "has no --annotation" in said.stdout
    assert as_json(Path("daemon.json")).keys() == {"debug", "runtimes"}  # type: ignore[attr-defined]
    assert cdictl("enable", "docker", "--config", "daemon.json").stdout.startswith(
        "docker: cdi-runc is registered already"
    )
    said = cdictl("disable", "docker")
    assert (said.exit_code, said.stdout.splitlines()[0]) == (0, "docker: cdi-runc is taken out")
    assert Path("daemon.json").read_text() == '{"debug": true}'
    said = cdictl("disable", "docker")
    assert (said.exit_code, said.stdout) == (0, "docker: cdi-runc is not registered, nothing to do\n")


def test_a_dry_run_prints_a_diff(cdictl: Cdictl) -> None:
    Path("daemon.json").write_text('{\n    "debug": true\n}\n')
    said = cdictl("enable", "docker", "--config", "daemon.json", "--dry-run", "--set-as-default")
    assert said.stdout.splitlines()[2:6] == ["@@ -1,3 +1,9 @@", " {", '-    "debug": true', '+    "debug": true,']
    assert Path("daemon.json").read_text() == '{\n    "debug": true\n}\n'


def test_status_says_what_has_become_of_the_files(cdictl: Cdictl) -> None:
    Path("daemon.json").write_text("{}")
    assert "not registered with any engine" in cdictl("status").stdout
    cdictl("enable", "docker", "--config", "daemon.json")
    states = []
    for text in (None, '{"debug": true}', ""):
        if text is not None:
            Path("daemon.json").write_text(text)
        [row] = json.loads(cdictl("status", "docker", "-o", "json").stdout)["registrations"]
        states.append((row["engine_says"], row["files"][0]["state"]))
    assert states == [
        ("is not running; its files have it", "as we left it"),
        ("does not know cdi-runc (any more): its files do not have it", "taken out"),
        ("does not know cdi-runc (any more): its files do not have it", "taken out"),
    ]


def test_list_names_what_is_here(cdictl: Cdictl) -> None:
    engines = {row["engine"]: row for row in json.loads(cdictl("list", "-o", "json").stdout)["engines"]}
    assert engines["docker"]["version"] == "20.10.24"
    assert engines["docker"]["running"] is False
    assert "crio" not in engines


@pytest.mark.parametrize(
    ("config", "arguments", "status", "words"),
    [
        ("{}", ["enable", "crio"], 1, "cdictl: CRI-O is not installed: no crio on PATH\n"),
        ("{}", ["enable", "lxd"], 2, "'lxd' is not one of"),
        ('{"a":\n}', ["enable", "docker", "--config", "daemon.json"], 1, "daemon.json: line 2, column 1: "),
        (
            '{"runtimes": {"cdi-runc": {"path": "/x"}}}',
            ["enable", "docker", "--config", "daemon.json"],
            1,
            "taken by /x",
        ),
        ("{}", ["enable", "docker", "--config", "daemon.json", "--wrap", "/x"], 1, "/x is not an executable"),
        ("{}", ["test", "docker", "--config", "daemon.json"], 1, ""),
    ],
)
def test_what_does_not_work_is_one_line(
    cdictl: Cdictl, config: str, arguments: list[str], status: int, words: str
) -> None:
    Path("daemon.json").write_text(config)
    said = cdictl(*arguments)
    assert said.exit_code == status
    assert words in said.stderr
    assert len(said.stderr.splitlines()) == (1 if words else 0)
    assert Path("daemon.json").read_text() == config


def test_a_trial_needs_the_daemon(cdictl: Cdictl) -> None:
    Path("daemon.json").write_text("{}")
    cdictl("enable", "docker", "--config", "daemon.json")
    said = cdictl("test", "docker", "--config", "daemon.json")
    assert (said.exit_code, said.stderr) == (1, "cdictl: docker is not running: start it first\n")


@pytest.mark.parametrize("words", [("disable", "docker"), ("status",)])
def test_a_change_that_was_cut_short_is_rolled_back_first(cdictl: Cdictl, words: tuple[str, ...]) -> None:
    """Killed after daemon.json was written and before the record of it was."""
    Path("daemon.json").write_text('{"default-runtime": "cdi-runc"}')
    path = str(Path("daemon.json").absolute())
    change = {"path": path, "before": "{}", "after": '{"default-runtime": "cdi-runc"}', "mode": 420, "owner": None}
    state = Path(journal.state_directory())
    state.mkdir(parents=True, exist_ok=True)
    (state / "pending.json").write_text(json.dumps([change]))
    done = cdictl(*words)
    assert f"{path}: put back as it was" in done.stderr
    assert Path("daemon.json").read_text() == "{}"
    assert not (state / "pending.json").exists()


def test_status_of_an_engine_without_us_has_a_status_of_its_own(cdictl: Cdictl) -> None:
    assert cdictl("status").exit_code == 0
    done = cdictl("status", "docker")
    assert (done.exit_code, "not registered with docker" in done.stdout) == (1, True)


def test_a_file_of_two_names_is_as_we_left_it(cdictl: Cdictl) -> None:
    Path("daemon.json").write_text("{}")
    for name in ("one", "two"):
        cdictl("enable", "docker", "--config", "daemon.json", "--runtime-name", name)
    rows = json.loads(cdictl("status", "-o", "json").stdout)["registrations"]
    assert [row["files"][0]["state"] for row in rows] == ["as we left it", "as we left it"]


@pytest.mark.parametrize("option", ["--runtime-name=x", "--wrap=crun", "--set-as-default", "--force"])
def test_an_engines_own_cdi_takes_no_options_of_a_runtime(cdictl: Cdictl, option: str) -> None:
    done = cdictl("enable", "docker", "--native", option)
    assert done.exit_code == 2
    assert f"leave {option.partition('=')[0]} out" in done.stderr


@pytest.mark.parametrize(
    ("version", "settings", "options", "refused"),
    [
        ("4.3.1", "", [], True),
        ("4.3.1", "", ["--hooks"], True),
        ("4.3.1", "", ["--accept-image-annotations"], False),
        ("4.3.1", "requests:\n  annotations: []\n  mounts: /var/run/cdi-devices\n", [], False),
        ("4.6.0", "", [], False),
    ],
)
def test_podman_that_lets_images_ask_needs_a_yes(
    cdictl: Cdictl, command: Command, version: str, settings: str, options: list[str], refused: bool
) -> None:
    """Podman before 4.6 hands the annotations of an image's manifest on."""
    info = json.dumps({"host": {"ociRuntime": {"name": "cdi-runc", "path": "/usr/bin/cdi-runc"}}})
    command("podman", f"""[ "$1" = --version ] && echo podman version {version} || echo '{info}'""")
    Path("config.yaml").write_text(settings)
    Path("containers.conf").touch()
    arguments = ["podman", "--config", "containers.conf", *options]
    said = CliRunner().invoke(main, ["--config", "config.yaml", "engine", "enable", *arguments]).output
    assert ("4.3.1 hands the annotations of an image on (4.6 does not)" in said) == refused
    assert ("`annotations: []`" in said) == refused
    assert said.count("\n") == 1 or not refused
