"""Which containers run, by their monitors: those of root and of our own user, and nobody else's."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cdi_runc.engines import monitors, processes
from tests.processes import ending

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may start processes of other users")
RUNTIME = "/usr/bin/cdi-runc-of-this-test"

Start = Callable[[Path, int], "subprocess.Popen[bytes]"]


@pytest.fixture(params=["psutil", "proc"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "proc":
        monkeypatch.setattr(processes, "psutil", None)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a process that calls itself a shim of containerd's, in a folder, as a user."""
    running = ExitStack()
    sleep = shutil.which("sleep") or "/bin/sleep"

    def start(folder: Path, user: int) -> subprocess.Popen[bytes]:
        argv = ["containerd-shim-of-this-test", "60"]
        process = running.enter_context(ending(subprocess.Popen(argv, executable=sleep, cwd=folder, user=user)))
        deadline = time.monotonic() + 10
        while processes.argv_of(process.pid) != argv and time.monotonic() < deadline:
            time.sleep(0.01)
        return process

    with running:
        yield start


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    return tmp_path


@pytest.mark.usefixtures("_way")
def test_roots_own_shim_counts_and_another_users_does_not(folder: Path, start: Start) -> None:
    (folder / "runtime").write_text(RUNTIME)
    start(folder, 65534)
    assert monitors.using([RUNTIME], lambda argv: True) == []
    start(folder, 0)
    assert len(monitors.using([RUNTIME], lambda argv: True)) == 1


PLANTED: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "link": lambda path: path.symlink_to(path.parent / "elsewhere"),
    "large": lambda path: path.write_bytes(b"x" * 10_000_000),
}


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
@pytest.mark.parametrize("user", [0, 65534])
def test_nothing_that_a_shim_keeps_stops_us(
    folder: Path, start: Start, plant: Callable[[Path], object], user: int
) -> None:
    (folder / "elsewhere").write_text(RUNTIME)
    plant(folder / "runtime")
    start(folder, user)
    assert monitors.using([RUNTIME], lambda argv: True) == []


def test_a_process_was_started_after_what_was_written_before_it(folder: Path, start: Start) -> None:
    (folder / "runtime").write_text(RUNTIME)
    process = start(folder, 0)
    started = processes.started(process.pid)
    assert started is not None
    assert started > (folder / "runtime").stat().st_mtime - 0.02
    assert started < time.time() + 0.02
