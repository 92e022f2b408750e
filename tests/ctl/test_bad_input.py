"""Whatever stands where a file is wanted, every command ends soon, in words, with a status that says so."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ctl.test_main import CDICTL
from tests.processes import ending, wait_until_it_sleeps

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
RECURSIVE = "cdiVersion: 0.6.0\nkind: v.com/x\ndevices: &a [*a]\n"
HUGE = 50 << 20


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(HUGE)


BAD: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "a directory": lambda path: path.mkdir(),
    "not UTF-8": lambda path: path.write_bytes(b"kind: \xff\xfe"),
    "empty": lambda path: path.touch(),
    "50 MB": _huge,
    "a bomb of aliases": lambda path: path.write_text(BOMB),
    "an alias in itself": lambda path: path.write_text(RECURSIVE),
    "a pipe": lambda path: os.mkfifo(path),
}

# Commands that are given FILE itself.
OF_A_FILE = [
    ["validate", "FILE"],
    ["validate", "-o", "sarif", "FILE"],
    ["spec", "add-device", "FILE", "a", "--env", "A=1"],
    ["spec", "set", "FILE", "--env", "A=1"],
    ["spec", "remove-device", "FILE", "a"],
    ["spec", "format", "FILE"],
    ["spec", "convert", "FILE", "--to", "json"],
    ["spec", "upgrade", "FILE"],
    ["spec", "downgrade", "FILE", "--to", "0.5.0"],
    ["spec", "minimise", "FILE"],
    ["inject", "--config", "FILE", "v.com/x=a"],
    ["diff", "FILE", "v.com/x=a"],
    ["explain", "bundle", "FILE"],
    ["--config", "FILE", "devices"],
]

# Settings may be empty; a directory to check may be, too.
NO_FAULT = {("--config", "empty"), ("validate", "a directory")}

# Commands that find FILE in their spec directory, and what they exit with.
OF_THE_HOST = [
    (["devices"], 0),
    (["devices", "-v", "-o", "json"], 0),
    (["vendors"], 0),
    (["classes"], 0),
    (["specs"], 0),
    (["dirs"], 0),
    (["device", "v.com/x=a"], 1),
    (["explain", "device", "v.com/x=a"], 1),
    (["validate"], 1),
    (["doctor"], 1),
    (["support-bundle", "-f", "OUT"], 0),
]


def cdictl(*args: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([CDICTL, *args], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("args", OF_A_FILE, ids=" ".join)
def test_a_bad_file(tmp_path: Path, args: list[str], kind: str) -> None:
    path = tmp_path / "bad.yaml"
    BAD[kind](path)
    specs = tmp_path / "specs"
    done = cdictl("--spec-dir", str(specs), *(str(path) if word == "FILE" else word for word in args))
    if (args[0], kind) in NO_FAULT:
        none = f"cdictl: no spec file in {specs} defines a device\n" if args[-1] == "devices" else ""
        assert (done.returncode, done.stderr) == (0, none)
        return
    assert done.returncode in (0 if args[:2] == ["explain", "bundle"] else 1, 1, 2)
    assert "Traceback" not in done.stdout + done.stderr
    assert (done.stdout + done.stderr).strip()
    assert done.stderr.count("\n") <= 1


@pytest.mark.parametrize("kind", [kind for kind in BAD if kind not in ("missing", "a directory")])
@pytest.mark.parametrize(("args", "status"), OF_THE_HOST, ids=str)
def test_a_bad_spec_on_the_host(tmp_path: Path, args: list[str], status: int, kind: str) -> None:
    specs = tmp_path / "specs"
    specs.mkdir()
    BAD[kind](specs / "bad.yaml")
    (specs / "dangling.json").symlink_to("none")
    done = cdictl("--spec-dir", str(specs), *(str(tmp_path / "out") if word == "OUT" else word for word in args))
    assert done.returncode == status
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "args",
    [
        ["devices"],
        ["devices", "-o", "json"],
        ["device", "v.com/x=1"],
        ["specs"],
        ["validate"],
        ["validate", "-o", "github"],
        ["explain", "device", "v.com/x=1"],
        ["doctor"],
        ["schema"],
        ["watch"],
        ["--help"],
    ],
    ids=" ".join,
)
def test_a_reader_that_has_had_enough(tmp_path: Path, args: list[str]) -> None:
    devices = "".join(f'  - {{name: "{n}", containerEdits: {{env: [A=1], mounts: []}}}}\n' for n in range(2000))
    (tmp_path / "a.yaml").write_text(f"cdiVersion: 1.1.0\nkind: v.com/x\ndevices:\n{devices}")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [CDICTL, "--spec-dir", str(tmp_path), *args], stdout=writer, stderr=subprocess.PIPE, timeout=60
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("args", [["watch"], ["inject", "v.com/x=a"], ["validate", "-"]], ids=" ".join)
def test_ctrl_c(tmp_path: Path, args: list[str]) -> None:
    command = [CDICTL, "--spec-dir", str(tmp_path), *args]
    with ending(
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    ) as running:
        wait_until_it_sleeps(running.pid)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=10)
    assert (running.returncode, said.strip()) == (130, b"")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("devices >&-", "cdictl: output: Bad file descriptor"),
        ("devices >/dev/full", "cdictl: output: No space left on device"),
        ("devices -o json >/dev/full", "cdictl: output: No space left on device"),
        ("inject v.com/x=a <&-", "cdictl: standard input: not JSON"),
        ("devices 2>&- >/dev/full", ""),
    ],
)
def test_a_stream_that_is_closed_or_full_is_one_line(tmp_path: Path, line: str, said: str) -> None:
    command = ["sh", "-c", f"{CDICTL} --spec-dir {tmp_path} {line}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == bool(said)
