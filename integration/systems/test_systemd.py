"""A service of a real systemd, booted in a machine to spoil, with the drop-in that `cdictl render` prints."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.engines.host import Host
from integration.packaging.conftest import TREE
from integration.systems.board import BOARD, PROBE, WITH, Board, report
from integration.systems.conftest import Cdictl, need

CGROUP = Path(f"/sys/fs/cgroup/systemd/cdi-runc-render-{os.getpid()}")
FIND = "grep -lx systemd /proc/[0-9]*/comm | cut -d / -f 3 | sort -n"  # as pgrep would, which Debian 13 need not have
UNIT = "[Service]\nType=oneshot\nExecStart=/bin/sh /root/probe\nStandardOutput=file:/root/said\n"


@pytest.fixture
def systemd(host: Host) -> Iterator[str]:
    """The process id of a systemd that is up."""
    need(host, "/lib/systemd/systemd")
    try:
        CGROUP.mkdir()
    except OSError as error:
        pytest.skip(f"systemd can be booted here only with cgroups of version 1: {error}")
    log = host.shared / "systemd.log"
    daemon = host.start("sh", f"{TREE}/integration/packaging/boot.sh", str(CGROUP), log=log)
    pid = "none"
    try:
        host.wait_for("sh", "-c", f"{FIND} | grep -q .", daemon=daemon, log=log)
        pid = host.run("sh", "-c", FIND).stdout.split()[0]
        active = ["nsenter", f"--target={pid}", "--all", "--", "systemctl", "is-active", "basic.target"]
        host.wait_for(*active, daemon=daemon, log=log)
        yield pid
    finally:
        host.run("sh", "-c", f"kill -KILL {pid}")
        daemon.wait(30)
        _remove_cgroup()


def _remove_cgroup() -> None:
    directories = sorted((CGROUP, *CGROUP.rglob("*/")), reverse=True)
    deadline = time.monotonic() + 10
    while any((directory / "cgroup.procs").read_text() for directory in directories):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for directory in directories:
        directory.rmdir()


def test_a_service(host: Host, cdictl: Cdictl, board: Board, systemd: str) -> None:
    before = set(host.path("/dev").iterdir())
    host.write("/root/probe", PROBE)
    host.write("/etc/systemd/system/board.service", UNIT)
    host.write("/etc/systemd/system/board.service.d/cdi.conf", cdictl("render", "systemd", BOARD).stdout)
    inside = ["nsenter", f"--target={systemd}", "--all", "--"]
    done = host.run(*inside, "sh", "-c", "systemctl daemon-reload && systemctl start board.service")
    assert done.returncode == 0, done.stderr + host.run(*inside, "systemctl", "status", "board.service").stdout
    said = report(host.path("/root/said").read_text())
    assert "44" in said["groups"].split()
    assert {**said, "owner": "", "groups": ""} == {**WITH, "options": said["options"], "owner": "", "groups": ""}
    assert said["options"].startswith("ro")
    assert set(host.path("/dev").iterdir()) == before  # no empty file for the new name
