"""Completion in a real bash, which reads a command line with its tabs from a terminal."""

import json
import os
import pty
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ctl.test_main import CDICTL
from tests.processes import ending

REGISTRATIONS = [
    {"engine": engine, "config": "/x", "runtime": runtime, "path": "/usr/bin/cdi-runc", "files": []}
    for engine, runtime in (("docker", "ours"), ("podman", "theirs"))
]


# cdictl with another directory of registrations, which for root no variable moves.
_OURS = """
from cdi_runc.engines import journal
journal.state_directory = lambda: {directory!r}
from cdi_runc.ctl import main
main(prog_name="cdictl")
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory to be in, with a spec directory `cdi` and a cdictl that notes down its arguments in `typed`."""
    edits = {"env": ["A=1"]}
    devices = [{"name": name, "containerEdits": edits} for name in ("gpu0", "1:2", "0000:3b:00.0")]
    spec = {"cdiVersion": "0.5.0", "kind": "acme.com/npu", "devices": devices}
    (tmp_path / "cdi").mkdir()
    (tmp_path / "cdi" / "npu.json").write_text(json.dumps(spec))
    (tmp_path / "host" / "dev").mkdir(parents=True)
    (tmp_path / "host" / "dev" / "fuse").touch()
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "registrations.json").write_text(json.dumps(REGISTRATIONS))
    (tmp_path / "bin").mkdir()
    ours = [sys.executable, "-c", _OURS.format(directory=str(tmp_path / "state"))]
    script = tmp_path / "bin" / "cdictl"
    script.write_text(
        f'#!/bin/sh\n[ -z "$_CDICTL_COMPLETE" ] || exec {shlex.join(ours)}\nprintf \'%s\\n\' "$@" > typed\n'
    )
    script.chmod(0o755)
    source = subprocess.run([CDICTL, "completion", "bash"], capture_output=True, text=True, check=True, timeout=60)
    (tmp_path / "rc").write_text(source.stdout)
    return tmp_path


def completed(place: Path, line: str) -> list[str]:
    """The arguments that cdictl gets after this line is typed, in which tabs complete."""
    ours, bashs = pty.openpty()
    env = {"PATH": f"{place}/bin:/usr/bin:/bin", "HOME": str(place), "TERM": "dumb", "HISTFILE": "/dev/null"}
    env["XDG_RUNTIME_DIR"] = str(place)
    bash = subprocess.Popen(
        ["bash", "--noprofile", "--rcfile", "rc", "-i"],
        cwd=place,
        env=env,
        stdin=bashs,
        stdout=bashs,
        stderr=bashs,
        start_new_session=True,
    )
    with ending(bash):
        os.close(bashs)
        try:
            os.write(ours, f"{line}\nexit\n".encode())
            while os.read(ours, 4096):
                pass
        except OSError:
            pass  # what Linux says at the end
        finally:
            os.close(ours)
    return (place / "typed").read_text().splitlines()


