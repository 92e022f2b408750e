"""The units, under a real systemd: one that is booted in a machine to spoil."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.packaging.conftest import TREE
from integration.packaging.machine import Machine
from integration.packaging.test_deb import build

UNITS = "cdi-runc-refresh.path cdi-runc-refresh.service cdi-runc-generate.service cdi-runc-generate-changed.service"
SPEC = "/run/cdi/cdictl-host.local-fuse.yaml"  # every kernel here has fuse
CGROUP = Path(f"/sys/fs/cgroup/systemd/cdi-runc-test-{os.getpid()}")


class Booted:
    """A machine on which systemd runs, and sees no other processes but its own."""

    def __init__(self, machine: Machine) -> None:
        """Boots it, and waits until that is done."""
        self.machine = machine
        log = machine.shared / "systemd.log"
        systemd = machine.host.start("sh", f"{TREE}/integration/packaging/boot.sh", str(CGROUP), log=log)
        machine.host.wait_for("pgrep", "--exact", "systemd", daemon=systemd, log=log)
        self.pid = machine.must("pgrep --exact --oldest systemd").strip()
        self.wait_until("systemctl is-active basic.target", seconds=30)

    def must(self, script: str) -> str:
        """What a script said that has to succeed."""
        return self.machine.must('nsenter --target "$0" --all -- sh -c "$1"', self.pid, script)

    def wait_until(self, script: str, seconds: float = 10) -> None:
        """Waits for a script to succeed."""
        deadline = time.monotonic() + seconds
        while self.machine.run('nsenter --target "$0" --all -- sh -c "$1"', self.pid, script).returncode != 0:
            assert time.monotonic() < deadline, f"not even after {seconds} s: {script}"
            time.sleep(0.1)


@pytest.fixture
def with_systemd(machine: Machine) -> Machine:
    machine.must("apt-get install --yes --no-install-recommends systemd")
    return machine


@pytest.fixture
def booted(with_systemd: Machine) -> Iterator[Booted]:
    try:
        CGROUP.mkdir()
    except OSError as error:
        pytest.skip(f"systemd can be booted here only with cgroups of version 1: {error}")
    try:
        yield Booted(with_systemd)
    finally:
        with_systemd.host.close()
        remove_cgroup()


def remove_cgroup() -> None:
    """Removes it once the last process in it has ended."""
    directories = sorted((CGROUP, *CGROUP.rglob("*/")), reverse=True)
    deadline = time.monotonic() + 10
    while any((directory / "cgroup.procs").read_text() for directory in directories):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for directory in directories:
        directory.rmdir()


@pytest.mark.parametrize("prefix", ["/usr/local", "/usr"])
def test_systemd_finds_no_fault_with_them(with_systemd: Machine, prefix: str) -> None:
    with_systemd.must(f"make -C {TREE} install PREFIX={prefix}")
    assert with_systemd.must(f"cd {prefix}/lib/systemd/system && systemd-analyze verify --man=no {UNITS}") == ""


def test_the_place_for_the_snapshot_is_made_at_boot(with_systemd: Machine, request: pytest.FixtureRequest) -> None:
    with_systemd.must(f"make -C {TREE} install")
    booted: Booted = request.getfixturevalue("booted")
    assert booted.must("stat -c '%A %U' /run/cdi-runc") == "drwx------ root\n"


@pytest.mark.parametrize("spec_dir", ["/etc/cdi", "/run/cdi"])
def test_a_spec_is_read_when_it_comes_and_when_it_changes(booted: Booted, spec_dir: str) -> None:
    booted.must(f"make -C {TREE} install")
    booted.must("systemctl daemon-reload && systemctl enable --now cdi-runc-refresh.path")
    for text in (booted.machine.spec, booted.machine.spec + "\n", "{}"):
        booted.must(f"mkdir -p {spec_dir} && cat > {spec_dir}/widget.json << 'EOF'\n{text}\nEOF\n")
        booted.wait_until("cdictl doctor | grep 'snapshot is up to date'")
    booted.must("! systemctl is-failed cdi-runc-refresh.service")


def test_one_command_turns_the_making_of_specs_on_and_off(booted: Booted) -> None:
    booted.must(f"make -C {TREE} install && systemctl daemon-reload && test -c /dev/fuse")
    booted.must("systemctl start --wait multi-user.target; ! systemctl is-active cdi-runc-generate.service")
    booted.must(f"! ls {SPEC}")
    booted.must("systemctl enable --now cdi-runc-generate.service")
    assert "/dev/fuse" in booted.must(f"cat {SPEC}")
    booted.must(f"rm {SPEC} && systemctl restart cdi-runc-generate-changed.service && cat {SPEC}")
    booted.must("test -L /etc/systemd/system/multi-user.target.wants/cdi-runc-generate.service")
    booted.must("systemctl disable --now cdi-runc-generate.service")
    booted.must("! test -L /etc/systemd/system/multi-user.target.wants/cdi-runc-generate.service")
    booted.must(f"make -C {TREE} uninstall && ! ls {SPEC}")


def test_the_package_starts_them_and_takes_them_away(booted: Booted, tmp_path: Path) -> None:
    booted.must(f"dpkg --install {build(TREE, tmp_path / 'deb')}")
    assert booted.must("systemctl is-active cdi-runc-refresh.path") == "active\n"
    booted.wait_until("cdictl doctor | grep 'snapshot is up to date'")
    booted.must("dpkg --purge cdi-runc")
    assert booted.must(f"systemctl list-units --all --plain --no-legend {UNITS}") == ""
    booted.must("! ls /run/cdi-runc")
