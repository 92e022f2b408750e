"""Running containers as /proc shows them: which runtime started each, and where its bundle is.

Every container has a monitor of its engine above it, conmon or containerd's shim, which names the runtime and the
bundle. So the daemon is not asked, and need not even run. Knows no engine by name.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from cdi_runc.cdi._files import read_file
from cdi_runc.engines import processes
from cdi_runc.engines.processes import Process

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_LONGEST_PATH = 4096  # bytes, PATH_MAX


def using(runtimes: Iterable[str], owned: Callable[[Sequence[str]], bool]) -> list[str]:
    """The ids of running containers that one of these runtimes started, below monitors that are `owned` by argv."""
    wanted = set(runtimes)
    return [_id(argv) for argv, _, runtime in _monitors() if runtime in wanted and owned(argv)]


def bundle_of(pid: int) -> str | None:
    """The bundle of the container whose first process is `pid`, None if its monitor isn't ours to see."""
    monitor = _monitor_over(pid)
    return monitor[1] if monitor else None


def runtime_of(pid: int) -> str | None:
    """The runtime, a path or a name, that its engine started that container with; None likewise."""
    monitor = _monitor_over(pid)
    return monitor[2] if monitor else None


def option(argv: Sequence[str], *names: str) -> str | None:
    """The value of one of these options, as the next word or after an equals sign.

    >>> option(["conmon", "-r", "/usr/bin/runc"], "-r", "--runtime")
    '/usr/bin/runc'
    >>> option(["dockerd", "--config-file=/x.json"], "--config-file")
    '/x.json'
    """
    joined = (word.partition("=")[2] for word in argv if word.partition("=")[0] in names and "=" in word)
    return next(itertools.chain(joined, (value for name, value in itertools.pairwise(argv) if name in names)), None)


def _monitors() -> Iterator[tuple[list[str], str, str]]:
    """argv, bundle and runtime of every monitor."""
    for process in processes.trusted():
        if monitor := _monitor(process):
            yield monitor


def _monitor_over(pid: int) -> tuple[list[str], str, str] | None:
    """The monitor of the container whose first process is `pid`."""
    parent = processes.parent_of(pid)
    argv = processes.argv_of(parent) if parent and processes.is_trusted(parent) else []
    return _monitor(Process(parent, 0, argv)) if parent and argv else None


def _monitor(process: Process) -> tuple[list[str], str, str] | None:
    argv = process.argv
    if process.command == "conmon":
        return argv, option(argv, "-b", "--bundle") or "", option(argv, "-r", "--runtime") or ""
    if process.command.startswith("containerd-shim"):
        return _containerd_shim(process)
    return None


def _containerd_shim(process: Process) -> tuple[list[str], str, str] | None:
    """containerd's shim works in the bundle, and keeps in a file `runtime` there which binary it was told to use."""
    try:
        bundle = os.readlink(f"/proc/{process.pid}/cwd")
        folder = os.open(f"/proc/{process.pid}/cwd", _FOLDER)
        try:
            text = read_file("runtime", _LONGEST_PATH, links=False, folder=folder)
        finally:
            os.close(folder)
    except OSError:
        return None
    return process.argv, bundle, os.fsdecode(text).strip()


def _id(argv: Sequence[str]) -> str:
    return (option(argv, "-id", "-c", "--cid") or "?")[:12]
