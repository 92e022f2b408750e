"""Completion in a real bash, which reads a command line with its tabs from a terminal."""

import json
import os
import pty
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.ctl.test_main import CDICTL
from tests.processes import ending


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory to be in, with a spec directory `cdi` and a cdictl that notes down its arguments in `typed`."""
    edits = {"env": ["A=1"]}
    devices = [{"name": name, "containerEdits": edits} for name in ("gpu0", "1:2", "0000:3b:00.0")]
    spec = {"cdiVersion": "0.5.0", "kind": "acme.com/npu", "devices": devices}
    (tmp_path / "cdi").mkdir()
    (tmp_path / "cdi" / "npu.json").write_text(json.dumps(spec))
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "cdictl"
    script.write_text(
        f'#!/bin/sh\n[ -z "$_CDICTL_COMPLETE" ] || exec {shlex.quote(CDICTL)}\nprintf \'%s\\n\' "$@" > typed\n'
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
    ],
)
def test_a_line_with_tabs(place: Path, line: str, typed: list[str]) -> None:
    assert completed(place, line) == typed
