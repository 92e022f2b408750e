"""The process that pre-start leaves, and the line of sh that calls it at start-host (engines/lxc.py)."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdi_runc.engines.lxc import _HOOKS
from cdi_runc.shim.lxc import waiting

PYTHON = 77  # what start-host's line exits with where it would start Python


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Path]:
    """A bundle; a process that still waits in it ends with the test."""
    yield tmp_path
    waiting.release(str(tmp_path))


def start_host(bundle: Path) -> int:
    """The exit status of start-host's line, for a container whose init is the process 4711."""
    line = _HOOKS.replace("/run/cdi-runc-lxc$LXC_CONFIG_FILE", str(bundle))
    command = ["/bin/sh", "-c", f"exec </dev/null; {line} exit {PYTHON}"]  # as LXC calls it
    return subprocess.run(command, env={"LXC_PID": "4711"}, timeout=30).returncode


def leave(bundle: Path, status: int) -> int:
    """Leave a process that writes down what it was given; its id."""

    def work(pid: str) -> int:
        with (bundle / "called").open("a") as file:
            print(pid, os.getpid(), file=file)
        return status

    return waiting.leave(str(bundle), work)


def wait_for_end(pid: int) -> int:
    """The wait status of a process that ends by itself."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return status
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    raise AssertionError("it still waits after 20 s")


@pytest.mark.parametrize("status", [0, 1])
def test_it_does_the_work_once_and_its_status_is_the_answer(bundle: Path, status: int) -> None:
    pid = leave(bundle, status)
    assert start_host(bundle) == status
    assert (bundle / "called").read_text() == f"4711 {pid}\n"
    assert os.waitstatus_to_exitcode(wait_for_end(pid)) == 0


def test_without_it_python_does_the_work(bundle: Path) -> None:
    """Without it start-host never waits, neither where it never was nor where it was killed."""
    assert start_host(bundle) == PYTHON
    pid = leave(bundle, 0)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert (bundle / "go").is_fifo()
    assert start_host(bundle) == PYTHON
    assert not (bundle / "called").exists()


def test_work_that_was_begun_is_not_done_twice(bundle: Path) -> None:
    def work(_: str) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    waiting.leave(str(bundle), work)
    assert start_host(bundle) == 1


def test_it_ends_with_a_start_that_came_no_further(bundle: Path) -> None:
    pid = leave(bundle, 0)
    waiting.release(str(bundle))
    assert os.waitstatus_to_exitcode(wait_for_end(pid)) == 0
    assert not (bundle / "called").exists()


def test_it_does_not_wait_for_ever(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the caller ignores the signal that ends it."""
    monkeypatch.setattr(waiting, "_PATIENCE", 1)
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    try:
        pid = leave(bundle, 0)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert os.waitstatus_to_exitcode(wait_for_end(pid)) == -signal.SIGALRM
    assert start_host(bundle) == PYTHON


def test_it_holds_nothing_that_lxc_waits_for(bundle: Path) -> None:
    pid = leave(bundle, 0)
    deadline = time.monotonic() + 20
    while os.getsid(pid) != pid or os.readlink(f"/proc/{pid}/fd/2") != "/dev/null":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert {os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1)} == {"/dev/null"}
