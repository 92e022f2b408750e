"""Services of a real systemd, booted in a machine to spoil, with drop-ins that cdictl prints or writes."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.engines.host import Host
from integration.packaging.conftest import TREE
from integration.systems.board import BOARD, PROBE, WITH, Board, report
from integration.systems.conftest import Cdictl, need
from integration.systems.test_lxc import ASKS, HOME, Lxc

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


# The nested systemd has no cgroups that LXC could use, so its unit starts no container here.
IN_PLACE_OF_LXC = "[Service]\nType=oneshot\nExecStop=\nExecStart=\nExecStart=/bin/cp {home}/c/cdi.conf /root/seen\n"


def test_lxcs_own_units_renew_what_a_container_needs(host: Host, cdictl_path: str, board: Board, systemd: str) -> None:
    need(host, "lxc-start")
    inside = ["nsenter", f"--target={systemd}", "--all", "--"]
    theirs = "/etc/systemd/system/lxc@.service.d/60-theirs.conf"
    host.write(theirs, IN_PLACE_OF_LXC.format(home=HOME))
    host.write("/etc/default/lxc", "LXC_AUTO=false\n")
    lxc = Lxc(host, False)
    lxc.make(f"{ASKS}lxc.include = {HOME}/c\n")
    host.run(*inside, "systemctl", "cat", "lxc@c")  # systemd knows the unit by now, without our drop-in
    done = host.run(*inside, cdictl_path, "engine", "enable", "lxc", "--restart")
    assert done.returncode == 0, done.stderr
    assert "daemon-reload" not in done.stdout
    try:
        for spaced in ("a  b", "and  now"):
            host.write("/etc/cdi/board.json", board.spec(env=[f"SPACED={spaced}"]))
            done = host.run(*inside, "systemctl", "start", "lxc@c")
            assert done.returncode == 0, done.stderr + host.run(*inside, "systemctl", "status", "lxc@c").stdout
            assert f"SPACED={spaced}\n" in host.path("/root/seen").read_text()
            assert lxc.start().returncode == 0, lxc.log()
            assert lxc.said().get("spaced") == spaced
    finally:
        done = host.run(*inside, cdictl_path, "engine", "disable", "lxc")
    assert "lxc knows of it after: systemctl daemon-reload" in done.stdout
    assert host.run("find", "/etc/systemd/system/lxc@.service.d", "-type", "f").stdout == f"{theirs}\n"
