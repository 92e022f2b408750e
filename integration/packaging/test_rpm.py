"""The package for rpm, on a system that has nothing else from rpm: so its dependencies are not looked at."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.bundles import WITH
from integration.packaging.conftest import TREE, nodes
from integration.packaging.machine import Machine

pytestmark = pytest.mark.skipif(not shutil.which("rpmbuild"), reason="rpm is not installed (make rpm)")

NEEDS = {
    *("/usr/bin/python3", "python3", "python3-click", "python3-jsonschema", "python3-pyyaml"),
    *("python3-ruamel-yaml", "python3-tomlkit"),
}


def build(tree: Path, directory: Path, **more: str) -> Path:
    environ = {"PATH": os.environ["PATH"], "BUILD_PYTHON": sys.executable, "SOURCE_DATE_EPOCH": "1700000000"}
    environ |= {"NODES": nodes(), **more}
    command = [tree / "packaging/rpm/build", directory]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=300)
    return Path(done.stdout.strip())


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(TREE, tmp_path_factory.mktemp("rpm"))


@pytest.fixture
def rpm(machine: Machine, tmp_path: Path) -> Callable[..., str]:
    """Our rpm, at work on the machine's files."""
    (tmp_path / "rpmdb").mkdir()
    options = ["--nodeps", f"--root={machine.host.path('/')}", f"--dbpath={tmp_path}/rpmdb"]
    if "--force-debian" in query("--help"):  # Debian 12's asks for it, 13's has no such option
        options.append("--force-debian")

    def call(*args: str | Path) -> str:
        done = subprocess.run(
            ["rpm", *options, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return call


def query(*args: str | Path) -> str:
    return subprocess.run(["rpm", *args], check=True, capture_output=True, text=True, timeout=300).stdout


def test_two_builds_are_the_same(tmp_path: Path, package: Path) -> None:
    assert build(TREE, tmp_path / "again", NODES="").read_bytes() == package.read_bytes()


def test_rpm_finds_it_whole(package: Path) -> None:
    assert "NOT OK" not in query("--checksig", "--nosignature", "--verbose", package)
    requires = {line.split()[0] for line in query("--query", "--requires", "--package", package).splitlines()}
    assert {name for name in requires if not name.startswith(("rpmlib", "/bin/sh", "config("))} <= NEEDS


def test_an_erased_package_leaves_nothing(machine: Machine, rpm: Callable[..., str], package: Path) -> None:
    machine.must("mkdir -p /usr/share/licenses /usr/share/zsh")  # which every system with rpm has
    machine.before = machine.files()
    rpm("--install", package)
    assert machine.container() == WITH
    assert machine.problems() == []
    assert "usage: cdi-node" in machine.must("cdi-node --help")
    assert "this is a device plugin for Nomad" in machine.run("cdi-nomad").stderr
    machine.must("ls /usr/lib/cdi-runc/*/cdi_runc/shim/start/__pycache__/frozen-3.*.pyc")
    rpm("--erase", "cdi-runc")
    assert machine.changes() == set()


def test_containers_start_while_versions_change(
    machine: Machine, rpm: Callable[..., str], package: Path, older_tree: Path, tmp_path: Path
) -> None:
    older = build(older_tree, tmp_path / "older-rpm")
    rpm("--install", older)
    loop = machine.start_loop(200, tmp_path / "log")
    for number in (30, 60, 90, 120, 150):
        machine.wait_for_loop(number)
        rpm("--upgrade", "--oldpackage", package if number % 60 else older)
    assert loop.wait(timeout=300) == 0
    assert machine.wrong() == ""
    assert machine.must("ls /usr/lib/cdi-runc").split() == ["0.1.0"]
