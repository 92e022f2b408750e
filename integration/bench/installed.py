"""`python -m integration.bench.installed [WAY]...`: the same figures of cdi-runc as each way to install it leaves it.

Every way is gone on a Debian 12 and a Debian 13 of its own, then all are measured in turns, so that a machine that
slows down slows all of them down. Knows the ways and the machines; what is measured, and how, only __main__.py does.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from integration.bench.hosts import compile_stub
from integration.engines.host import Host
from integration.packaging.conftest import ROOTS, TREE
from integration.packaging.machine import Machine

DEBIANS = ("debian-12-ready", "debian-13-ready")

# What is built once; $0 is the directory for it, which each machine gets a copy of.
BUILD = f"""
cd {TREE}
export BUILD_PYTHON={sys.executable} PIP={Path(sys.executable).with_name("pip")}
packaging/deb/build "$0"
packaging/rpm/build "$0"
packaging/pyz/build "$0"
{sys.executable} -m build --wheel --outdir "$0" .
"""

# Where the image installs it: the archive's files, and a Python of Debian 13's where the host has none.
OWN = "/opt/cdi-runc"
MAKE_PYTHON = f'{TREE}/packaging/image/private-python {OWN}/python && tar -C / -cf "$0"/python.tar {OWN[1:]}'
APT = "apt-get install --yes --no-install-recommends"

# What a bench shows of the figures, in the words of __main__.py.
SHOWN = {
    "python3": "python3 -I -S -c pass",
    "state": "state",
    "nothing": "create, nothing asked for",
    "device": "create, 1 small spec",
    "Jetson": "create, 1 Jetson spec",
    "life": "a whole life with one device, times its create (ratio)",
    "MiB": "peak memory of the shim (MiB)",
    "cdictl": "cdictl --version (ms in all)",
}


@dataclass(frozen=True)
class Way:
    """A script that installs cdi-runc, whose $0 is the directory of what was built; then where its commands are.

    `bench` is a Python with PyYAML to run the bench with, as words of sh.
    """

    script: str
    programs: str
    bench: str = "/usr/bin/python3"


WAYS = {
    "make": Way(f"make -C {TREE} install", "/usr/local/bin"),
    "deb": Way('dpkg --install "$0"/*.deb', "/usr/bin"),
    "rpm": Way(
        f"""
        {APT} rpm
        rpm --nodeps --install "$0"/*.rpm || rpm --force-debian --nodeps --install "$0"/*.rpm # Debian 12's asks for it
        """,
        "/usr/bin",
    ),
    "pyz": Way('python3 "$0"/cdi-runc.pyz install', "/usr/local/bin"),
    "pip": Way(
        f"""
        {APT} python3-venv
        python3 -m venv --system-site-packages /opt/venv
        /opt/venv/bin/pip install --no-deps "$0"/*.whl
        /opt/venv/bin/cdi-runc --cdi-version # the first start compiles the hot path
        """,
        "/opt/venv/bin",
    ),
    "image": Way(f'PREFIX={OWN} python3 "$0"/cdi-runc.pyz install', f"{OWN}/bin"),
    "image, its own Python": Way(
        f"""
        rm -r /usr/bin/python3* /usr/lib/python3*
        tar -C / -xf "$0"/python.tar
        PREFIX={OWN} PYTHON={OWN}/python/bin/python3 {OWN}/python/bin/python3 "$0"/cdi-runc.pyz install
        """,
        f"{OWN}/bin",
        f"PYTHONPATH=$(echo {OWN}/lib/cdi-runc/[0-9]*) {OWN}/python/bin/python3",
    ),
}


@dataclass
class Installation:
    """A machine on which cdi-runc was installed in this way, and each figure of its benches, by its name."""

    name: str
    way: Way
    machine: Machine
    figures: dict[str, list[float]] = field(default_factory=dict)

    def measure(self, rounds: int) -> None:
        """Run the bench there once."""
        script = f'cd "$1" && {self.way.bench} -m integration.bench --bin {self.way.programs} \
            --stub "$0"/built/stub --rounds {rounds} --json "$0"/figures.json'
        self.machine.must(script, str(self.machine.shared), str(TREE), timeout=600)
        for figure in json.loads((self.machine.shared / "figures.json").read_text())["figures"]:
            self.figures.setdefault(figure["what"], []).append(figure["measured"])


def build(directory: Path, stack: ExitStack) -> Path:
    """What is installed, in a directory, and the bench's stub."""
    built = directory / "built"
    built.mkdir()
    done = subprocess.run(
        ["sh", "-ec", BUILD, built], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300
    )
    if done.returncode != 0:
        sys.exit(done.stdout)
    compile_stub(built)
    maker = start(directory / "maker", "debian-13-ready", built, stack)
    maker.must(MAKE_PYTHON, str(maker.shared / "built"))
    shutil.move(maker.shared / "built/python.tar", built)
    return built


def start(shared: Path, debian: str, built: Path, stack: ExitStack) -> Machine:
    """A machine that has what was built."""
    shared.mkdir()
    shutil.copytree(built, shared / "built", symlinks=True)
    host = Host(ROOTS / debian, shared, TREE)
    stack.callback(host.close)
    return Machine(host)


def install(names: Sequence[str], directory: Path, stack: ExitStack) -> list[Installation]:
    """An installation by each of these ways on each Debian."""
    built = build(directory, stack)
    installations: list[Installation] = []
    for debian in DEBIANS:
        for name in names:
            machine = start(directory / str(len(installations)), debian, built, stack)
            machine.must(f"set -e; {WAYS[name].script}", str(machine.shared / "built"), timeout=600)
            installations.append(Installation(f"{name}, {debian[7:9]}", WAYS[name], machine))
    return installations


def main() -> None:
    """Install, measure, print a table."""
    parser = argparse.ArgumentParser(description="Measure cdi-runc as it is installed.")
    parser.add_argument("ways", metavar="WAY", nargs="*", default=list(WAYS), help=f"of {', '.join(WAYS)}")
    parser.add_argument("--rounds", type=int, default=20, help="runs of each command in each pass (default 20)")
    parser.add_argument("--passes", type=int, default=3, help="how often each is measured (default 3)")
    arguments = parser.parse_args()
    if os.geteuid() != 0 or not all((ROOTS / debian).exists() for debian in DEBIANS):
        parser.error(f"it wants root, and Debian 12 and 13 in {ROOTS} (make clean-roots)")
    with tempfile.TemporaryDirectory(prefix="cdi-runc-bench-") as directory, ExitStack() as stack:
        installations = install(arguments.ways, Path(directory), stack)
        for _ in range(arguments.passes):
            for installation in installations:
                installation.measure(arguments.rounds)
    print(f"{'ms over the bare runtime':28}", *(f"{head:>8}" for head in SHOWN))
    for one in installations:
        print(f"{one.name:28}", *(f"{statistics.median(one.figures[what]):8.2f}" for what in SHOWN.values()))


if __name__ == "__main__":
    main()
