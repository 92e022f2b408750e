"""`cdictl policy`: rules are checked, shown and tried."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.ctl.conftest import Cdictl

POLICY = """\
rules:
- match: {device: "vendor.com/gpu=*", namespace: ml}
  action: allow
  limits: {hooks: [/usr/bin/nvidia-cdi-hook]}
- match: {device: "vendor.com/gpu=*"}
  action: deny
  message: GPUs are for the namespace ml
- match: {device: "vendor.com/gpu=1"}
  action: allow
"""


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "policy.yaml").chmod(0o644)
    (tmp_path / "config.yaml").write_text("")
    return tmp_path / "config.yaml"


def test_check(cdictl: Cdictl, settings: Path) -> None:
    result = cdictl("--config", settings, "policy", "check")
    path = settings.with_name("policy.yaml")
    assert (result.exit_code, result.stdout) == (0, f"{path}: 3 rules\n")
    assert (
        result.stderr == f"cdictl: warning: {path}:8: this rule never decides: {path}:5 matches all that it matches\n"
    )


def test_check_a_bad_one(cdictl: Cdictl, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("rules: [{action: maybe}]")
    result = cdictl("policy", "check", tmp_path / "p.yaml")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "rules.0.action: found 'maybe', expected allow, deny or audit" in result.stderr


def test_show(cdictl: Cdictl, settings: Path) -> None:
    result = cdictl("--config", settings, "policy", "show", "-o", "json")
    rules = json.loads(result.stdout)["rules"]
    assert [rule["action"] for rule in rules] == ["refuse", "refuse", "allow", "deny", "allow"]
    assert rules[2]["match"] == "device: vendor.com/gpu=*, namespace: ml"
    assert rules[2]["limits"] == "hooks: /usr/bin/nvidia-cdi-hook"
    assert "vendor.com/gpu=*" in cdictl("--config", settings, "policy", "show").stdout


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        (["--device", "vendor.com/gpu=0", "--namespace", "ml"], 0, "vendor.com/gpu=0: allowed: by "),
        (
            ["--device", "vendor.com/gpu=0", "--namespace", "ml", "--engine", "crio"],
            0,
            "vendor.com/gpu=0: allowed: by ",
        ),
        (["--device", "vendor.com/gpu=0"], 1, "vendor.com/gpu=0: denied: GPUs are for the namespace ml ("),
        (["--device", "vendor.com/cam=0"], 0, "vendor.com/cam=0: allowed: no rule is about it"),
        (["--device", "vendor.com/cam=0", "--command", "restore"], 1, "vendor.com/cam=0: denied: a container that is"),
    ],
)
def test_what_if(cdictl: Cdictl, settings: Path, args: list[str], status: int, said: str) -> None:
    result = cdictl("--config", settings, "policy", "test", *args)
    assert result.exit_code == status
    assert result.stdout.startswith(said)


@pytest.mark.parametrize("engine", ["docker", "podman", "containerd", "crio", "lxc", "incus"])
def test_what_if_an_engine_asks(cdictl: Cdictl, settings: Path, engine: str) -> None:
    policy = settings.parent / "policy.yaml"
    policy.write_text(f"rules:\n- {{action: deny, match: {{engine: {engine}}}}}\n")
    policy.chmod(0o644)
    for other in ("docker", "podman", "containerd", "crio", "lxc", "incus"):
        args = ["policy", "test", "--device", "vendor.com/gpu=0", "--engine", other]
        assert cdictl("--config", settings, *args).exit_code == (1 if other == engine else 0)


@pytest.mark.parametrize(
    ("match", "args", "status"),
    [
        ("through: hook", ["--engine", "lxc"], 1),
        ("through: hook", ["--engine", "lxc", "--through", "annotation"], 0),
        ("through: hook", ["--engine", "crio"], 0),
        ("container: c, namespace: p", ["--engine", "incus", "--container", "c", "--namespace", "p"], 1),
        ("container: c, namespace: p", ["--engine", "incus", "--container", "c", "--namespace", "q"], 0),
    ],
)
def test_what_if_a_container_of_lxc_or_incus_asks(
    cdictl: Cdictl, settings: Path, match: str, args: list[str], status: int
) -> None:
    policy = settings.parent / "policy.yaml"
    policy.write_text(f"rules:\n- {{action: deny, match: {{{match}}}}}\n")
    policy.chmod(0o644)
    assert cdictl("--config", settings, "policy", "test", "--device", "vendor.com/gpu=0", *args).exit_code == status


def test_a_bundle(cdictl: Cdictl, settings: Path, tmp_path: Path) -> None:
    annotations = {"cdi.k8s.io/x": "vendor.com/gpu=0", "io.kubernetes.cri.sandbox-namespace": "web"}
    (tmp_path / "config.json").write_text(json.dumps({"annotations": annotations}))
    result = cdictl("--config", settings, "policy", "test", tmp_path, "-o", "json")
    assert result.exit_code == 1
    [verdict] = json.loads(result.stdout)["verdicts"]
    assert verdict["allowed"] is False
    explained = cdictl("--config", settings, "explain", "bundle", tmp_path)
    assert explained.stdout.startswith("problem: vendor.com/gpu=0: GPUs are for the namespace ml (")
    assert "policy.yaml:5" in "".join(explained.stdout.split())


def test_a_name_that_no_device_can_have(cdictl: Cdictl, settings: Path) -> None:
    result = cdictl("--config", settings, "policy", "test", "--device", "gpu")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("cdictl: 'gpu' is not a qualified device name")
