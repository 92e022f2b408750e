"""Podman's precreate hook, called as Podman calls it: the config on standard input, no environment."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SHIM = Path(sys.executable).parent / "cdi-runc"
ASKS = {"annotations": {"cdi.k8s.io/x": "vendor.com/gpu=0"}}


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    edits = {"env": ["GPU=0"], "deviceNodes": [{"path": "/dev/gpu", "hostPath": "/dev/null"}]}
    net = {"netDevices": [{"hostInterfaceName": "eth9", "name": "rdma0"}]}
    devices = [{"name": "0", "containerEdits": edits}, {"name": "net", "containerEdits": net}]
    (tmp_path / "cdi").mkdir()
    spec = {"cdiVersion": "1.1.0", "kind": "vendor.com/gpu", "devices": devices}
    (tmp_path / "cdi/gpu.json").write_text(json.dumps(spec))
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps({"spec-dirs": [str(tmp_path / "cdi")], "requests": {"mounts": "/var/run/cdi-devices"}}))
    return path


def hook(settings: Path, config: Any) -> "subprocess.CompletedProcess[str]":
    text = config if isinstance(config, str) else json.dumps(config)
    command = [str(SHIM), f"--cdi-config={settings}", "--cdi-hook=podman:precreate"]
    return subprocess.run(command, env={}, input=text, capture_output=True, text=True, timeout=60)


def test_a_container_that_asks_gets_its_device(settings: Path) -> None:
    config = json.loads(hook(settings, {**ASKS, "x-unknown": 1.50}).stdout)
    assert config["process"]["env"] == ["GPU=0"]
    assert [node["path"] for node in config["linux"]["devices"] or config["mounts"]] == ["/dev/gpu"]
    assert config["x-unknown"] == 1.5


def test_a_container_that_does_not_ask_gets_its_config_back_as_it_was(settings: Path) -> None:
    text = '{ "annotations": {},\n "n": 1.50 }'
    assert hook(settings, text).stdout == text


def test_a_second_run_adds_nothing(settings: Path) -> None:
    once = hook(settings, ASKS).stdout
    assert hook(settings, once).stdout == once


def test_a_marker_mount_asks_and_is_gone(settings: Path) -> None:
    marker = {"destination": "/var/run/cdi-devices/vendor.com/gpu/0", "source": "/dev/null", "type": "bind"}
    config = json.loads(hook(settings, {"mounts": [marker]}).stdout)
    assert config["process"]["env"] == ["GPU=0"]
    assert marker not in config["mounts"]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"annotations": {"cdi.k8s.io/x": "vendor.com/gpu=9"}}, "vendor.com/gpu=9"),
        ({"annotations": {"cdi.k8s.io/x": "vendor.com/gpu=net"}}, "Podman drops netDevices"),
        ("{", "the config from Podman is not JSON"),
        ("[]", "the config from Podman is not a JSON object"),
        ("", "the config from Podman is not JSON"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_no_config(settings: Path, config: Any, said: str) -> None:
    done = hook(settings, config)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr.splitlines()[0]
    assert "Traceback" not in done.stderr


def test_a_hook_that_nobody_knows_is_an_error(settings: Path) -> None:
    done = subprocess.run([str(SHIM), "--cdi-hook=other:x"], env={}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("cdi-runc: --cdi-hook=other:x: unknown hook")
