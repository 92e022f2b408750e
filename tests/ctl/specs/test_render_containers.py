"""`cdictl render lxc --container`, as the drop-ins of LXC's units call it."""

import json
from pathlib import Path

import pytest

from cdi_runc.ctl import beside
from cdi_runc.engines.engine import EngineError
from tests.ctl.conftest import Cdictl
from tests.ctl.test_schema import check


@pytest.fixture(autouse=True)
def lxc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """LXC's directory, with a container that asks, one that asks for too much, and one that asks for nothing."""
    directory = tmp_path / "lxc"
    for name, config in {
        "asks": "lxc.environment = CDI_DEVICES=vendor.com/gpu=0\n",
        "bad": "lxc.environment = CDI_DEVICES=vendor.com/gpu=7\n",
        "idle": "lxc.environment = A=b\n",
    }.items():
        (directory / name).mkdir(parents=True)
        (directory / name / "config").write_text(config)
    (directory / "no-container").mkdir()
    monkeypatch.setattr(beside, "lxcpath", lambda: str(directory))
    return directory


def test_one_container(cdictl: Cdictl, lxc: Path) -> None:
    first, second = (cdictl("render", "lxc", "--container=asks") for _ in range(2))
    line = f"cdictl: asks: put this line into {lxc}/asks/config: lxc.include = {lxc}/asks\n"
    assert (first.exit_code, first.stdout, first.stderr) == (0, f"asks: {lxc}/asks/cdi.conf is written\n", line)
    assert (second.exit_code, second.stdout) == (0, f"asks: {lxc}/asks/cdi.conf is unchanged\n")
    assert "lxc.environment = GPU0=yes" in (lxc / "asks/cdi.conf").read_text()


def test_a_changed_spec_changes_the_file(cdictl: Cdictl, lxc: Path, spec_dir: Path) -> None:
    cdictl("render", "lxc", "--container=asks")
    spec = spec_dir / "gpu.json"
    spec.write_text(spec.read_text().replace("GPU0=yes", "GPU0=of course"))
    assert cdictl("render", "lxc", "--container=asks").stdout == f"asks: {lxc}/asks/cdi.conf is written\n"
    assert "lxc.environment = GPU0=of course\n" in (lxc / "asks/cdi.conf").read_text()


def test_all_containers_although_one_is_at_fault(cdictl: Cdictl, lxc: Path) -> None:
    result = cdictl("render", "lxc", "--all-containers")
    assert result.exit_code == 1
    assert "cdictl: bad: no spec file in " in result.stderr
    assert sorted(path.parent.name for path in lxc.glob("*/cdi.conf")) == ["asks"]


def test_a_container_that_asks_for_nothing(cdictl: Cdictl, lxc: Path) -> None:
    result = cdictl("render", "lxc", "--container", "idle")
    assert (result.exit_code, result.output) == (0, "idle: asks for no device\n")
    assert not (lxc / "idle/cdi.conf").exists()


def test_a_denied_device_is_not_rendered(cdictl: Cdictl, lxc: Path, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("")
    (tmp_path / "policy.yaml").write_text("rules:\n- {match: {container: asks}, action: deny, message: ask Ada}\n")
    for name in ("config.yaml", "policy.yaml"):
        (tmp_path / name).chmod(0o644)
    result = cdictl("--config", tmp_path / "config.yaml", "render", "lxc", "--container=asks")
    assert result.exit_code == 1
    assert "ask Ada" in result.stderr
    assert not (lxc / "asks/cdi.conf").exists()


def test_programs_get_all_of_it(cdictl: Cdictl, lxc: Path) -> None:
    said = cdictl("render", "lxc", "--all-containers", "-o", "json").stdout
    check("render-containers", said)
    rows = {row["container"]: row for row in json.loads(said)["containers"]}
    assert {name: row["state"] for name, row in rows.items()} == {"asks": "written", "bad": "none", "idle": "none"}
    assert rows["asks"] | {"state": ""} == {
        "container": "asks",
        "path": f"{lxc}/asks/cdi.conf",
        "state": "",
        "asked": "vendor.com/gpu=0",
        "missing_line": f"lxc.include = {lxc}/asks",
        "fault": None,
        "lost": [],
    }


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--container", "none"], 1, "LXC has no container none in "),
        (["--container", ".."], 1, "LXC has no container .. in "),
        (["--container", "asks", "vendor.com/gpu=0"], 2, "leave DEVICE and other options out"),
        (["--container", "asks", "--beside-hook"], 2, "leave DEVICE and other options out"),
    ],
)
def test_bad_input(cdictl: Cdictl, words: list[str], status: int, said: str) -> None:
    result = cdictl("render", "lxc", *words)
    assert (result.exit_code, result.stderr.count("\n")) == (status, 1)
    assert said in result.stderr


def test_only_lxc_has_such_files(cdictl: Cdictl) -> None:
    result = cdictl("render", "incus", "--container", "asks")
    assert "--container and --all-containers are for lxc, not for incus" in result.stderr


def test_without_lxc(cdictl: Cdictl, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise EngineError("LXC is not installed: no lxc-config on PATH")

    monkeypatch.setattr(beside, "lxcpath", none)
    result = cdictl("render", "lxc", "--all-containers")
    assert (result.exit_code, result.stderr) == (1, "cdictl: LXC is not installed: no lxc-config on PATH\n")
    assert beside.complete(None, None, "a") == []


def test_names_are_completed() -> None:
    assert beside.complete(None, None, "a") == ["asks"]
