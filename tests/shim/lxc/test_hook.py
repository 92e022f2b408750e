"""What each of LXC's hooks does, called as LXC calls it; only a real LXC has a container around it (integration/)."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cdi_runc.cdi.errors import UnresolvableDevices
from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.lxc import hook, plan, record, rights, start_host
from tests.processes import ending

if TYPE_CHECKING:
    from cdi_runc.cdi.injection import Group

GPU = "vendor.com/gpu=0"
LACKS = "the config lacks, as cdictl render lxc --beside-hook would write it:"


class Lxc:
    """A container of LXC: its config file, its root, and the edits of the device that it asks for."""

    def __init__(self, directory: Path) -> None:
        self.config = directory / "c" / "config"
        self.root = directory / "c" / "rootfs"
        self.root.mkdir(parents=True)
        self.log = directory / "lxc.log"
        self.pid = str(os.getpid())
        self.edits: Any = {"deviceNodes": [self.fifo(directory)]}
        self.asks("")

    def fifo(self, directory: Path) -> dict[str, Any]:
        os.mkfifo(directory / "pipe", 0o640)
        return {"path": "/dev/pipe", "hostPath": str(directory / "pipe")}

    def asks(self, *lines: str) -> None:
        """Write a config that asks for the device."""
        self.config.write_text("\n".join([f"lxc.environment = CDI_DEVICES={GPU}", *lines, ""]))

    def resolve(self, container: hook.Container, asked: str) -> "list[Group]":
        if asked != GPU:
            raise UnresolvableDevices([asked])
        return [(GPU, self.edits)]

    def __call__(self, stage: str, **variables: str) -> int:
        """The exit status of a stage."""
        given = {
            "LXC_NAME": "c",
            "LXC_CONFIG_FILE": str(self.config),
            "LXC_ROOTFS_MOUNT": str(self.root),
            "LXC_PID": self.pid,
            **variables,
        }
        environ = {name.encode(): value.encode() for name, value in given.items()}
        return hook.run("lxc", stage, environ, self.resolve)

    @property
    def bundle(self) -> Path | None:
        """Where the stages leave things for one another."""
        found = plan.find_bundle(str(self.config))
        return Path(found) if found else None

    def logged(self) -> list[tuple[str, str]]:
        """The lines of the log so far: level and message. The log begins anew."""
        lines = [(level, message) for _, level, message in record.lines_of(str(self.log), "lxc/c")]
        self.log.unlink(missing_ok=True)
        return lines


@pytest.fixture
def lxc(lxc_places: Path) -> Iterator[Lxc]:
    lxc = Lxc(lxc_places)
    yield lxc
    if lxc.bundle:  # in which a process may wait
        plan.remove(str(lxc.bundle))


@pytest.fixture
def no_old_cgroup(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this host's cgroups were of version 2."""
    monkeypatch.setattr(rights, "has_old_devices_cgroup", lambda: False)


