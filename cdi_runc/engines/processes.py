"""The processes of root and of our own user, by their argv.

Any user can start a process that is called dockerd or containerd-shim, so the others' processes do not count.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

from cdi_runc.cdi._files import read_file

try:
    import psutil
except ImportError:  # it is compiled, and the archive that runs on any machine (packaging/pyz) has Python files only
    psutil = None  # type: ignore[assignment]

_LIMIT = 4 << 20  # bytes; an argv can have 2 MiB


@dataclass(frozen=True)
class Process:
    """A process that runs, or ran a moment ago."""

    pid: int
    uid: int
    argv: list[str]

    @property
    def command(self) -> str:
        """The name that it was started by."""
        return os.path.basename(self.argv[0])


def trusted() -> Iterator[Process]:
    """Every process of root and of our own user that has an argv."""
    ours = {0, os.getuid()}
    for pid, uid, argv in _all() if psutil is None else _all_by_psutil():
        if uid in ours and argv:
            yield Process(pid, uid, argv)


def daemons(name: str) -> list[Process]:
    """The processes of that command on this host, without those in containers."""
    return [process for process in trusted() if process.command == name and _is_on_host(process.pid)]


def argv_of(pid: int) -> list[str]:
    """A process's argv, empty if it is gone or not ours to see."""
    try:
        return os.fsdecode(read_file(f"/proc/{pid}/cmdline", _LIMIT)).split("\0")[:-1]
    except OSError:
        return []


def started_ticks(pid: int) -> int | None:
    """When a process was started, in ticks of the kernel's clock (10 ms) since the boot; None if it is gone."""
    try:
        return int(read_file(f"/proc/{pid}/stat", _LIMIT).rpartition(b")")[2].split()[19])
    except OSError:
        return None


def started(pid: int) -> float | None:
    """When a process was started, in seconds since the epoch, to 10 ms; None if it is gone."""
    ticks = started_ticks(pid)
    if ticks is None:
        return None
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")


def parent_of(pid: int) -> int | None:
    """The process that started this one; None if it is gone."""
    try:
        return int(read_file(f"/proc/{pid}/stat", _LIMIT).rpartition(b")")[2].split()[1])
    except OSError:
        return None


def is_trusted(pid: int) -> bool:
    """Is it a process of root or of our own user?"""
    try:
        return _uid(pid) in (0, os.getuid())
    except OSError:
        return False


def _all_by_psutil() -> Iterator[tuple[int, int, list[str]]]:
    for process in psutil.process_iter(["uids", "cmdline"]):
        uids = process.info["uids"]
        if uids:  # the real one: a program with the set-uid bit is still the user's who started it
            yield process.pid, uids.real, process.info["cmdline"] or []


def _all() -> Iterator[tuple[int, int, list[str]]]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                yield int(name), _uid(int(name)), argv_of(int(name))
            except OSError:
                continue  # it has ended meanwhile


def _uid(pid: int) -> int:
    """The real user of a process."""
    for line in read_file(f"/proc/{pid}/status", _LIMIT).splitlines():
        if line.startswith(b"Uid:"):
            return int(line.split()[1])
    raise ProcessLookupError


def _is_on_host(pid: int) -> bool:
    """Has it the same root directory as we?"""
    try:
        return os.path.samefile(f"/proc/{pid}/root", "/")
    except OSError:
        return False
