"""The Debian package: installed, upgraded, broken off, removed and purged."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.bundles import WITH
from integration.packaging.conftest import TREE, make_older_tree, nodes
from integration.packaging.machine import Machine

FROZEN = "/usr/lib/cdi-runc/0.1.0/cdi_runc/shim/start/__pycache__/frozen-3.*.pyc"


def build(tree: Path, directory: Path, **more: str) -> Path:
    environ = {"PATH": "/usr/bin:/bin", "BUILD_PYTHON": sys.executable, "SOURCE_DATE_EPOCH": "1700000000"}
    environ |= {"NODES": nodes(), **more}
    done = subprocess.run(
        [tree / "packaging/deb/build", directory], env=environ, capture_output=True, text=True, check=True, timeout=300
    )
    return Path(done.stdout.strip())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(TREE, tmp_path_factory.mktemp("deb"))


@pytest.fixture
def deb(built: Path, tmp_path: Path) -> Path:
    """The package where the test's machine finds it."""
    return Path(shutil.copy(built, tmp_path))


@pytest.fixture(scope="module")
def built_of_older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("older-deb")
    return build(make_older_tree(directory / "tree"), directory)


@pytest.fixture
def older_deb(built_of_older: Path, tmp_path: Path) -> Path:
    """The one of a version ago."""
    return Path(shutil.copy(built_of_older, tmp_path))


def test_two_builds_are_the_same(tmp_path: Path, deb: Path) -> None:
    assert build(TREE, tmp_path / "again", NODES="").read_bytes() == deb.read_bytes()


def test_lintian_finds_nothing(deb: Path) -> None:
    if not shutil.which("lintian"):
        pytest.skip("lintian is not installed (make deps)")
    done = subprocess.run(["lintian", "--pedantic", deb], capture_output=True, text=True, timeout=300)
    assert [line for line in done.stdout.splitlines() if line[:2] in ("E:", "W:", "P:")] == []


@pytest.mark.parametrize("root", ["debian-12", "debian-13"])
def test_apt_installs_it_with_all_that_it_needs(machine_of: Callable[[str], Machine], root: str, deb: Path) -> None:
    machine = machine_of(root)
    machine.must(f"apt-get install --yes --no-install-recommends {deb} runc busybox-static")
    assert machine.container() == WITH
    assert machine.problems() == []


@pytest.mark.parametrize("command", ["cdi-runc", "/usr/bin/cdi-crun"])
def test_a_purged_package_leaves_nothing(machine: Machine, deb: Path, command: str) -> None:
    machine.must(f"dpkg --install {deb}")
    machine.must(f"ls {FROZEN}")
    assert machine.container(command) == WITH
    machine.must("cdictl refresh && cdictl devices && dpkg --purge cdi-runc")
    assert machine.changes() == set()


def test_a_removed_package_leaves_its_settings(machine: Machine, deb: Path) -> None:
    machine.must(f"dpkg --install {deb} && dpkg --remove cdi-runc")
    left = {line.split()[0] for line in machine.changes()}
    assert {path for path in left if "systemd" not in path and "logrotate" not in path} == {
        "/etc/cdi-runc",
        "/etc/cdi-runc/config.yaml",
    }
    machine.must(f"dpkg --install {deb} && dpkg --purge cdi-runc")
    assert machine.changes() == set()


def test_containers_start_while_versions_change(machine: Machine, deb: Path, older_deb: Path, tmp_path: Path) -> None:
    machine.must(f"dpkg --install {older_deb}")
    loop = machine.start_loop(200, tmp_path / "log")
    for number in (30, 60, 90, 120, 150):
        machine.wait_for_loop(number)
        machine.must(f"dpkg --install {deb if number % 60 else older_deb}")
    assert loop.wait(timeout=300) == 0
    assert machine.wrong() == ""
    assert machine.must("ls /usr/lib/cdi-runc").split() == ["0.1.0"]


