"""`make demo` and `make clean-all` on a machine that has nothing: what is new goes, what was there stays."""

from collections.abc import Callable

import pytest

from integration.packaging.conftest import TREE
from integration.packaging.machine import Machine

DEV = f"{TREE}/packaging/dev"


@pytest.mark.parametrize("root", ["debian-12", "debian-13"])
def test_the_demo_installs_little_and_gives_it_back(machine_of: Callable[[str], Machine], root: str) -> None:
    machine = machine_of(root)
    machine.must("apt-get install --yes --no-install-recommends make libyaml-0-2")
    machine.must("touch /etc/hosts")  # which every real machine has, and netbase makes for good where it is missing
    machine.before = machine.files()
    size = int(machine.must("du -sk /usr").split()[0])
    assert "env     one" in machine.must(f"make -C {TREE} demo")
    assert int(machine.must("du -sk /usr").split()[0]) - size < 70_000
    machine.host.path("/var/cache/cdi-runc/debian-12").mkdir(parents=True)
    said = machine.must(f"{DEV}/remove-all")
    assert "removing /var/cache/cdi-runc\n" in said
    assert machine.changes() == set()
    machine.must("dpkg-query --show libyaml-0-2")  # python3-yaml needs it, but it was there before


def test_what_others_need_by_now_stays(machine_of: Callable[[str], Machine]) -> None:
    machine = machine_of("debian-13")
    machine.must(f"{DEV}/install-packages python3-yaml")
    machine.must("apt-get install --yes --no-install-recommends python3-jsonschema")
    done = machine.run(f"{DEV}/remove-all")
    assert done.returncode == 1
    assert "nothing is purged, since these packages need it: " in done.stderr
    assert "python3-jsonschema" in done.stderr
    machine.must("dpkg-query --show python3-yaml")


def test_no_daemon_starts_because_its_package_is_installed(machine_of: Callable[[str], Machine]) -> None:
    machine = machine_of("debian-13")
    machine.host.write("/usr/local/bin/apt-get", "#!/bin/sh\n/usr/sbin/policy-rc.d; echo $? > /policy\n")
    machine.must(f"PATH=/usr/local/bin:$PATH {DEV}/install-packages python3-yaml")
    assert machine.must("cat /policy") == "101\n"
    machine.must("[ ! -e /usr/sbin/policy-rc.d ]")


def test_a_plain_user_is_told_at_once(machine_of: Callable[[str], Machine]) -> None:
    machine = machine_of("debian-13")
    machine.must("apt-get install --yes --no-install-recommends make")
    machine.must(f"mkdir /clone && cp -r {TREE}/Makefile {TREE}/packaging /clone")  # ours may be below /root
    for target in ("demo", "test"):
        done = machine.run(f"setpriv --reuid=1000 --clear-groups make -C /clone {target}")
        assert done.returncode == 2
        assert f"sudo make {target}" in done.stderr
