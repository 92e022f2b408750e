"""The machines, the board in them, a root file system for its containers, and cdictl."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.bundles import make_rootfs, static_busybox
from integration.engines.conftest import NEWER, TREE, make_host
from integration.engines.host import Host
from integration.systems.board import APPLETS, Board

# cdictl with Debian 13's own Python and packages, which .venv's are of no use to.
DEBIANS = f"""#!/usr/bin/python3
import sys
sys.path.insert(0, "{TREE}")
from cdi_runc.ctl import main
main()
"""

Cdictl = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module", params=["machine", "newer"])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A machine to spoil, in which cdi-runc is on PATH."""
    newer = request.param == "newer"
    if newer and not (NEWER / ".complete").exists():
        pytest.skip(f"no Debian 13 in {NEWER} (make engines-newer)")
    host = make_host(tmp_path_factory.mktemp("shared"), newer)
    yield host
    host.close()


@pytest.fixture(scope="module")
def cdictl_path(host: Host) -> str:
    """Where cdictl is in the machine."""
    if host.run("test", "-e", "/opt/cdi-runc").returncode != 0:
        return f"{TREE}/.venv/bin/cdictl"
    if host.run("python3", "-c", "import tomlkit").returncode != 0:
        pytest.skip("the Debian 13 there is an older one without python3-tomlkit (make engines-newer)")
    host.write("/usr/local/bin/cdictl", DEBIANS)
    return "/usr/local/bin/cdictl"


@pytest.fixture(scope="module")
def cdictl(host: Host, cdictl_path: str) -> Cdictl:
    """Runs cdictl in the machine; it must end with the status `expect`."""

    def run(*args: str, expect: int = 0) -> "subprocess.CompletedProcess[str]":
        done = host.run(cdictl_path, *args)
        assert done.returncode == expect, done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def board(host: Host) -> Board:
    """The board, whose spec is in the machine."""
    board = Board(host.shared / "board")
    host.write("/etc/cdi/board.json", board.spec())
    return board


@pytest.fixture(scope="module")
def rootfs(host: Host) -> Path:
    """A root file system that the machine sees too."""
    return make_root(host.shared / "rootfs")


def make_root(directory: Path) -> Path:
    """A root file system with what the probe needs."""
    make_rootfs(directory)
    for name in ("sys", "etc", "sbin", "usr", "run", "opt"):
        (directory / name).mkdir(exist_ok=True)
    for applet in APPLETS:
        if not (directory / "bin" / applet).is_symlink():
            (directory / "bin" / applet).symlink_to("busybox")
    shutil.copymode("/", directory)
    assert static_busybox()
    return directory


def need(host: Host, command: str) -> None:
    """Skip where the machine has no such command."""
    if not host.has(command):
        pytest.skip(f"{command} is not installed (make engines, make engines-newer)")
