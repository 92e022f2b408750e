"""The commands that only look: device, vendors, classes, specs, dirs, version, schema, completion, refresh, watch."""

import fcntl
import json
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

import cdi_runc
from cdi_runc.ctl import main
from cdi_runc.ctl.look.watch import _occasions, events
from cdi_runc.host import places
from tests.ctl.conftest import Cdictl
from tests.ctl.test_main import CDICTL
from tests.processes import ending

FULL = {
    "deviceNodes": [
        {"path": "/dev/a", "hostPath": "/dev/b", "type": "c", "major": 1, "minor": 2, "fileMode": 0o640, "uid": 3},
        {"path": "/dev/c", "permissions": "rw"},
    ],
    "netDevices": [{"hostInterfaceName": "eth1", "name": "net0"}],
    "mounts": [{"hostPath": "/a", "containerPath": "/b", "type": "none", "options": ["ro", "bind"]}],
    "env": ["A=1"],
    "hooks": [{"hookName": "poststop", "path": "/h", "args": ["h", "a b"], "timeout": 3}],
    "additionalGids": [44],
    "intelRdt": {"closID": "x"},
}


@pytest.fixture
def full(spec_dir: Path) -> str:
    """A device with every kind of edit."""
    spec = {
        "cdiVersion": "1.1.0",
        "kind": "v.com/full",
        "containerEdits": {"env": ["ALL=yes"]},
        "devices": [{"name": "a", "containerEdits": FULL, "annotations": {"model": "X1"}}],
    }
    (spec_dir / "full.json").write_text(json.dumps(spec))
    return "v.com/full=a"


def test_a_device_for_people(cdictl: Cdictl, full: str, spec_dir: Path) -> None:
    assert cdictl("device", full).stdout.splitlines() == [
        "v.com/full=a",
        f"  spec file     {spec_dir}/full.json (CDI 1.1.0)",
        "  annotation    model: X1",
        "The device's own edits",
        "  device node  /dev/a from /dev/b, c 1:2, mode 0640, uid 3",
        "  device node  /dev/c, permissions rw",
        "  network      eth1 as net0",
        "  mount        /b from /a (none, ro, bind)",
        "  variable     A=1",
        "  hook         poststop: /h 'a b' (at most 3 s)",
        "  group        44",
        "  Intel RDT    closID x",
        "Those of every device in the file",
        "  variable     ALL=yes",
    ]


def test_a_device_for_programs(cdictl: Cdictl, full: str, spec_dir: Path) -> None:
    found = json.loads(cdictl("device", full, "-o", "json").stdout)
    assert found["containerEdits"] == FULL
    assert found["specEdits"] == {"env": ["ALL=yes"]}
    assert (found["path"], found["shadows"]) == (f"{spec_dir}/full.json", [])


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("vendor.com/gpu=01", "defines vendor.com/gpu=01; did you mean vendor.com/gpu="),
        ("gpu=1", "'gpu=1' is not a CDI device name; expected vendor.com/class=name; did you mean vendor.com/gpu=1?"),
        ("x.org/y=z", "defines x.org/y=z\n"),
    ],
)
def test_a_device_that_is_not_there(cdictl: Cdictl, name: str, complaint: str) -> None:
    result = cdictl("device", name)
    assert (result.exit_code, result.stdout) == (1, "")
    assert complaint in result.stderr


@pytest.mark.parametrize(
    ("patterns", "names"),
    [([], "01"), (["gpu"], "01"), (["*=1"], "1"), (["*=1", "=0"], "01"), (["*="], ""), (["GPU"], "")],
)
def test_patterns(cdictl: Cdictl, patterns: list[str], names: str) -> None:
    found = json.loads(cdictl("devices", "-o", "json", *patterns).stdout)["devices"]
    assert [device["name"] for device in found] == [f"vendor.com/gpu={name}" for name in names]


def test_who_shadows_whom(cdictl: Cdictl, spec_dir: Path, tmp_path: Path) -> None:
    later = tmp_path / "later"
    shutil.copytree(spec_dir, later)
    args = ["--spec-dir", str(spec_dir), "--spec-dir", str(later)]
    lines = CliRunner().invoke(main, [*args, "devices", "-v"]).stdout.splitlines()
    assert lines[1] == f"vendor.com/gpu=0  env 1  {later}/gpu.json (instead of {spec_dir}/gpu.json)"
    result = CliRunner().invoke(main, [*args, "specs"])
    assert result.stderr == (
        f"cdictl: {spec_dir}/gpu.json: a later directory overrides vendor.com/gpu=0, vendor.com/gpu=1\n"
    )


