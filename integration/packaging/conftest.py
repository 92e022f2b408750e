"""The machines: a Debian 12 and a Debian 13 that have never seen cdi-runc, with what it depends on or without."""

import atexit
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.bundles import static_busybox
from integration.engines.host import Host
from integration.packaging.machine import Machine

TREE = Path(__file__).resolve().parents[2]
ROOTS = Path(os.environ.get("CDI_RUNC_ROOTS", "/var/cache/cdi-runc"))


@functools.cache
def nodes() -> str:
    """The directory of what cdi-node and cdi-nomad need, for all packages that are built here; gone at the end."""
    directory = tempfile.TemporaryDirectory()
    atexit.register(directory.cleanup)
    environ = {**os.environ, "PIP": f"{sys.executable} -m pip"}
    subprocess.run([TREE / "packaging/vendor", directory.name, "nodes"], env=environ, check=True, timeout=300)
    return directory.name


@pytest.fixture
def machine_of(tmp_path: Path) -> Iterator[Callable[[str], Machine]]:
    """Makes the machine whose root directory has this name."""
    hosts = []

    def make(name: str) -> Machine:
        if os.geteuid() != 0:
            pytest.skip("installing needs root")
        if static_busybox() is None:
            pytest.skip("busybox-static is not installed (make deps)")
        if not (ROOTS / name).exists():
            pytest.skip(f"no {name} in {ROOTS} (make clean-roots)")
        try:
            hosts.append(Host(ROOTS / name, tmp_path, TREE))
        except RuntimeError as error:
            pytest.skip(f"no machine to spoil can be made here: {error}")
        return Machine(hosts[-1])

    yield make
    for host in hosts:
        host.close()


@pytest.fixture(params=["debian-12-ready", "debian-13-ready"])
def machine(request: pytest.FixtureRequest, machine_of: Callable[[str], Machine]) -> Machine:
    """A machine that has what cdi-runc depends on."""
    return machine_of(request.param)


@pytest.fixture
def older_tree(tmp_path: Path) -> Path:
    """The tree of a version ago, where the test's machine finds it."""
    return make_older_tree(tmp_path / "older")


def make_older_tree(older: Path) -> Path:
    """This tree as it might have been a version ago: no module of it gets on with one of ours."""
    ignored = shutil.ignore_patterns(".*", "__pycache__", "dist")
    shutil.copytree(TREE, older, symlinks=True, ignore=ignored)
    for path in older.glob("cdi_runc/**/*.py"):
        path.write_text(re.sub(r"\bpending\b", "outstanding", path.read_text()))
    init = older / "cdi_runc/__init__.py"
    init.write_text(re.sub(r"(?m)^__version__ = .*", '__version__ = "0.0.9"', init.read_text()))
    return older
