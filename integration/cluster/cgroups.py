"""The control groups that the pods of a cluster get on the machine underneath, which outlast all its processes.

Knows how the two versions of the kernel's file system are laid out; knows nothing of Kubernetes.
"""

import os
import time
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def make_cgroup(name: str) -> None:
    """Makes an empty cgroup in every hierarchy."""
    for hierarchy in _hierarchies():
        (hierarchy / name).mkdir(exist_ok=True)


def remove_cgroup(name: str) -> None:
    """Removes a cgroup with all below it, once its processes, which somebody has ended, are gone."""
    for hierarchy in _hierarchies():
        for directory, _, _ in os.walk(hierarchy / name, topdown=False):
            _remove(Path(directory))


def _remove(directory: Path, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return directory.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _hierarchies() -> list[Path]:
    """The one of version 2, or those of version 1."""
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]
    return [path.parent for path in ROOT.glob("*/cgroup.procs")]
