"""Running containers as /proc shows them: which runtime started each, and where its bundle is.

Every container here stands under a monitor of its engine, conmon or containerd's shim, which names the runtime and the
bundle. So the daemon needn't be asked, and needn't even run. Knows no engine by name.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence


def using(runtimes: Iterable[str], mine: Callable[[Sequence[str]], bool]) -> list[str]:
    """The ids of running containers that one of these runtimes started, under monitors that are `mine` by argv."""
    wanted = set(runtimes)
    return [_id(argv) for argv, _, runtime in _monitors() if runtime in wanted and mine(argv)]


def bundle_of(pid: int) -> str | None:
    """The bundle of the container whose first process is `pid`, None if its monitor isn't ours to see."""
    monitor = _monitor_over(pid)
    return monitor[1] if monitor else None


def runtime_of(pid: int) -> str | None:
    """The runtime, a path or a name, that its engine started that container with; None likewise."""
    monitor = _monitor_over(pid)
    return monitor[2] if monitor else None


def option(argv: Sequence[str], *names: str) -> str | None:
    """The value that follows one of these options.

    >>> option(["conmon", "-r", "/usr/bin/runc"], "-r", "--runtime")
    '/usr/bin/runc'
    """
    return next((value for name, value in itertools.pairwise(argv) if name in names), None)


def argv_of(pid: int) -> list[str]:
    """A process's argv, empty if it is gone or not ours to see."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return os.fsdecode(file.read()).split("\0")[:-1]
    except OSError:
        return []


def _monitors() -> Iterator[tuple[list[str], str, str]]:
    """argv, bundle and runtime of every monitor."""
    for name in os.listdir("/proc"):
        if name.isdigit() and (monitor := _monitor(int(name))):
            yield monitor


def _monitor_over(pid: int) -> tuple[list[str], str, str] | None:
    """The monitor of the container whose first process is `pid`."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            parent = int(file.read().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return None
    return _monitor(parent)


def _monitor(pid: int) -> tuple[list[str], str, str] | None:
    argv = argv_of(pid)
    command = os.path.basename(argv[0]) if argv else ""
    if command == "conmon":
        return argv, option(argv, "-b", "--bundle") or "", option(argv, "-r", "--runtime") or ""
    if command.startswith("containerd-shim"):
        return _containerd_shim(pid, argv)
    return None


def _containerd_shim(pid: int, argv: list[str]) -> tuple[list[str], str, str] | None:
    """containerd's shim works in the bundle, and keeps in a file `runtime` there which binary it was told to use."""
    try:
        bundle = os.readlink(f"/proc/{pid}/cwd")
        with open(os.path.join(bundle, "runtime"), encoding="utf-8", errors="replace") as file:
            return argv, bundle, file.read().strip()
    except OSError:
        return None


def _id(argv: Sequence[str]) -> str:
    return (option(argv, "-id", "-c", "--cid") or "?")[:12]
