"""A call of the shim from its command line to the runtime's start, with a runtime that tells how it was called."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cdi_runc.host.errors import SettingsError
from cdi_runc.host.snapshot import Damaged
from cdi_runc.shim import main as shim
from cdi_runc.shim.cmdline import Call, parse
from cdi_runc.shim.errors import ConfigError, RuntimeMissing, ShimError
from cdi_runc.shim.launch import Launch
from tests.shim.conftest import START, bundle, executable

TELLS = '#!/bin/sh\nprintf "%s\\n" "$0" "$@"\nexit 7\n'
NAME = "vendor.com/gpu=0"
DEVICES = {
    "0": {"env": ["GPU=0"]},
    "net": {"netDevices": [{"hostInterfaceName": "eth9", "name": "rdma0"}]},
    "rdt": {"intelRdt": {"closID": "x"}},
}


@dataclass
class Host:
    """A host with settings, specs and a runtime of its own."""

    directory: Path

    def __post_init__(self) -> None:
        self.config = self.directory / "config.yaml"
        self.bundle = self.directory / "bundle"
        self.runtime = executable(self.directory / "bin/runc", TELLS)
        devices = [{"name": name, "containerEdits": edits} for name, edits in DEVICES.items()]
        spec = {"cdiVersion": "1.1.0", "kind": "vendor.com/gpu", "devices": devices}
        (self.directory / "cdi").mkdir()
        (self.directory / "cdi/gpu.json").write_text(json.dumps(spec))
        self.set()
        self.asks()

    def set(self, **settings: Any) -> None:
        """Write the settings."""
        self.config.write_text(json.dumps({"spec-dirs": [f"{self.directory}/cdi"], **settings}))

    def asks(self, name: str = NAME, **config: Any) -> None:
        """Write a config that asks for a device."""
        bundle(self.bundle, annotations={"cdi.k8s.io/test": name}, **config)

    def argv(self, *args: str, runtime: str = "", self_path: str = "/x/cdi-runc") -> list[str]:
        """What launcher.sh hands over."""
        return ["boot.py", sys.executable, self_path, "", "", "", runtime, str(self.config), *args]

    def start(
        self, *args: str, environ: Mapping[str, str] | None = None, **kept: str
    ) -> "subprocess.CompletedProcess[str]":
        """The whole process."""
        variables = {"PATH": f"{self.directory}/bin:/usr/bin:/bin", "XDG_RUNTIME_DIR": str(self.directory)}
        command = [sys.executable, "-I", "-S", str(START / "boot.py"), *self.argv(*args, **kept)[1:]]
        return subprocess.run(command, env={**variables, **(environ or {})}, capture_output=True, text=True, timeout=60)

    def launch(self, *args: str, **kept: str) -> Launch:
        """The call in this process."""
        launch = Launch(self.argv(*args, **kept))
        launch.environ = {b"PATH": f"{self.directory}/bin".encode(), b"XDG_RUNTIME_DIR": str(self.directory).encode()}
        return launch

    def prepare(self, *args: str, **kept: str) -> tuple[str, bool, list[str]]:
        """The runtime to start, whether the config was changed, and the warnings."""
        launch = self.launch(*args, **kept)
        warnings: list[str] = []
        path, edited = shim.prepare(launch, parse(launch.args, "runc"), warnings.append)
        return path, edited is not None, warnings

    def create(self, command: str = "create", **kept: str) -> tuple[str, bool, list[str]]:
        return self.prepare(command, "--bundle", str(self.bundle), "id", **kept)

    @property
    def env(self) -> Any:
        """The variables in the config."""
        return json.loads((self.bundle / "config.json").read_text()).get("process", {}).get("env")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr("cdi_runc.host.places.is_host_root", lambda: False)
    state = tmp_path / "cdi-runc"
    state.mkdir(mode=0o700)
    return Host(tmp_path)


def said(done: "subprocess.CompletedProcess[str]") -> str:
    """The one line of a call that failed."""
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    return line


# Whole processes.


@pytest.mark.parametrize("args", [["state", "id"], ["--version"], [], ["kill", "create", "9"], ["create", "--help"]])
def test_what_starts_no_container_is_the_runtimes(host: Host, args: list[str]) -> None:
    done = host.start(*args)
    assert (done.returncode, done.stderr) == (7, "")
    assert done.stdout.splitlines() == [str(host.runtime), *args]


@pytest.mark.parametrize("command", ["create", "run"])
def test_a_container_that_asks_has_its_device_before_the_runtime_starts(host: Host, command: str) -> None:
    args = ["--root", "/r", command, "--bundle", str(host.bundle), "id"]
    done = host.start(*args)
    assert (done.returncode, done.stderr) == (7, "")
    assert done.stdout.splitlines() == [str(host.runtime), *args]
    assert host.env == ["GPU=0"]


def test_our_version_is_printed(host: Host) -> None:
    done = host.start("--cdi-version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("cdi-runc ")
    assert done.stdout.endswith("\n")


def test_a_closed_standard_output_is_an_error(host: Host) -> None:
    command = [sys.executable, "-I", "-S", str(START / "boot.py"), *host.argv("--cdi-version")[1:]]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "cdi-runc: nothing can be written to standard output: No space left on device\n"


def test_a_probe_is_answered(host: Host) -> None:
    done = host.start("--version", environ={"CDI_RUNC_PROBE": "1"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "cdi-runc wraps a runtime\n", "")


def test_an_unknown_option_of_ours_is_an_error(host: Host) -> None:
    assert said(host.start("--cdi-none", "state", "id")).startswith("cdi-runc: --cdi-none: unknown option; expected")


def test_an_unknown_hook_is_an_error(host: Host) -> None:
    line = said(host.start("--cdi-hook=lxc:none"))
    assert line == (
        "cdi-runc: --cdi-hook=lxc:none: unknown hook; expected podman:precreate, or lxc: or incus: with one of"
        " pre-start, mount, start-host, post-stop"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root's state directory is the host's")
def test_cdictl_knows_more_of_a_user_s_container(host: Host) -> None:
    host.asks("vendor.com/gpu=9")
    line = said(host.start("create", "--bundle", str(host.bundle), "id"))
    assert line.endswith(" (more: cdictl explain last)")


@pytest.mark.parametrize(("command", "more"), [("create", True), ("state", False)])
def test_an_error_is_in_the_runtimes_log_too(host: Host, tmp_path: Path, command: str, more: bool) -> None:
    log = tmp_path / "log"
    args = ["--log", str(log), "--log-format", "json", command, "id"]
    line = said(host.start(*args, runtime="/none"))
    assert line.startswith("cdi-runc: the runtime /none is missing or can't be executed")
    logged = json.loads(log.read_text())
    assert (logged["level"], logged["msg"]) == ("error", line)
    assert more or "more:" not in line


def test_a_runtime_that_cannot_be_started_leaves_the_config_as_it_was(host: Host) -> None:
    host.runtime.write_text("#!/no/such/interpreter\n")
    before = (host.bundle / "config.json").read_bytes()
    line = said(host.start("create", "--bundle", str(host.bundle), "id"))
    assert line.startswith(f"cdi-runc: the runtime {host.runtime} can't be executed: No such file or directory")
    assert (host.bundle / "config.json").read_bytes() == before
    assert [path.name for path in host.bundle.iterdir()] == ["config.json"]


def test_signals_are_as_the_caller_had_them(host: Host) -> None:
    executable(host.runtime, "#!/bin/sh\ngrep SigIgn /proc/self/status\n")
    done = host.start("state", "id")
    ignored = int(done.stdout.split()[1], 16)
    assert not ignored >> signal.SIGPIPE - 1 & 1


# prepare


@pytest.mark.parametrize(("command", "changed"), [("create", True), ("run", True), ("restore", False)])
def test_what_starts_a_container_gets_devices(host: Host, command: str, changed: bool) -> None:
    path, edited, warnings = host.create(command)
    assert (path, edited) == (str(host.runtime), changed)
    assert bool(warnings) != changed
    assert host.env == (["GPU=0"] if changed else None)


def test_a_restore_says_why_it_gets_none(host: Host) -> None:
    _, _, (warning,) = host.create("restore")
    assert warning.startswith(f"{NAME}: not injected: ")
    assert len(warning) > len(f"{NAME}: not injected: ")


def test_a_restore_gets_devices_where_the_settings_say_so(host: Host) -> None:
    host.set(restore="inject")
    assert host.create("restore") == (str(host.runtime), True, [])
    assert host.env == ["GPU=0"]


def test_a_second_time_changes_nothing(host: Host) -> None:
    host.create()
    before = (host.bundle / "config.json").stat()
    assert host.create() == (str(host.runtime), False, [])
    assert (host.bundle / "config.json").stat().st_ino == before.st_ino


@pytest.mark.parametrize("args", [["state", "id"], ["delete", "id"], ["create", "--help"]])
def test_other_commands_change_no_config(host: Host, args: list[str]) -> None:
    os.chdir(host.bundle)
    assert host.prepare(*args) == (str(host.runtime), False, [])
    assert host.env is None


@pytest.mark.parametrize(
    ("runtimes", "name", "runtime", "found"),
    [
        ({}, "runc", "", "bin/runc"),
        ({}, "crun", "", "bin/crun"),
        ({"runc": "other"}, "runc", "", "other"),
        ({"crun": "other"}, "runc", "", "bin/runc"),
        ({"runc": "other"}, "runc", "bin/crun", "bin/crun"),
    ],
)
def test_the_command_line_counts_then_the_settings_then_the_name(
    host: Host, runtimes: dict[str, str], name: str, runtime: str, found: str
) -> None:
    directory = host.directory
    for each in ("bin/crun", "other"):
        executable(directory / each, TELLS)
    host.set(runtimes={key: f"{directory}/{path}" for key, path in runtimes.items()})
    wanted = runtime and f"{directory}/{runtime}"
    path, _, _ = host.prepare("state", "id", runtime=wanted, self_path=f"/x/cdi-{name}")
    assert path == f"{directory}/{found}"


def test_a_command_line_is_read_as_the_runtime_of_the_settings_reads_it(host: Host) -> None:
    crun = executable(host.directory / "bin/crun", TELLS)
    host.set(runtimes={"runc": str(crun)})
    # crun reads the config that -f names; runc knows no such option.
    other = (host.bundle / "config.json").rename(host.bundle / "other.json")
    path, edited, warnings = host.prepare("create", "-f", str(other), "--bundle", str(host.bundle), "id")
    assert (path, edited, warnings) == (str(crun), True, [])


def test_a_runtime_that_is_missing_is_an_error(host: Host) -> None:
    with pytest.raises(RuntimeMissing):
        host.create(runtime="/none")
    assert host.env is None


# Settings and snapshots that are broken.


def test_broken_settings_stop_only_containers_that_ask(host: Host) -> None:
    host.set(nonsense=1)
    with pytest.raises(SettingsError, match="nonsense"):
        host.create()
    bundle(host.bundle)
    path, edited, (warning,) = host.create()
    assert (path, edited) == (str(host.runtime), False)
    assert "nonsense" in warning
    assert host.prepare("state", "id")[:2] == (str(host.runtime), False)


def test_settings_that_cannot_be_found_out_stop_only_containers_that_ask(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise SettingsError("no memory")

    monkeypatch.setattr(shim, "_snapshot", fails)
    with pytest.raises(SettingsError, match="no memory"):
        host.create()
    bundle(host.bundle)
    assert host.create() == (str(host.runtime), False, ["no memory"])
    assert host.prepare("state", "id") == (str(host.runtime), False, [])


def test_a_host_that_is_not_known_has_no_devices() -> None:
    known = shim.Unreadable("why")
    assert known.settings["fault"] == "why"
    assert known.settings["restore"] == "ignore"
    assert known.settings["policy"] == {"rules": 0, "fault": ""}
    assert (known.settings["runtimes"], known.settings["spec-dirs"]) == ({}, [])
    assert (known.names, known.refused, known.conflicts) == ([], {}, {})
    assert known.find(NAME) is None  # type: ignore[func-returns-value]


def test_a_damaged_snapshot_is_made_anew_with_a_warning(host: Host) -> None:
    host.create()
    host.asks()
    (kept,) = (path for path in (host.directory / "cdi-runc").iterdir() if path.name.startswith("snapshot%"))
    data = kept.read_bytes()
    kept.write_bytes(b"no snapshot")
    path, edited, warnings = host.create()
    assert (path, edited) == (str(host.runtime), True)
    assert len(warnings) == 1
    assert len(kept.read_bytes()) == len(data)


def test_damage_that_is_seen_late_is_mended(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    inject, calls = shim.inject, []

    def damaged_once(call: Call, known: Any, runtime: str, warn: Any) -> Any:
        calls.append(runtime)
        if len(calls) == 1:
            raise Damaged("the part of vendor.com")
        return inject(call, known, runtime, warn)

    monkeypatch.setattr(shim, "inject", damaged_once)
    path, edited, warnings = host.create()
    assert (path, edited, calls) == (str(host.runtime), True, [str(host.runtime)] * 2)
    assert warnings == ["the device snapshot is being rebuilt: the part of vendor.com"]


def test_a_fresh_snapshot_is_used_again(host: Host) -> None:
    launch = host.launch("state", "id")
    shim.prepare(launch, parse(launch.args, "runc"), pytest.fail)
    launch.full_python = "/none"
    assert shim.prepare(launch, parse(launch.args, "runc"), pytest.fail)[0] == str(host.runtime)


# inject


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_a_config_that_is_none_is_the_runtimes_to_refuse(host: Host, text: str) -> None:
    (host.bundle / "config.json").write_text(text)
    assert host.create() == (str(host.runtime), False, [])


def test_a_config_that_is_none_and_seems_to_ask_is_an_error(host: Host) -> None:
    (host.bundle / "config.json").write_text('{"annotations": {"cdi.k8s.io/x": ')
    with pytest.raises(ConfigError):
        host.create()


def test_a_marker_mount_asks_and_is_gone(host: Host) -> None:
    host.set(requests={"mounts": "/dev/cdi"})
    marker = {"destination": "/dev/cdi/vendor.com/gpu/0", "source": "/dev/null", "type": "bind", "options": ["bind"]}
    bundle(host.bundle, mounts=[marker])
    assert host.create()[1]
    assert host.env == ["GPU=0"]
    assert not json.loads((host.bundle / "config.json").read_text())["mounts"]


@pytest.mark.parametrize(
    ("config", "dropped"),
    [
        ({}, False),
        ({"mounts": None}, False),
        ({"mounts": [{"destination": "/dev", "type": "tmpfs"}, None]}, False),
        ({"mounts": [{"destination": "/x", "type": "bind"}]}, False),
        ({"mounts": [{"destination": "/dev", "type": "bind"}]}, True),
        ({"mounts": [{"destination": "/x"}, {"destination": "/dev"}]}, True),
    ],
)
def test_where_a_runtime_may_drop_nodes(config: dict[str, Any], dropped: bool) -> None:
    assert shim._may_be_dropped([{"env": ["A=b"]}], config) == dropped


@pytest.mark.parametrize("kind", ["netDevices", "intelRdt"])
def test_what_a_runtime_may_drop(kind: Any) -> None:
    assert shim._may_be_dropped([{"env": ["A=b"]}, {kind: {}}], {})  # type: ignore[misc]


def test_what_the_runtime_drops_is_a_warning(host: Host) -> None:
    host.asks("vendor.com/gpu=net")
    _, edited, warnings = host.create()
    assert edited
    assert warnings == ["this runtime moves no network devices (netDevices): use runc 1.4, crun 1.22 or newer"]


def test_a_runtime_that_drops_nothing_is_asked_and_nothing_is_said(host: Host) -> None:
    features = json.dumps({"linux": {"netDevices": {"enabled": True}}})
    executable(host.runtime, f"#!/bin/sh\n[ $1 = features ] && echo '{features}'\n")
    host.asks("vendor.com/gpu=net")
    assert host.create() == (str(host.runtime), True, [])


def test_each_decision_is_recorded_where_the_settings_want_that(host: Host) -> None:
    record = host.directory / "audit.log"
    host.set(audit=f"file:{record}")
    host.create()
    host.asks("vendor.com/gpu=9")
    with pytest.raises(ShimError):
        host.create()
    entries = [json.loads(line) for line in record.read_text().splitlines()]
    assert [(entry["allowed"], entry["runtime"]) for entry in entries] == [(True, "runc"), (False, "runc")]


def test_nothing_is_recorded_without_a_word_in_the_settings(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdi_runc.shim.audit.record", lambda *_: pytest.fail("recorded"))
    assert host.create()[1]


def test_a_policy_refuses_and_its_notes_are_warnings(host: Host) -> None:
    (host.directory / "policy.yaml").write_text("rules:\n- {action: deny, message: ask us}\n")
    with pytest.raises(ShimError, match="ask us"):
        host.create()
    assert host.env is None


def test_requests_are_the_ones_of_the_settings(host: Host) -> None:
    host.set(requests={"annotations": ["ours/"]})
    assert not host.create()[1]
    bundle(host.bundle, annotations={"ours/x": NAME})
    assert host.create()[1]
