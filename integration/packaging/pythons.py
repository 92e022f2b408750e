"""Every Python that can be found on this machine and in the Debian systems beside it, one of each version."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from integration.packaging.conftest import ROOTS

OLDEST = (3, 10)

# The root directories with a Python, by name below ROOTS; "" is this machine. The first that has a version is taken.
PLACES = ("debian-sid", "debian-13-ready", "debian-12-ready", "")


class Python(NamedTuple):
    """An interpreter: its version, the root directory (see PLACES), its path in there."""

    version: tuple[int, int]
    root: str
    path: str

    @property
    def lower(self) -> Path:
        """The root directory itself."""
        return ROOTS / self.root if self.root else Path("/")


def find_pythons() -> list[Python]:
    """One Python of each version from the oldest that cdi-runc runs on, in the order of the versions."""
    found: dict[tuple[int, int], Python] = {}
    for root in PLACES:
        for path in _paths(root):
            name = re.fullmatch(r"python(\d)\.(\d+)", path.name)
            version = (int(name[1]), int(name[2])) if name else (0, 0)
            if version >= OLDEST and os.access(path, os.X_OK):
                inside = f"/{path.relative_to(ROOTS / root)}" if root else str(path)
                found.setdefault(version, Python(version, root, inside))
    return [found[version] for version in sorted(found)]


def _paths(root: str) -> Iterator[Path]:
    if root:
        yield from sorted((ROOTS / root).glob("usr/bin/python3.*"))
        return
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    # Pyenv's own commands on PATH (shims) start the version that is chosen for the directory, if there is one.
    for directory in ["/usr/bin", *os.environ.get("PATH", "").split(":")]:
        if directory.startswith("/") and Path(directory) != pyenv / "shims":
            yield from sorted(Path(directory).glob("python3.*"))
    yield from sorted(pyenv.glob("versions/*/bin/python3.*"))
