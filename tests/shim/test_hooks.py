"""Which module a hook of another system is for, and that its decisions are written down as a runtime's are."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cdi_runc.cdi.registry import Registry
from cdi_runc.host import settings
from cdi_runc.host.known import SpecFiles
from cdi_runc.host.policy import NONE
from cdi_runc.shim import hooks, policy
from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.launch import Launch
from cdi_runc.shim.lxc import hook, plan, record

STAGES = ("pre-start", "mount", "start-host", "post-stop")


def launch(which: str) -> Launch:
    found = Launch(["boot.py", sys.executable, "/x/cdi-runc", "", "", "", "", "", f"--cdi-hook={which}"])
    assert found.take_own_options() == ""
    found.environ = {}
    return found


@pytest.mark.parametrize("which", [f"{system}:{stage}" for system in ("lxc", "incus") for stage in STAGES])
def test_lxc_s_hooks_need_what_lxc_says(which: str) -> None:
    with pytest.raises(ShimError, match="LXC calls this hook with"):
        hooks.run(launch(which), pytest.fail)


@pytest.mark.parametrize(
    "which",
    ["lxc:none", "lxc", "docker:mount", "docker:precreate", "podman:mount", "podman", "podman:", "incus:precreate"],
)
def test_a_hook_that_nobody_calls_is_an_error(which: str) -> None:
    with pytest.raises(ShimError) as raised:
        hooks.run(launch(which), pytest.fail)
    assert str(raised.value) == (
        f"--cdi-hook={which}: unknown hook; expected podman:precreate, or lxc: or incus: with one of pre-start, mount,"
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


EDITS = {"env": ["A=1"]}
SPEC = {"cdiVersion": "0.5.0", "kind": "v.com/c", "devices": [{"name": "a", "containerEdits": EDITS}]}


class Machine:
    """A host with a device, and an LXC container c."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "cdi").mkdir()
        (directory / "cdi/v.json").write_text(json.dumps(SPEC))
        self.settings: dict[str, Any] = {
            "spec-dirs": [str(directory / "cdi")],
            "requests": {"annotations": ["cdi.k8s.io/"], "mounts": None, "env": None},
            "restore": "ignore",
            "policy": {"rules": [], "fault": ""},
            "fault": "",
            "hashes": {str(directory / "cdi/v.json"): "5ba1"},
            "audit": f"file:{directory}/audit.log",
        }

    def pre_start(self, asked: str, system: str = "lxc", name: str = "c") -> int:
        """The exit status for a container that asks for this."""
        (self.directory / "config").write_text(f"lxc.environment = CDI_DEVICES={asked}\n")
        given = {
            b"LXC_NAME": name.encode(),
            b"LXC_CONFIG_FILE": str(self.directory / "config").encode(),
            b"LXC_ROOTFS_MOUNT": str(self.directory).encode(),
        }
        known = SpecFiles(Registry(self.settings["spec-dirs"]), self.settings)
        called = launch(f"{system}:pre-start")
        called.environ = given
        return hooks.run(called, lambda: known)

    def audited(self) -> list[dict[str, Any]]:
        """The lines for audit."""
        return [json.loads(line) for line in (self.directory / "audit.log").read_text().splitlines()]

    def warnings(self, system: str = "lxc") -> list[str]:
        """What our log of LXC warns of."""
        lines = record.lines_of(str(self.directory / "lxc.log"), f"{system}/c")
        return [message for _, level, message in lines if level == "warning" and "config lacks" not in message]


@pytest.fixture
def machine(lxc_places: Path) -> Machine:
    return Machine(lxc_places)


@pytest.mark.parametrize("system", ["lxc", "incus"])
def test_a_device_that_is_given_is_written_down(machine: Machine, system: str) -> None:
    assert machine.pre_start("v.com/c=a", system) == 0
    (entry,) = machine.audited()
    expected = {
        "container": "c",
        "engine": system,
        "runtime": system,
        "command": "create",
        "requests": [{"device": "v.com/c=a", "through": "hook", "where": "CDI_DEVICES"}],
        "allowed": True,
        "devices": ["v.com/c=a"],
        "specs": {f"{machine.directory}/cdi/v.json": "5ba1"},
        "edits": ["env"],
    }
    assert {key: entry[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("asked", "reason", "requests"),
    [("v.com/c=none", "v.com/c=none", ["v.com/c=none"]), ("no-name", "'no-name' is not a CDI device name", [])],
)
def test_a_device_that_is_not_given_is_written_down(
    machine: Machine, asked: str, reason: str, requests: list[str]
) -> None:
    assert machine.pre_start(asked) == 1
    (entry,) = machine.audited()
    assert entry["allowed"] is False
    assert reason in entry["reason"]
    assert [each["device"] for each in entry["requests"]] == requests


def test_a_rule_about_the_engine_denies_and_one_notes(machine: Machine) -> None:
    rules = [
        rule("deny", through=["variable"]),  # of images, and not of an administrator's config
        rule("audit", engine=["lxc"]),
        rule("deny", engine=["incus"], through=["hook"]),
    ]
    machine.settings["policy"]["rules"] = rules
    assert machine.pre_start("v.com/c=a") == 0
    assert machine.warnings() == ["v.com/c=a: asked for by hook CDI_DEVICES (policy.yaml:1)"]
    assert machine.pre_start("v.com/c=a", "incus") == 1
    assert [entry["allowed"] for entry in machine.audited()] == [True, False]
    assert machine.audited()[1]["rules"] == {"v.com/c=a": "policy.yaml:1"}


def test_the_policy_and_audit_know_the_container_and_incus_s_project(machine: Machine) -> None:
    machine.settings["policy"]["rules"] = [
        rule("deny", container=[("c",)], namespace=[("tight",)]),
        rule("audit", container=[("c",)], namespace=[("default",)]),  # which LXC does not have
    ]
    assert machine.pre_start("v.com/c=a", "incus", "tight_c") == 1
    assert machine.pre_start("v.com/c=a", "incus") == 0
    assert machine.pre_start("v.com/c=a", "lxc") == 0
    assert [len(machine.warnings(system)) for system in ("incus", "lxc")] == [1, 0]
    names = [(entry["namespace"], entry["name"]) for entry in machine.audited()]
    assert names == [("tight", "c"), ("default", "c"), ("", "c")]


def test_the_annotations_are_those_that_the_policy_reads() -> None:
    annotations = hook.config_of("incus", "tight_c")["annotations"]
    assert annotations == {policy.NAMES["container"][0]: "c", policy.NAMES["namespace"][0]: "tight"}


def rule(action: str, **match: Sequence[str | tuple[str, ...]]) -> dict[str, Any]:
    """A rule of a policy, as settings have it."""
    return {"action": action, "match": match, "message": "", "place": "policy.yaml:1", "limits": {}}


def test_a_line_that_is_lost_is_a_warning_and_the_container_starts(machine: Machine) -> None:
    machine.settings["audit"] = f"file:{machine.directory}/none/audit.log"
    assert machine.pre_start("v.com/c=a") == 0
    (warning,) = machine.warnings()
    assert warning.startswith(f"a line for audit: file:{machine.directory}/none/audit.log is lost")


def test_without_audit_nothing_is_loaded_for_it(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cdi_runc.shim.audit", None)
    machine.settings["audit"] = "none"
    assert machine.pre_start("v.com/c=a") == 0