@pytest.mark.parametrize(
    ("command", "table", "data"),
    [
        (
            "vendors",
            ["VENDOR CLASSES DEVICES", "vendor.com gpu 2"],
            {"vendors": [{"name": "vendor.com", "classes": ["gpu"], "devices": 2}]},
        ),
        (
            "classes",
            ["CLASS VENDORS DEVICES", "gpu vendor.com 2"],
            {"classes": [{"name": "gpu", "vendors": ["vendor.com"], "devices": 2}]},
        ),
        (
            "specs",
            ["KIND CDI DEVICES SPEC FILE", "vendor.com/gpu 0.5.0 2 DIR/gpu.json"],
            {
                "specs": [
                    {
                        "path": "DIR/gpu.json",
                        "kind": "vendor.com/gpu",
                        "cdiVersion": "0.5.0",
                        "devices": 2,
                        "shadowed": [],
                        "errors": [],
                    }
                ]
            },
        ),
        (
            "dirs",
            ["STATE SPECS REFUSED DIRECTORY", "there 1 0 DIR"],
            {"dirs": [{"path": "DIR", "state": "there", "specs": 1, "refused": 0, "error": None}]},
        ),
    ],
)
def test_lists(cdictl: Cdictl, spec_dir: Path, command: str, table: list[str], data: object) -> None:
    lines = cdictl(command).stdout.splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        line.replace("DIR", str(spec_dir)) if n else line for n, line in enumerate(table)
    ]
    assert json.loads(cdictl(command, "-o", "json").stdout.replace(str(spec_dir), "DIR")) == data


def test_directories_that_are_missing_or_none(spec_dir: Path, tmp_path: Path) -> None:
    args = ["--spec-dir", str(tmp_path / "none"), "--spec-dir", str(spec_dir / "gpu.json")]
    result = CliRunner().invoke(main, [*args, "dirs"])
    assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == ["missing", "unreadable"]
    assert result.stderr.startswith(f"cdictl: {spec_dir}/gpu.json: the spec directory cannot be read: ")


def test_version(cdictl: Cdictl) -> None:
    found = json.loads(cdictl("version", "-o", "json").stdout)
    assert (found["cdi-runc"], found["CDI"]) == (cdi_runc.__version__, "1.1.0")


@pytest.mark.parametrize(("what", "key"), [([], "cdiVersion"), (["spec"], "cdiVersion"), (["settings"], "spec-dirs")])
def test_schema(cdictl: Cdictl, what: list[str], key: str) -> None:
    assert key in json.loads(cdictl("schema", *what).stdout)["properties"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    done = subprocess.run([CDICTL, "completion", shell], capture_output=True, text=True, check=True, timeout=60)
    assert "_CDICTL_COMPLETE" in done.stdout


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("cdictl dev", ["devices", "device"]),
        ("cdictl --spec-dir {dir} device vend", ["vendor.com/gpu=0", "vendor.com/gpu=1"]),
        ("cdictl --spec-dir {dir} inject vendor.com/gpu=0 x", []),
    ],
)
def test_what_a_shell_is_offered(spec_dir: Path, words: str, offered: list[str]) -> None:
    line = words.format(dir=spec_dir)
    env = os.environ | {"COMP_LINE": line, "COMP_REPLACED": line.split()[-1], "_CDICTL_COMPLETE": "bash_complete"}
    done = subprocess.run([CDICTL], env=env, capture_output=True, text=True, timeout=60)
    assert [line.partition(",")[2] for line in done.stdout.split()] == offered


