"""Real containers of the real runc and crun: what a request gives them, and what a bad one leaves undone."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.bundles import WITH, WITHOUT, report
from integration.conftest import Runtime

MakeBundle = Callable[..., Path]


def wait_for_end(runtime: Runtime, name: str) -> None:
    deadline = time.monotonic() + 10
    while json.loads(runtime.bare("state", name).stdout)["status"] != "stopped":
        assert time.monotonic() < deadline, f"{name} does not end"
        time.sleep(0.02)


def test_a_bare_runtime_gives_no_device(runtime: Runtime, bundle: MakeBundle) -> None:
    done = runtime.bare("run", "--bundle", str(bundle()), "box")
    assert report(done.stdout) == WITHOUT


@pytest.mark.parametrize("form", [["-b", "{}"], ["--bundle", "{}"], ["--bundle={}"], []], ids=" ".join)
def test_run_gives_what_was_asked_for(runtime: Runtime, bundle: MakeBundle, form: list[str]) -> None:
    directory = bundle()
    done = runtime.shim("run", *(word.format(directory) for word in form), "box", cwd=None if form else directory)
    assert (done.returncode, done.stderr) == (0, "")
    assert report(done.stdout) == WITH
    assert runtime.containers() == []


def test_run_without_a_request_gives_nothing(runtime: Runtime, bundle: MakeBundle) -> None:
    directory = bundle(annotations={})
    before = (directory / "config.json").read_bytes()
    done = runtime.shim("run", "--bundle", str(directory), "box")
    assert (done.returncode, report(done.stdout)) == (0, WITHOUT)
    assert (directory / "config.json").read_bytes() == before


def test_the_hook_runs_and_is_told_of_the_container(runtime: Runtime, bundle: MakeBundle, tmp_path: Path) -> None:
    runtime.shim("run", "--bundle", str(bundle()), "box")
    assert json.loads((tmp_path / "widget/hook-ran").read_text())["id"] == "box"


def test_a_whole_life(runtime: Runtime, bundle: MakeBundle, tmp_path: Path) -> None:
    directory = bundle(["sleep", "60"])
    pid_file = tmp_path / "pid"

    def call(*args: str) -> str:
        done = runtime.shim(*args)
        assert (done.returncode, done.stderr) == (0, ""), args
        return done.stdout

    call("create", "--bundle", str(directory), "--pid-file", str(pid_file), "box")
    assert json.loads(call("state", "box"))["status"] == "created"
    call("start", "box")
    state = json.loads(call("state", "box"))
    assert (state["status"], state["pid"]) == ("running", int(pid_file.read_text()))
    # The device belongs to the container, and so to every process that enters it.
    assert call("exec", "box", "sh", "-c", ": > /dev/widget && stat -c %t:%T /dev/widget") == "1:b\n"
    call("kill", "box", "KILL")
    wait_for_end(runtime, "box")
    call("delete", "box")
    assert runtime.containers() == []


def test_a_second_create_doubles_nothing(runtime: Runtime, bundle: MakeBundle) -> None:
    directory = bundle()
    configs = []
    for _ in range(2):
        done = runtime.shim("run", "--bundle", str(directory), "box")
        assert report(done.stdout) == WITH
        configs.append((directory / "config.json").read_bytes())
    assert configs[0] == configs[1]


@pytest.mark.parametrize("name", ["create", "run", "restore"])
def test_a_container_may_be_named_like_a_command(runtime: Runtime, bundle: MakeBundle, name: str) -> None:
    assert runtime.shim("create", "--bundle", str(bundle(["sleep", "60"])), name).returncode == 0
    assert json.loads(runtime.shim("state", name).stdout)["id"] == name
    assert runtime.shim("delete", "--force", name).returncode == 0


@pytest.mark.parametrize("command", ["create", "run"])
@pytest.mark.parametrize("device", ["example.com/widget=two", "no-such-vendor.com/widget=one"])
def test_an_unknown_device_stops_the_create(runtime: Runtime, bundle: MakeBundle, command: str, device: str) -> None:
    directory = bundle(annotations={"cdi.k8s.io/test": device})
    before = (directory / "config.json").read_bytes()
    done = runtime.shim(command, "--bundle", str(directory), "box")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("cdi-runc: ")
    assert done.stderr.count("\n") == 1
    assert device in done.stderr
    assert (directory / "config.json").read_bytes() == before
    assert sorted(entry.name for entry in directory.iterdir()) == ["config.json", "rootfs"]
    assert runtime.containers() == []


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_the_error_stands_in_the_log_as_the_runtime_s_own_do(
    runtime: Runtime, bundle: MakeBundle, tmp_path: Path, log_format: str
) -> None:
    directory = bundle(annotations={"cdi.k8s.io/test": "example.com/widget=two"})

    def logged(call: Callable[..., object], name: str, *args: str) -> str:
        log = tmp_path / f"{name}.log"
        call(f"--log={log}", f"--log-format={log_format}", *args)
        return log.read_text().splitlines()[-1]

    ours = logged(runtime.shim, "ours", "create", "--bundle", str(directory), "box")
    theirs = logged(runtime.bare, "theirs", "state", "nobody")
    assert "example.com/widget=two" in ours
    if log_format == "json":
        assert json.loads(ours).keys() == json.loads(theirs).keys()
        assert json.loads(ours)["level"] == json.loads(theirs)["level"] == "error"
    else:
        assert ("level=error" in ours) == ("level=error" in theirs)


def test_commands_of_the_runtime_go_through_with_its_exit_status(runtime: Runtime) -> None:
    assert runtime.shim("--version").stdout == runtime.bare("--version").stdout
    for args in (["state", "nobody"], ["no-such-command"], ["create", "--no-such-option"]):
        ours, theirs = runtime.shim(*args), runtime.bare(*args)
        assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout)
