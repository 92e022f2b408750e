"""`cdictl metrics`: what Prometheus is told of a host."""

import json
from pathlib import Path
from typing import Any

import pytest

from cdi_runc.engines import journal, records
from tests.ctl.conftest import Cdictl
from tests.ctl.test_schema import check


def _line(device: str, allowed: bool = True, engine: str = "podman") -> str:
    asked = [{"device": device, "through": "annotation", "where": "cdi.k8s.io/x"}] if device else []
    entry = {"time": "2026-01-01T00:00:00Z", "container": "c", "requests": asked, "allowed": allowed, "reason": "no"}
    return json.dumps({**entry, "engine": engine}) + "\n"


@pytest.fixture
def config(tmp_path: Path, spec_dir: Path) -> Path:
    """Settings of a host with audit: two GPUs, and a spec that is refused."""
    (spec_dir / "bad.yaml").write_text("kind: 1\n")
    (tmp_path / "audit").write_text(
        _line("vendor.com/gpu=0") * 2
        + _line("vendor.com/gpu=1", allowed=False, engine="")
        + _line("made.up/kind=x", allowed=False)
        + _line("", allowed=False)
    )
    path = tmp_path / "config.yaml"
    path.write_text(f"spec-dirs: [{spec_dir}]\naudit: file:{tmp_path}/audit\n")
    return path


@pytest.fixture(autouse=True)
def _no_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "state_directory", lambda: str(tmp_path / "state"))


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_decisions_are_counted_and_nobody_makes_up_kinds(cdictl: Cdictl, config: Path) -> None:
    lines = _lines(cdictl("--config", config, "metrics").stdout)
    assert [line for line in lines if line.startswith("cdi_runc_decisions_total")] == [
        'cdi_runc_decisions_total{outcome="allowed",engine="podman",kind="vendor.com/gpu"} 2',
        'cdi_runc_decisions_total{outcome="denied",engine="podman",kind="unknown"} 2',
        'cdi_runc_decisions_total{outcome="denied",engine="unknown",kind="vendor.com/gpu"} 1',
    ]


def test_the_host_is_counted(cdictl: Cdictl, config: Path) -> None:
    lines = _lines(cdictl("--config", config, "metrics").stdout)
    expected = {
        "cdi_runc_settings_faults 0",
        "cdi_runc_specs 1",
        "cdi_runc_specs_refused 1",
        'cdi_runc_devices{kind="vendor.com/gpu"} 2',
        "cdi_runc_conflicts 0",
        "cdi_runc_snapshot_fresh 0",
        'cdi_runc_audit_readable{target="file"} 1',
    }
    assert expected <= set(lines)
    assert not any(line.startswith("cdi_runc_snapshot_age_seconds") for line in lines)  # there is none


def test_each_name_has_one_help_one_type_and_its_samples(cdictl: Cdictl, config: Path) -> None:
    """Prometheus refuses a file in which a name comes back later."""
    names: list[str] = []
    for line in cdictl("--config", config, "metrics").stdout.splitlines():
        name = line.split()[2] if line.startswith("#") else line.partition("{")[0].split()[0]
        if names[-1:] != [name]:
            names.append(name)
            assert line.startswith(f"# HELP {name} ")
    assert len(names) == len(set(names)) > 5


def test_data_are_as_promised(cdictl: Cdictl, config: Path) -> None:
    said = cdictl("--config", config, "metrics", "-o", "json").stdout
    check("metrics", said)
    samples = {each["name"]: each["value"] for each in json.loads(said)["samples"]}
    assert samples["cdi_runc_specs_refused"] == 1


def test_a_file_is_replaced_as_a_whole_and_others_may_read_it(cdictl: Cdictl, config: Path, tmp_path: Path) -> None:
    path = tmp_path / "cdi-runc.prom"
    for _ in range(2):
        assert cdictl("--config", config, "metrics", "--write", path).stdout == ""
    assert "cdi_runc_specs 1" in path.read_text().splitlines()
    assert path.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in tmp_path.glob("*.prom*")] == ["cdi-runc.prom"]


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        (["--write", "/none/x.prom"], 1, "/none/x.prom: No such file or directory"),
        (["--write", "x.prom", "-o", "json"], 2, "--write writes what Prometheus reads"),
    ],
)
def test_what_cannot_be_written(cdictl: Cdictl, config: Path, args: list[str], status: int, words: str) -> None:
    said = cdictl("--config", config, "metrics", *args)
    assert (said.exit_code, words in said.stderr) == (status, True)


@pytest.mark.parametrize(
    ("audit", "readable", "words"),
    [
        ("none", 0, ""),
        ("syslog", 0, ""),
        ("file:/none/audit", 1, ""),  # no container has asked yet
        ("file:/dev/null", 0, "/dev/null is no file, so only the program that reads it has the lines"),
    ],
)
def test_lines_of_audit_that_cannot_be_read(
    cdictl: Cdictl, config: Path, spec_dir: Path, audit: str, readable: int, words: str
) -> None:
    config.write_text(f"spec-dirs: [{spec_dir}]\naudit: {audit}\n")
    said = cdictl("--config", config, "metrics")
    target = audit.partition(":")[0]
    assert f'cdi_runc_audit_readable{{target="{target}"}} {readable}' in said.stdout.splitlines()
    assert words in said.stderr
    assert "cdi_runc_specs 1" in said.stdout.splitlines()


@pytest.mark.parametrize(("name", "specs"), [("config.yaml", False), ("policy.yaml", True)])
def test_broken_settings_are_counted(cdictl: Cdictl, config: Path, name: str, specs: bool) -> None:
    (config.parent / name).write_text("nonsense: 1\n")
    (config.parent / name).chmod(0o644)
    said = cdictl("--config", config, "metrics")
    assert "cdi_runc_settings_faults 1" in said.stdout.splitlines()
    assert ("cdi_runc_specs 1" in said.stdout.splitlines()) == specs
    assert "unknown key 'nonsense'" in said.stderr


def test_engines_are_those_that_are_registered(
    cdictl: Cdictl, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "daemon.json").write_text("{}")
    file: Any = {"path": str(tmp_path / "daemon.json"), "after": "{}", "syntax": "json", "undos": []}
    known: Any = [
        {"engine": "docker", "runtime": "cdi-runc", "files": [file]},
        {"engine": "podman", "runtime": "", "files": [{**file, "path": "/none"}]},
    ]
    monkeypatch.setattr(records, "registrations", lambda directory: known)
    lines = _lines(cdictl("--config", config, "metrics").stdout)
    assert [line for line in lines if line.startswith("cdi_runc_engine")] == [
        'cdi_runc_engine_registered{engine="docker",runtime="cdi-runc"} 1',
        'cdi_runc_engine_registered{engine="podman",runtime="native"} 0',
    ]