@pytest.fixture
def settings(tmp_path: Path, spec_dir: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A settings file for the specs, and a state directory of its own."""
    monkeypatch.setattr(places, "SYSTEM_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps({"spec-dirs": [str(spec_dir)]}))
    return str(path)


def test_refresh_keeps_a_snapshot_that_devices_reads(
    settings: str, spec_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = CliRunner().invoke(main, ["--config", settings, "refresh"])
    assert (result.exit_code, result.stdout[:14]) == (0, "2 devices kept")
    assert CliRunner().invoke(main, ["--config", settings, "refresh", "--if-stale"]).exit_code == 0
    monkeypatch.setattr("cdi_runc.ctl.options.Options.spec_files", lambda self: pytest.fail("the files were read"))
    for command in ("devices", "vendors", "classes"):
        assert "vendor" in CliRunner().invoke(main, ["--config", settings, command], catch_exceptions=False).stdout


def test_refresh_where_nothing_can_be_kept(settings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(places, "SYSTEM_STATE", str(tmp_path / "file" / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "file"))
    result = CliRunner().invoke(main, ["--config", settings, "refresh"])
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)


def test_occasions_to_look_are_told_by_inotify(tmp_path: Path) -> None:
    """A look every hour would never see it."""
    pytest.importorskip("watchfiles")
    occasions = _occasions([str(tmp_path), str(tmp_path / "absent")], 3600)
    next(occasions)
    write = threading.Timer(0.3, (tmp_path / "a.json").write_text, ["{}"])
    write.start()
    next(occasions)
    write.join(10)
    assert (tmp_path / "a.json").exists()


@pytest.mark.parametrize("inotify", [True, False])
def test_watch_until_interrupted(spec_dir: Path, tmp_path: Path, inotify: bool) -> None:
    command = [CDICTL, "--spec-dir", str(spec_dir), "watch", "--interval", "0.05", "-o", "json"]
    if not inotify:  # as where watchfiles is not installed
        code = "import sys; sys.modules['watchfiles'] = None; from cdi_runc.ctl import main; main()"
        command = [sys.executable, "-c", code, *command[1:]]
    with ending(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)) as watching:
        assert watching.stdout
        assert watching.stderr
        seen = [json.loads(watching.stdout.readline()) for _ in range(2)]
        (spec_dir / "gpu.json").rename(spec_dir / "gpu.off")
        seen += [json.loads(watching.stdout.readline()) for _ in range(2)]
        (spec_dir / "bad.yaml").write_text("{")
        seen.append(json.loads(watching.stdout.readline()))
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 130
        assert watching.stderr.read().strip() == ""
    assert [event["event"] for event in seen] == ["appeared", "appeared", "disappeared", "disappeared", "wrong"]


@pytest.mark.parametrize(
    ("before", "now", "event"),
    [
        ({("device", "d"): "f"}, {("device", "d"): "g"}, ("changed", "d", "g")),
        ({("device", "d"): "f"}, {}, ("disappeared", "d", "")),
        ({}, {("fault", "f"): "f: bad"}, ("wrong", "f", "bad")),
        ({("fault", "f"): "f: bad"}, {("fault", "f"): "f: worse"}, ("wrong", "f", "worse")),
        ({("fault", "f"): "f: bad"}, {}, ("mended", "f", "")),
    ],
)
def test_events(before: dict[tuple[str, str], str], now: dict[tuple[str, str], str], event: object) -> None:
    assert list(events(before, now)) == [event]


def on_a_terminal(args: list[str], columns: int, env: dict[str, str] | None = None) -> str:
    """What cdictl writes to a terminal of that width."""
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    with ending(subprocess.Popen([CDICTL, *args], stdout=writer, env={**os.environ, "TERM": "xterm", **(env or {})})):
        os.close(writer)
        text = b""
        try:
            while part := os.read(reader, 4096):
                text += part
        except OSError:
            pass  # what Linux says at the end
    os.close(reader)
    return text.decode()


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_names_and_paths_stay_whole_on_a_terminal(spec_dir: Path, columns: int) -> None:
    deep = spec_dir / ("d" * 40) / ("e" * 40)
    deep.mkdir(parents=True)
    shutil.copy(spec_dir / "gpu.json", deep)
    lines = on_a_terminal(["--spec-dir", str(deep), "devices"], columns, {"NO_COLOR": "1"}).splitlines()
    assert lines[1] == f"vendor.com/gpu=0  {deep}/gpu.json"


def test_colour_on_a_terminal_only_and_only_if_wanted(spec_dir: Path, tmp_path: Path) -> None:
    args = ["validate", str(tmp_path / "none")]
    assert "\x1b[31m" in on_a_terminal(args, 80)
    assert "\x1b" not in on_a_terminal(args, 80, {"NO_COLOR": "1"})
    assert "\x1b" not in on_a_terminal(args, 80, {"TERM": "dumb"})
    assert "\x1b" not in subprocess.run([CDICTL, *args], capture_output=True, text=True, timeout=60).stdout


def test_version_starts_quickly() -> None:
    """The budget is 120 ms on a quiet machine; what is tested is that nothing slow is imported."""
    code = "import sys; from cdi_runc.ctl import main; print(*sys.modules)"
    python = str(Path(CDICTL).with_name("python"))
    modules = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    assert {"yaml", "jsonschema", "ruamel.yaml", "psutil", "cdi_runc.engines"} & set(modules) == set()


def test_no_file_talks_to_the_terminal(cdictl: Cdictl, spec_dir: Path, tmp_path: Path) -> None:
    evil = "A=\x1b]0;title\x07\r\u202e"
    device = {"name": "a", "containerEdits": {"env": [evil, evil]}, "annotations": {"k": evil}}
    spec = {"cdiVersion": "0.6.0", "kind": "v.com/x", "devices": [device]}
    (spec_dir / "evil.json").write_text(json.dumps(spec, indent=1))
    (spec_dir / "evil\x1b.yaml").write_text(f"kind: '\x85{evil[2:3]}'")
    (tmp_path / "config.json").write_text(json.dumps({"annotations": {"cdi.k8s.io/x": evil}}))
    commands = [["devices"], ["specs"], ["device", "v.com/x=a"], ["validate"], ["doctor"], ["explain", "bundle", "DIR"]]
    for command in commands:
        result = cdictl(*(str(tmp_path) if word == "DIR" else word for word in command))
        assert not set(result.stdout + result.stderr) & set("\x1b\x07\r\u202e\x85"), command


def test_a_host_without_devices_says_where_it_looked(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["--spec-dir", str(tmp_path), "devices"])
    assert (done.exit_code, done.stderr) == (0, f"cdictl: no spec file in {tmp_path} defines a device\n")