def tell(path: Path, stage: str, words: str = "") -> dict[str, Any]:
    """A hook that writes its state to a file, and fails with its words where it has some."""
    script = f"cat > {path}/{stage}; " + (f"echo {words} >&2; exit 3" if words else "true")
    return {"hookName": stage, "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]}


@pytest.mark.parametrize("variables", [{"LXC_NAME": ""}, {"LXC_CONFIG_FILE": ""}, {"LXC_CONFIG_FILE": "c/config"}])
def test_people_do_not_call_it(lxc: Lxc, variables: dict[str, str]) -> None:
    with pytest.raises(ShimError) as raised:
        lxc("pre-start", **variables)
    assert str(raised.value) == "LXC calls this hook with LXC_NAME and LXC_CONFIG_FILE: it is not for people"


@pytest.mark.parametrize(
    ("asked", "names"), [(GPU, [GPU]), (f"{GPU},a.b/c=d", [GPU, "a.b/c=d"]), (f"{GPU},{GPU}", [GPU])]
)
def test_a_value_of_the_variable_is_a_list_of_names(asked: str, names: list[str]) -> None:
    assert hook.names_in(asked) == names
    assert hook.requests(asked)[0].name == GPU


def test_a_value_that_is_no_name_is_refused() -> None:
    with pytest.raises(ShimError, match="no-name"):
        hook.names_in("no-name")


def test_a_container_that_does_not_ask_is_left_alone(lxc: Lxc) -> None:
    lxc.config.write_text("lxc.environment = OTHER=x\n")
    assert [lxc(stage) for stage in ("pre-start", "start-host", "post-stop")] == [0, 0, 0]
    assert (lxc.bundle, lxc.logged()) == (None, [])


def test_a_config_outside_of_the_file_is_said_at_the_mount(lxc: Lxc, capfd: pytest.CaptureFixture[str]) -> None:
    assert lxc("mount") == 1
    line = (
        f"mount: CDI_DEVICES is set, and the pre-start hook did not find it in {lxc.config}: put lxc.environment into"
        " that file, or into one that it includes by name"
    )
    assert capfd.readouterr().err == f"cdi-runc: {line}\n"
    assert lxc.logged() == [("error", line)]


def test_pre_start_leaves_a_plan(lxc: Lxc, tmp_path: Path) -> None:
    lxc.asks()
    assert lxc("pre-start") == 0
    assert lxc.bundle
    left = json.loads((lxc.bundle / "plan.json").read_text())
    assert left["mapped"] is False
    (node,) = left["nodes"]
    assert node["path"] == "/dev/pipe"
    assert node["hostPath"] == str(tmp_path / "pipe")
    assert node["type"] == "p"
    config = json.loads((lxc.bundle / "config.json").read_text())
    assert config["ociVersion"] == "1.0.2"
    assert config["root"] == {"path": str(lxc.root)}
    assert lxc.logged() == [("info", f"pre-start: {GPU} is asked for")]


RIGHT = "c 1:3 rwm\n"


@pytest.mark.parametrize(
    ("edits", "lines", "left"),
    [
        ({"env": ["A=b"]}, [], None),
        ({"deviceNodes": [{"path": "/dev/null"}]}, [], RIGHT),
        ({"deviceNodes": [{"path": "/dev/null"}], "hooks": [{"hookName": "createContainer", "path": "/x"}]}, [], RIGHT),
        ({"deviceNodes": [{"path": "/dev/null"}], "hooks": [{"hookName": "prestart", "path": "/x"}]}, [], ""),
        ({"deviceNodes": [{"path": "/dev/null"}]}, ["lxc.idmap = u 0 0 65536"], None),
        *(({"hooks": [{"hookName": name, "path": "/x"}]}, [], "") for name in ("prestart", "createRuntime")),
        ({"hooks": [{"hookName": "poststart", "path": "/x"}]}, ["lxc.idmap = u 0 0 65536"], ""),
        *(({"hooks": [{"hookName": name, "path": "/x"}]}, [], None) for name in ("createContainer", "poststop")),
    ],
)
def test_start_host_is_needed_for_rights_and_hooks_and_needs_python_for_hooks(
    lxc: Lxc, monkeypatch: pytest.MonkeyPatch, edits: Any, lines: list[str], left: str | None
) -> None:
    monkeypatch.setattr(rights, "has_old_devices_cgroup", lambda: True)
    lxc.edits = edits
    lxc.asks(*lines)
    assert lxc("pre-start") == 0
    assert lxc.bundle
    file = lxc.bundle / "start-host"
    assert (file.read_text() if file.exists() else None) == left


MAPPED = "lxc.idmap = u 0 0 65536"
NODE = {"deviceNodes": [{"path": "/dev/null"}]}
START = {"hooks": [{"hookName": "startContainer", "path": "/x"}]}
TWICE = f"lxc.environment has CDI_DEVICES more than once: the last one counts, {GPU}"


@pytest.mark.usefixtures("no_old_cgroup")
@pytest.mark.parametrize(
    ("edits", "lines", "warnings"),
    [
        ({"env": ["A=b", "C=d"]}, ["lxc.environment = C=d"], [f"{LACKS} lxc.environment = A=b"]),
        ({"env": ["A=b"]}, ["lxc.environment = A=c"], [f"{LACKS} lxc.environment = A=b"]),
        ({"env": ["A=b=c"]}, ["lxc.environment = A=b=c"], []),
        ({"additionalGids": [44, 7, 9]}, ["lxc.init.groups = 7"], [f"{LACKS} lxc.init.groups = 44,9"]),
        ({"additionalGids": [44, 9]}, [MAPPED], ["LXC sets no groups where ids are mapped: 44,9"]),
        ({"additionalGids": [44]}, ["lxc.init.groups = 44"], []),
        (
            {"netDevices": [{"hostInterfaceName": name, "name": name} for name in ("eth8", "eth9")]},
            ["lxc.net.0.link = eth8"],
            [f"{LACKS} lxc.net.N.link = eth9"],
        ),
        (NODE, [], [f"{LACKS} lxc.cgroup2.devices.allow = c 1:3 rwm"]),
        (NODE, ["lxc.cgroup2.devices.allow = c 1:3 rwm"], []),
        (NODE, [MAPPED], []),
        (START, [], [f"{LACKS} lxc.hook.start = /dev/.cdi-start"]),
        (START, ["lxc.hook.start = /dev/.cdi-start"], []),
        ({"intelRdt": {"closID": "x"}}, [], ["LXC has no intelRdt"]),
        ({}, [f"lxc.environment = CDI_DEVICES={GPU}"], [TWICE]),
    ],
)
def test_what_hooks_cannot_give_is_a_warning(lxc: Lxc, edits: Any, lines: list[str], warnings: list[str]) -> None:
    lxc.edits = edits
    lxc.asks(*lines)
    assert lxc("pre-start") == 0
    remedy = f"put this line into {lxc.config}, so that it has what it lacks: lxc.include = {lxc.config.parent}"
    expected = [*warnings, *([remedy] if any(line.startswith(LACKS) for line in warnings) else [])]
    assert lxc.logged()[1:] == [("warning", line) for line in expected]


@pytest.mark.parametrize("included", ["", "/", "/cdi.conf"])
def test_what_is_beside_the_config_is_part_of_it(lxc: Lxc, included: str) -> None:
    """Also where it is not there yet."""
    home = lxc.config.parent
    lxc.edits = {"env": ["A=b"]}
    lxc.asks(f"lxc.include = {home}{included}")
    assert lxc("pre-start") == 0
    old = f"{home}/cdi.conf is not as the specs are now: cdictl render lxc --container c renews it"
    assert [line for _, line in lxc.logged()[1:]] == [f"{LACKS} lxc.environment = A=b", old]
    (home / "cdi.conf").write_text("lxc.environment = A=b\n")
    assert lxc("pre-start") == 0
    assert len(lxc.logged()) == 1


@pytest.mark.parametrize(("system", "name"), [("incus", "c"), ("lxc", "other")])
def test_only_a_directory_of_the_container_is_to_be_included(lxc: Lxc, system: str, name: str) -> None:
    """Not one in which `lxc-start -f` found a file, and none of Incus's, which it makes anew."""
    lxc.edits = {"env": ["A=b"]}
    lxc.asks()
    environ = {"LXC_NAME": name, "LXC_CONFIG_FILE": str(lxc.config), "LXC_ROOTFS_MOUNT": str(lxc.root)}
    assert hook.run(system, "pre-start", {k.encode(): v.encode() for k, v in environ.items()}, lxc.resolve) == 0
    assert "lxc.include" not in lxc.log.read_text()


def test_with_the_old_cgroups_the_rights_are_given_later(lxc: Lxc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "has_old_devices_cgroup", lambda: True)
    lxc.edits = NODE
    lxc.asks()
    assert lxc("pre-start") == 0
    assert len(lxc.logged()) == 1


def test_with_mapped_ids_the_node_of_the_host_must_be_there(lxc: Lxc, capfd: pytest.CaptureFixture[str]) -> None:
    lxc.edits["deviceNodes"][0] |= {"type": "c", "major": 1, "minor": 3}
    lxc.asks(MAPPED)
    assert lxc("pre-start") == 0
    Path(lxc.edits["deviceNodes"][0]["hostPath"]).unlink()
    assert lxc("pre-start") == 1
    assert capfd.readouterr().err.startswith("cdi-runc: pre-start: ")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_the_mapped_root_may_leave_words(lxc: Lxc) -> None:
    lxc.asks("lxc.idmap = u 0 4711 65536")
    assert lxc("pre-start") == 0
    assert lxc.bundle
    assert (lxc.bundle / "said").stat().st_uid == 4711
    assert json.loads((lxc.bundle / "plan.json").read_text())["mapped"] is True


def test_a_fault_is_said_and_logged(lxc: Lxc, capfd: pytest.CaptureFixture[str]) -> None:
    lxc.config.write_text("lxc.environment = CDI_DEVICES=vendor.com/gpu=9\n")
    assert lxc("pre-start") == 1
    said = capfd.readouterr().err
    assert said.startswith("cdi-runc: pre-start: ")
    assert "vendor.com/gpu=9" in said
    assert lxc.logged()[-1] == ("error", said.removeprefix("cdi-runc: ").rstrip("\n"))


def test_the_mount_stage_makes_nodes_and_mounts_and_runs_hooks(lxc: Lxc, tmp_path: Path) -> None:
    lxc.edits["deviceNodes"][0]["uid"] = os.getuid()
    lxc.edits["hooks"] = [tell(tmp_path, "createContainer"), {"hookName": "startContainer", "path": "/bin/true"}]
    lxc.asks("lxc.hook.start = /dev/.cdi-start")
    assert (lxc("pre-start"), lxc("mount")) == (0, 0)
    assert (lxc.root / "dev/pipe").is_fifo()
    state = json.loads((tmp_path / "createContainer").read_text())
    expected = {"id": "c", "status": "creating", "pid": 1, "bundle": str(lxc.bundle)}
    assert state == {"ociVersion": "1.0.2", **expected}
    program = (lxc.root / "dev/.cdi-start").read_text()
    assert '"status":"created","pid":1,' in program.replace(": ", ":").replace(", ", ",")
    assert "'/bin/true'" in program
    assert f'"{lxc.bundle}"' in program


def test_a_start_hook_of_a_device_that_has_none_any_more_is_there_and_does_nothing(lxc: Lxc) -> None:
    """LXC refuses a container whose config names a program that is not there."""
    lxc.edits = {}
    lxc.asks("lxc.hook.start = /dev/.cdi-start")
    assert (lxc("pre-start"), lxc("mount")) == (0, 0)
    assert (lxc.root / "dev/.cdi-start").read_text() == "#!/bin/sh\nset -e\n"


def test_a_start_hook_without_a_request_is_an_error_that_says_why(lxc: Lxc) -> None:
    lxc.config.write_text("lxc.hook.start = /dev/.cdi-start\n")
    assert lxc("pre-start") == 1
    assert lxc.logged()[0][1].endswith("or write cdi.conf anew with cdictl render lxc --container c")


def test_what_fails_at_the_mount_is_logged_after_the_container(
    lxc: Lxc, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lxc.edits = {"hooks": [tell(tmp_path, "createContainer", "no card")]}
    lxc.asks()
    assert (lxc("pre-start"), lxc("mount")) == (0, 1)
    line = "mount: hook createContainer /bin/sh: exit status 3: no card"
    assert capfd.readouterr().err == f"cdi-runc: {line}\n"
    assert len(lxc.logged()) == 1
    assert lxc("post-stop") == 0
    assert lxc.logged() == [("error", line)]


def test_a_mount_of_the_device_is_made(lxc: Lxc, capfd: pytest.CaptureFixture[str]) -> None:
    lxc.edits = {"mounts": [{"hostPath": "/none", "containerPath": "/x", "options": ["bind"]}]}
    lxc.asks()
    assert (lxc("pre-start"), lxc("mount")) == (0, 1)
    assert capfd.readouterr().err == "cdi-runc: mount: mount /x of /none: No such file or directory\n"


def test_start_host_runs_hooks_which_find_the_root_file_system(lxc: Lxc, tmp_path: Path) -> None:
    lxc.edits = {"hooks": [tell(tmp_path, "prestart"), tell(tmp_path, "createRuntime")]}
    lxc.asks()
    assert (lxc("pre-start"), lxc("start-host")) == (0, 0)
    for stage in ("prestart", "createRuntime"):
        state = json.loads((tmp_path / stage).read_text())
        expected = {"id": "c", "status": "created", "pid": os.getpid(), "bundle": str(lxc.bundle)}
        assert state == {"ociVersion": "1.0.2", **expected}
    assert lxc.bundle
    assert json.loads((lxc.bundle / "config.json").read_text())["root"] == {"path": f"/proc/{os.getpid()}/root"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only the host's root has the line of sh that calls it")
@pytest.mark.parametrize(("words", "answer"), [("", "0"), ("no card", "1")])
def test_start_host_needs_no_python_of_its_own(lxc: Lxc, tmp_path: Path, words: str, answer: str) -> None:
    lxc.edits = {"hooks": [tell(tmp_path, "createRuntime", words)]}
    lxc.asks()
    assert lxc("pre-start") == 0
    assert lxc.bundle
    with (lxc.bundle / "done").open("r+b", 0) as done:
        (lxc.bundle / "go").write_text(f"{os.getpid()}\n")
        assert [done.readline(), done.readline()] == [b"begun\n", f"{answer}\n".encode()]
    assert json.loads((tmp_path / "createRuntime").read_text())["pid"] == os.getpid()
    said = [line for level, line in lxc.logged() if level == "error"]
    assert said == ([f"start-host: hook createRuntime /bin/sh: exit status 3: {words}"] if words else [])


def test_a_hook_that_fails_at_start_host_stops_the_container(
    lxc: Lxc, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lxc.edits = {"hooks": [tell(tmp_path, "createRuntime", "no card")]}
    lxc.asks()
    assert (lxc("pre-start"), lxc("start-host")) == (0, 1)
    line = "start-host: hook createRuntime /bin/sh: exit status 3: no card"
    assert capfd.readouterr().err == f"cdi-runc: {line}\n"
    assert lxc.logged()[-1] == ("error", line)


@pytest.fixture
def init() -> "Iterator[subprocess.Popen[str]]":
    """A process that becomes another program when it gets a line, as the process that LXC starts does."""
    command = ["/bin/sh", "-c", "read line; exec sleep 60"]
    with ending(subprocess.Popen(command, stdin=subprocess.PIPE, text=True)) as process:
        yield process


def wait_for(path: Path) -> str:
    """What another process writes into a file."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text()):
            return text
        time.sleep(0.01)
    raise AssertionError(f"{path} is not there after 20 s")


def test_poststart_hooks_run_once_the_init_runs(lxc: Lxc, tmp_path: Path, init: "subprocess.Popen[str]") -> None:
    lxc.edits = {"hooks": [tell(tmp_path, "poststart")]}
    lxc.asks()
    lxc.pid = str(init.pid)
    assert (lxc("pre-start"), lxc("start-host")) == (0, 0)
    assert not (tmp_path / "poststart").exists()
    print("go", file=init.stdin, flush=True)
    state = json.loads(wait_for(tmp_path / "poststart"))
    assert (state["status"], state["pid"], state["id"]) == ("running", init.pid, "c")


def test_a_poststart_hook_that_fails_is_logged(lxc: Lxc, tmp_path: Path, init: "subprocess.Popen[str]") -> None:
    lxc.edits = {"hooks": [tell(tmp_path, "poststart", "no card")]}
    lxc.asks()
    lxc.pid = str(init.pid)
    assert (lxc("pre-start"), lxc("start-host")) == (0, 0)
    lxc.logged()
    print("go", file=init.stdin, flush=True)
    assert (
        wait_for(lxc.log).split(" ", 1)[1] == "lxc/c error poststart: hook poststart /bin/sh: exit status 3: no card\n"
    )


def test_an_init_that_never_starts_is_logged(
    lxc: Lxc, tmp_path: Path, init: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_host, "_PATIENCE", 0)
    lxc.edits = {"hooks": [tell(tmp_path, "poststart")]}
    lxc.asks()
    lxc.pid = str(init.pid)
    assert lxc("pre-start") == 0
    lxc.logged()
    assert lxc("start-host") == 0  # from here on, another process writes the log
    assert wait_for(lxc.log).endswith("lxc/c error poststart: the container's init did not start within 0 s\n")
    assert not (tmp_path / "poststart").exists()


def test_post_stop_runs_hooks_and_leaves_nothing(lxc: Lxc, tmp_path: Path) -> None:
    lxc.edits = {"hooks": [tell(tmp_path, "poststop")]}
    lxc.asks()
    assert lxc("pre-start") == 0
    bundle = str(lxc.bundle)
    assert lxc("post-stop") == 0
    state = json.loads((tmp_path / "poststop").read_text())
    assert state == {"ociVersion": "1.0.2", "id": "c", "status": "stopped", "pid": 0, "bundle": bundle}
    assert list((tmp_path / "roots").iterdir()) == []


def test_a_hook_that_fails_at_the_end_is_told_and_nothing_is_left(
    lxc: Lxc, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lxc.edits = {"hooks": [tell(tmp_path, "poststop", "no card")]}
    lxc.asks()
    assert (lxc("pre-start"), lxc("post-stop")) == (0, 0)
    assert capfd.readouterr().err == "cdi-runc: post-stop: hook poststop /bin/sh: exit status 3: no card\n"
    assert list((tmp_path / "roots").iterdir()) == []