@pytest.mark.parametrize("seconds", [0.1, 0.3, 0.5, 1, 2, 3])
def test_containers_start_after_a_broken_off_upgrade(
    machine: Machine, deb: Path, older_deb: Path, seconds: float
) -> None:
    machine.must(f"dpkg --install {older_deb}")
    machine.run(f"timeout --signal=KILL {seconds} dpkg --install {deb}")
    assert machine.container() == WITH
    machine.must(f"dpkg --install {deb} && dpkg --purge cdi-runc")
    assert machine.changes() == set()


def test_another_python_gets_byte_code_of_its_own(machine: Machine, deb: Path) -> None:
    machine.must(f"dpkg --install {deb} && rm {FROZEN}")
    machine.must("dpkg-trigger --by-package=python3-minimal /usr/bin/python3 && dpkg --configure --pending")
    machine.must(f"ls {FROZEN}")


def test_a_foreign_file_is_kept(machine: Machine, deb: Path) -> None:
    machine.must("echo foreign > /usr/bin/cdi-runc")
    done = machine.run(f"dpkg --install {deb}")
    assert "/usr/bin/cdi-runc is there already and not from a package: move it away first" in done.stderr
    assert (done.returncode != 0, machine.must("cat /usr/bin/cdi-runc")) == (True, "foreign\n")


def test_it_is_taken_out_of_the_engines_before_it_goes(machine: Machine, deb: Path) -> None:
    machine.must(f"dpkg --install {deb}")
    machine.must("cdictl engine enable podman --accept-image-annotations")
    assert "podman" in machine.must("cdictl engine status")
    machine.must("dpkg --purge cdi-runc")
    assert machine.changes() == set()


def test_it_has_the_commands_that_offer_devices_to_clusters(machine: Machine, deb: Path) -> None:
    machine.must(f"dpkg --install {deb}")
    assert "usage: cdi-node" in machine.must("cdi-node --help")
    done = machine.run("cdi-nomad")
    line = "cdi-nomad: this is a device plugin for Nomad; put it into the agent's plugin_dir, and Nomad starts it\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)
    machine.must("mkdir -p /etc/cdi /etc/cdi-runc")
    machine.must("printf 'requests:\\n  mounts: /var/run/cdi-devices\\n' > /etc/cdi-runc/config.yaml")
    machine.host.write("/etc/cdi/widget.json", machine.spec)
    said = json.loads(machine.must("cdi-nomad --try /usr/bin/cdi-nomad '{}' example.com/widget=one"))
    assert (said["name"], said["refused"], said["devices"]) == ("cdi-nomad", "", {"example.com/widget=one": ""})


@pytest.mark.parametrize("package", ["a module of its own", "one that every Python imports"])
def test_another_protobuf_is_not_in_the_way(machine: Machine, deb: Path, package: str) -> None:
    """As python3-protobuf has one: older, a regular package, perhaps imported by a .pth file."""
    folder = "/usr/lib/python3/dist-packages"
    machine.must(f"dpkg --install {deb} && mkdir -p {folder}/google/protobuf")
    machine.must(f"echo > {folder}/google/__init__.py; echo 'raise ImportError' > {folder}/google/protobuf/__init__.py")
    if package != "a module of its own":
        machine.must(f"echo 'import google' > {folder}/protobuf-nspkg.pth")
    said = json.loads(machine.must("cdi-nomad --try /usr/bin/cdi-nomad '{}' vendor.com/gpu=0"))
    assert said["name"] == "cdi-nomad"


def test_nomads_plugin_is_taken_out_before_it_goes(machine: Machine, deb: Path) -> None:
    """Else Nomad's agent would not start any more: its plugin_dir would have a script that executes nothing."""
    machine.must("printf '#!/bin/sh\\necho Nomad v1.7.3\\n' > /usr/bin/nomad && chmod 755 /usr/bin/nomad")
    machine.must("mkdir /etc/nomad.d && echo 'data_dir = \"/opt/nomad\"' > /etc/nomad.d/nomad.hcl")
    machine.before = machine.files()
    machine.must(f"dpkg --install {deb} && cdictl engine enable nomad --mode edits")
    assert "device reserved" in machine.must("cdictl engine test nomad")
    assert machine.problems() == []
    machine.must("dpkg --purge cdi-runc")
    assert machine.changes() == set()
