"""Podman's precreate hook, called as Podman calls it: the config on standard input, no environment."""

import json
import subprocess
import sys
from ast import literal_eval
from pathlib import Path
from typing import Any

import pytest

from cdi_runc.shim import podman
from cdi_runc.shim.bundle import MAX_SIZE
from cdi_runc.shim.errors import ShimError

TREE = Path(__file__).parents[2]
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


ID = "0123456789ab" * 5 + "cdef"


@pytest.mark.parametrize(
    ("place", "device", "allowed"),
    [
        ({"linux": {"cgroupsPath": f"/libpod_parent/libpod-{ID}"}}, "0", True),
        ({"linux": {"cgroupsPath": f"user.slice:libpod:{ID}"}}, "0", True),
        ({"mounts": [{"destination": "/etc/hosts", "source": f"/x/vfs-containers/{ID}/userdata/hosts"}]}, "0", True),
        ({"linux": {"cgroupsPath": f"user.slice:libpod:{ID}"}}, "9", False),
        ({"linux": {"cgroupsPath": f"user.slice:libpod:{ID}"}}, "net", False),  # which Podman would drop
    ],
)
def test_what_is_decided_is_written_down(
    settings: Path, tmp_path: Path, place: dict[str, Any], device: str, allowed: bool
) -> None:
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "audit": f"file:{tmp_path}/audit.log"}))
    asks = {"io.container.manager": "libpod", "cdi.k8s.io/x": f"vendor.com/gpu={device}"}
    hook(settings, {**place, "annotations": asks})
    hook(settings, {**place, "annotations": {}})  # which asks for nothing
    (entry,) = map(json.loads, (tmp_path / "audit.log").read_text().splitlines())
    assert (entry["container"], entry["engine"], entry["allowed"]) == (ID, "podman", allowed)
    assert [request["device"] for request in entry["requests"]] == [f"vendor.com/gpu={device}"]


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


def test_who_waits_at_podman_sees_why(settings: Path) -> None:
    hook = [str(SHIM), f"--cdi-config={settings}", "--cdi-hook=podman:precreate"]
    code = f"from subprocess import *; run({hook}, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)"
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.stderr.startswith("cdi-runc: the config from Podman is not JSON: ")
    assert done.stderr.count("\n") == 1


def test_a_user_s_settings_are_found_by_podman_s_environment() -> None:
    code = "from cdi_runc.shim.podman import _take_environment as take; e = {b'HOME': b'/own'}; take(e); print(e)"
    command = f'env -i PYTHONPATH={TREE} {sys.executable} -c "{code}"; true'
    many = {f"A{number}": "x" * 1000 for number in range(100)}
    given = {**many, "HOME": "/h", "XDG_CONFIG_HOME": "/c=d", "XDG_RUNTIME_DIR": "/r", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["/bin/sh", "-c", command], env=given, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert literal_eval(done.stdout) == {b"HOME": b"/own", b"XDG_CONFIG_HOME": b"/c=d", b"XDG_RUNTIME_DIR": b"/r"}


@pytest.mark.parametrize(
    ("made", "config", "dropped"),
    [
        ({}, {}, ""),
        ({"linux": {"netDevices": {"a": {}}}}, {"linux": {"netDevices": {"a": {}}}}, ""),
        ({"linux": {"netDevices": {"a": {}}}}, {"linux": None}, "netDevices"),
        ({"linux": {"intelRdt": {"closID": "x", "enableMonitoring": False}}}, {}, ""),
        ({"linux": {"intelRdt": {"enableMonitoring": True}}}, {}, "intelRdt.enableMonitoring"),
        (
            {"linux": {"netDevices": {"a": {}}, "intelRdt": {"schemata": ["x"], "enableMonitoring": True}}},
            {},
            "netDevices and intelRdt.schemata and intelRdt.enableMonitoring",
        ),
    ],
)
def test_what_podman_drops_is_refused(made: Any, config: Any, dropped: str) -> None:
    if not dropped:
        podman._refuse_what_podman_drops(made, config)
        return
    with pytest.raises(ShimError) as raised:
        podman._refuse_what_podman_drops(made, config)
    assert str(raised.value) == (
        f"Podman drops {dropped} of a device that a hook adds: start the container with the runtime cdi-runc"
        " (cdictl engine enable podman)"
    )


def test_a_config_is_utf_8_and_has_a_limit(settings: Path) -> None:
    command = [str(SHIM), f"--cdi-config={settings}", "--cdi-hook=podman:precreate"]
    for data, said in (
        (b'{"a": "\xff"}', "cdi-runc: the config from Podman is not UTF-8 at byte 7\n"),
        (b" " * (MAX_SIZE + 1), f"cdi-runc: the config from Podman has more than {MAX_SIZE} bytes\n"),
    ):
        done = subprocess.run(command, env={}, input=data, capture_output=True, timeout=60)
        assert (done.returncode, done.stdout) == (1, b"")
        assert said.encode() in done.stderr