@pytest.mark.parametrize(
    ("line", "typed"),
    [
        ("cdictl valid\t", ["validate"]),
        ("cdictl --spec-dir cdi device acme\t0\t", ["--spec-dir", "cdi", "device", "acme.com/npu=0000:3b:00.0"]),
        ("cdictl --spec-dir cdi device acme.com/npu=g\t", ["--spec-dir", "cdi", "device", "acme.com/npu=gpu0"]),
        ("cdictl device --spec-dir cdi acme.com/npu=1:\t", ["device", "--spec-dir", "cdi", "acme.com/npu=1:2"]),
        ("cdictl --spec-dir cdi device 'acme.com/npu=g\t", ["--spec-dir", "cdi", "device", "acme.com/npu=gpu0"]),
        ("cdictl --spec-dir=cdi device acme.com/npu=g\t", ["--spec-dir=cdi", "device", "acme.com/npu=gpu0"]),
        ("cdictl validate cdi/n\t", ["validate", "cdi/npu.json"]),
        ("cdictl --spec-d\tcd\t", ["--spec-dir", "cdi/"]),
        ("cdictl explain bundle cd\t", ["explain", "bundle", "cdi/"]),
        ("cdictl engine status dock\t", ["engine", "status", "docker"]),
        ("cdictl help spec\t", ["help", "spec"]),
        ("cdictl spec remove-device cdi/npu.json g\t", ["spec", "remove-device", "cdi/npu.json", "gpu0"]),
        ("cdictl spec set cdi/npu.json --device g\t", ["spec", "set", "cdi/npu.json", "--device", "gpu0"]),
        (
            "cdictl spec new a.b/c --device x --node cdi/np\t",
            ["spec", "new", "a.b/c", "--device", "x", "--node", "cdi/npu.json"],
        ),
        ("cdictl spec set --mount cd\tn\t", ["spec", "set", "--mount", "cdi/npu.json"]),
        ("cdictl spec set --net l\t", ["spec", "set", "--net", "lo"]),
        ("cdictl spec convert --to y\t --file cdi/n\t", ["spec", "convert", "--to", "yaml", "--file", "cdi/npu.json"]),
        ("cdictl spec transform root --relative-to h\t", ["spec", "transform", "root", "--relative-to", "host"]),
        (
            "cdictl validate --ignore variable-set\t --for crio@1.2\t",
            ["validate", "--ignore", "variable-set-twice", "--for", "crio@1.2"],
        ),
        ("cdictl rules variable-set\t", ["rules", "variable-set-twice"]),
        (
            "cdictl --spec-dir cdi log --device acme.com/npu=g\t",
            ["--spec-dir", "cdi", "log", "--device", "acme.com/npu=gpu0"],
        ),
        ("cdictl engine disable docker --runtime-name o\t", ["engine", "disable", "docker", "--runtime-name", "ours"]),
        (
            "cdictl engine disable --runtime-name th\t podm\t",
            ["engine", "disable", "--runtime-name", "theirs", "podman"],
        ),
        ("cdictl engine disable docker --runtime-name th\t", ["engine", "disable", "docker", "--runtime-name", "th"]),
        ("cdictl engine test podman --runtime-name t\t", ["engine", "test", "podman", "--runtime-name", "theirs"]),
        (
            "cdictl engine enable docker --runtime-name cdi-c\t",
            ["engine", "enable", "docker", "--runtime-name", "cdi-crun"],
        ),
        ("cdictl engine enable docker --wrap cr\t", ["engine", "enable", "docker", "--wrap", "crun"]),
        ("cdictl engine enable docker --wrap bin/c\t", ["engine", "enable", "docker", "--wrap", "bin/cdictl"]),
        ("cdictl engine enable podman --drop-in cdi/n\t", ["engine", "enable", "podman", "--drop-in", "cdi/npu.json"]),
        ("cdictl engine test docker --config cdi/n\t", ["engine", "test", "docker", "--config", "cdi/npu.json"]),
        (
            "cdictl policy test --through k\t --runtime yo\t",
            ["policy", "test", "--through", "kubelet", "--runtime", "youki"],
        ),
        ("cdictl generate --explain fus\t", ["generate", "--explain", "fuse"]),
        (
            "cdictl generate --root host --explain host.local/fuse=\t",
            ["generate", "--root", "host", "--explain", "host.local/fuse=fuse"],
        ),
        ("cdictl generate intel-gpu-m\t", ["generate", "intel-gpu-mei"]),
        ("cdictl recipes show fus\t", ["recipes", "show", "fuse"]),
        ("cdictl recipes check cdi/n\t", ["recipes", "check", "cdi/npu.json"]),
        ("cdictl render syst\t", ["render", "systemd"]),
        ("cdictl devices -o na\t", ["devices", "-o", "name"]),
        ("cdictl completion zs\t", ["completion", "zsh"]),
        ("cdictl schema set\t", ["schema", "settings"]),
    ],
)
def test_a_line_with_tabs(place: Path, line: str, typed: list[str]) -> None:
    assert completed(place, line) == typed
