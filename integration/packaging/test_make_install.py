"""`make install` and `make uninstall`."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.bundles import WITH
from integration.packaging.conftest import TREE, nodes
from integration.packaging.machine import Machine

INSTALL = f"make -C {TREE} install"
UNINSTALL = f"make -C {TREE} uninstall"


@pytest.mark.parametrize("prefix", ["/usr/local", "/usr", "/opt/cdi-runc"])
def test_what_is_installed_works_and_goes_without_a_trace(machine: Machine, prefix: str) -> None:
    machine.must(f"{INSTALL} PREFIX={prefix}")
    assert machine.container(f"{prefix}/bin/cdi-runc") == WITH
    machine.must(f"{prefix}/bin/cdictl devices")
    machine.must(f"{UNINSTALL} PREFIX={prefix}")
    assert machine.changes() == set()


def test_doctor_finds_no_problem(machine: Machine) -> None:
    machine.must(INSTALL)
    assert machine.problems() == []


def test_it_runs_from_a_read_only_system(machine: Machine) -> None:
    machine.must(f"{INSTALL} && mount --bind /usr /usr && mount -o remount,bind,ro /usr")
    assert machine.container() == WITH


def test_the_hot_path_is_compiled_at_installation(machine: Machine) -> None:
    machine.must(f"{INSTALL} && ls /usr/local/lib/cdi-runc/*/cdi_runc/shim/start/__pycache__/frozen-3.*.pyc")


def test_it_is_small(machine: Machine) -> None:
    """Its source has 1.4 MB. The rest is the code that Python has compiled, and the ends of blocks."""
    machine.must(INSTALL)
    assert int(machine.must("du -sk /usr/local/lib/cdi-runc").split()[0]) < 6000


@pytest.mark.parametrize("seconds", [0.05, 0.2, 0.4, 0.6, 0.8, 1.1])
def test_an_interrupted_install_is_mended_by_another(machine: Machine, seconds: float) -> None:
    machine.run(f"timeout --signal=KILL {seconds} {TREE}/packaging/install")
    machine.must(INSTALL)
    assert machine.container() == WITH
    machine.must(UNINSTALL)
    assert machine.changes() == set()


@pytest.mark.parametrize("seconds", [0.05, 0.4, 0.8])
def test_an_interrupted_install_can_be_uninstalled(machine: Machine, seconds: float) -> None:
    machine.run(f"timeout --signal=KILL {seconds} {TREE}/packaging/install")
    machine.must(UNINSTALL)
    assert machine.changes() == set()


def test_changed_settings_stay(machine: Machine) -> None:
    machine.must(f"{INSTALL} && echo '# mine' >> /etc/cdi-runc/config.yaml && {INSTALL}")
    assert "config.yaml stays, since it was changed" in machine.must(UNINSTALL)
    assert {line.split()[0] for line in machine.changes()} == {"/etc/cdi-runc", "/etc/cdi-runc/config.yaml"}


def test_containers_start_while_versions_change(machine: Machine, older_tree: Path, tmp_path: Path) -> None:
    machine.must(f"make -C {older_tree} install")
    loop = machine.start_loop(200, tmp_path / "log")
    for number in (30, 60, 90, 120, 150):
        machine.wait_for_loop(number)
        machine.must(f"make -C {TREE if number % 60 else older_tree} install")
    assert loop.wait(timeout=300) == 0
    assert machine.wrong() == ""
    assert machine.must("ls /usr/local/lib/cdi-runc").split() == ["0.1.0", "manifest"]


def test_a_foreign_file_is_kept(machine: Machine) -> None:
    machine.must("echo foreign > /usr/local/bin/cdi-runc")
    before = machine.files()
    done = machine.run(INSTALL)
    assert "/usr/local/bin/cdi-runc already exists and is not from cdi-runc: move it away first" in done.stderr
    assert (done.returncode != 0, machine.files()) == (True, before)


@pytest.mark.parametrize(
    ("root", "spoil", "said"),
    [
        ("debian-12", "true", "/usr/bin/python3 is no Python 3.10 or newer: install one"),
        ("debian-12-ready", "ln -sf /bin/false /usr/bin/python3", "is no Python 3.10 or newer"),
        (
            "debian-12-ready",
            "rm -r /usr/lib/python3/dist-packages/tomlkit",
            "of the distribution: python3-tomlkit",
        ),
        ("debian-12-ready", "mount --bind /usr /usr; mount -o remount,bind,ro /usr", "PREFIX=/opt/cdi-runc"),
    ],
)
def test_what_is_missing_is_named(machine_of: Callable[[str], Machine], root: str, spoil: str, said: str) -> None:
    machine = machine_of(root)
    machine.must(spoil)
    before = machine.files()
    done = machine.run(f"{TREE}/packaging/install")
    assert said in done.stderr
    assert (done.returncode != 0, machine.files()) == (True, before)


def test_a_prefix_that_no_script_could_name_is_refused(machine: Machine) -> None:
    assert "must be an absolute path" in machine.run(f"{INSTALL} PREFIX='/opt/a b'").stderr
    assert machine.changes() == set()


def test_a_runtime_may_come_later(machine: Machine) -> None:
    machine.must("rm /usr/sbin/runc /usr/bin/crun")
    assert "neither runc nor crun is here" in machine.must(INSTALL)
    assert any("runc" in problem for problem in machine.problems())


def test_another_installations_registration_stays(machine: Machine) -> None:
    machine.must(f"{INSTALL} PREFIX=/usr && {INSTALL} PREFIX=/usr/local")
    machine.must("/usr/bin/cdictl engine enable podman --accept-image-annotations")
    drop_in = "/etc/containers/containers.conf.d/50-cdi-runc.conf"
    assert '"/usr/bin/cdi-runc"' in machine.must(f"cat {drop_in}")
    machine.must(f"{UNINSTALL} PREFIX=/usr/local")
    assert '"/usr/bin/cdi-runc"' in machine.must(f"cat {drop_in}")
    machine.must(f"{UNINSTALL} PREFIX=/usr")
    assert machine.changes() == set()


def test_a_change_of_an_engine_that_was_cut_short_is_undone_before_it_goes(machine: Machine) -> None:
    """Killed between the engine's file and the record of it: the engine would go on naming what is gone."""
    machine.must(INSTALL)
    machine.must("cdictl engine enable podman --accept-image-annotations")
    program = (
        "import json; record = json.load(open('/var/lib/cdi-runc/registrations.json'))[0]['files'][0]; "
        "change = {'path': record['path'], 'before': record['before'], 'after': record['after'], 'mode': 420, "
        "'owner': None, 'made': record['made']}; json.dump([change], open('/var/lib/cdi-runc/pending.json', 'w'))"
    )
    machine.must(f'python3 -c "{program}" && rm /var/lib/cdi-runc/registrations.json')
    machine.must(UNINSTALL)
    assert machine.changes() == set()


def test_cdi_node_and_cdi_nomad_come_with_what_they_need(machine: Machine) -> None:
    shutil.copytree(nodes(), machine.shared / "nodes")
    machine.must(f"NODES={machine.shared}/nodes {INSTALL}")
    assert "usage: cdi-node" in machine.must("cdi-node --help")
    assert "this is a device plugin for Nomad" in machine.run("cdi-nomad").stderr
    machine.must(UNINSTALL)
    assert machine.changes() == set()
