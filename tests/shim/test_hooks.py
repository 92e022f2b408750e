"""Which module a hook of another system is for."""

import json
import sys
from pathlib import Path

import pytest

from cdi_runc.cdi.registry import Registry
from cdi_runc.host import settings
from cdi_runc.host.known import SpecFiles
from cdi_runc.host.policy import NONE
from cdi_runc.shim import hooks
from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.launch import Launch
from cdi_runc.shim.lxc import plan, record

STAGES = ("pre-start", "mount", "start-host", "post-stop")


def launch(hook: str) -> Launch:
    found = Launch(["boot.py", sys.executable, "/x/cdi-runc", "", "", "", "", "", f"--cdi-hook={hook}"])
    assert found.take_own_options() == ""
    found.environ = {}
    return found


@pytest.mark.parametrize("hook", [f"{system}:{stage}" for system in ("lxc", "incus") for stage in STAGES])
def test_lxc_s_hooks_need_what_lxc_says(hook: str) -> None:
    with pytest.raises(ShimError, match="LXC calls this hook with"):
        hooks.run(launch(hook), pytest.fail)


@pytest.mark.parametrize(
    "hook",
    ["lxc:none", "lxc", "docker:mount", "docker:precreate", "podman:mount", "podman", "podman:", "incus:precreate"],
)
def test_a_hook_that_nobody_calls_is_an_error(hook: str) -> None:
    with pytest.raises(ShimError) as raised:
        hooks.run(launch(hook), pytest.fail)
    assert str(raised.value) == (
        f"--cdi-hook={hook}: unknown hook; expected podman:precreate, or lxc: or incus: with one of pre-start, mount,"
        " start-host, post-stop"
    )


def test_lxc_gets_the_devices_of_this_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "ROOTS", str(tmp_path / "roots"))
    monkeypatch.setattr(record, "SYSTEM_LOG", str(tmp_path / "lxc.log"))
    monkeypatch.setattr("cdi_runc.host.places.is_host_root", lambda: True)
    device = {"name": "0", "containerEdits": {"env": ["GPU=0"]}}
    (tmp_path / "gpu.json").write_text(json.dumps({"cdiVersion": "0.6.0", "kind": "v.com/gpu", "devices": [device]}))
    (tmp_path / "config").write_text("lxc.environment = CDI_DEVICES=v.com/gpu=0\n")
    (tmp_path / "config.yaml").write_text(f"spec-dirs: [{tmp_path}]\n")
    host = settings.read(str(tmp_path / "config.yaml"))
    known = SpecFiles(Registry([str(tmp_path)]), {**host, "policy": NONE})
    call = launch("incus:pre-start")
    call.environ = {b"LXC_NAME": b"c", b"LXC_CONFIG_FILE": f"{tmp_path}/config".encode()}
    assert hooks.run(call, lambda: known) == 0
    made = plan.read_config(plan.find_bundle(f"{tmp_path}/config"))
    assert made["process"]["env"] == ["GPU=0"]
    assert next(iter(record.lines_of(f"{tmp_path}/lxc.log", "incus/c")))[1] == "info"
