"""cdictl generate on this kernel: its devices seen in real containers, and one that comes and goes."""

import fcntl
import os
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cdi_runc import load_spec, qualified_name
from cdi_runc.cdi.names import split_kind
from integration.conftest import BIN, Runtime
from integration.engines.conftest import make_host
from integration.engines.host import Host
from tests.files import write_of

ADD, REMOVE = 0x4C80, 0x4C81  # LOOP_CTL_ADD and LOOP_CTL_REMOVE of linux/loop.h
NUMBER = 200 + os.getpid() % 50_000  # of a loop device that nobody else has

LOOP = """
recipe: 1
kind: host.local/loop
match: {sysfs: "/sys/class/block/loop*"}
values: {name: {name: .}}
names: ["{name}"]
nodes: [.]
"""

# A line for each device node: its path, type and numbers.
PROBE = "for node in {}; do stat -c '%n %F %t:%T' \"$node\"; done"


def generate(*args: str | Path) -> None:
    done = subprocess.run([BIN / "cdictl", "generate", *args], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def devices(directory: Path) -> dict[str, list[str]]:
    """The host's nodes of each device that a directory's files of ours define, but for interfaces."""
    found = {}
    for path in directory.glob("cdictl-*.yaml"):
        spec: Any = load_spec(path)
        for device in spec["devices"]:
            nodes = [*spec.get("containerEdits", {}).get("deviceNodes", ()), *_nodes(device)]
            if nodes and device["name"] != "all":
                found[qualified_name(*split_kind(spec["kind"]), device["name"])] = [node["path"] for node in nodes]
    return found


def _nodes(device: Any) -> Any:
    return device["containerEdits"].get("deviceNodes", ())


def seen_on_the_host(path: str) -> str:
    found = os.stat(path)
    kind = "block" if stat.S_ISBLK(found.st_mode) else "character"
    return f"{path} {kind} special file {os.major(found.st_rdev):x}:{os.minor(found.st_rdev):x}"


def test_every_device_of_this_kernel_is_in_a_container(
    runtime: Runtime, bundle: Callable[..., Path], spec_dir: Path
) -> None:
    generate("--write", "--output-dir", spec_dir)
    found = devices(spec_dir)
    if not found:
        pytest.skip("this kernel shows no device that a recipe knows")
    nodes = sorted({node for several in found.values() for node in several})
    asks = {f"cdi.k8s.io/d{number}": name for number, name in enumerate(found)}
    directory = bundle(("sh", "-c", PROBE.format(" ".join(nodes))), asks)
    done = runtime.shim("run", "--bundle", str(directory), "box")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [seen_on_the_host(node) for node in nodes]


def test_checked_again_nothing_is_stale(tmp_path: Path) -> None:
    generate("--write", "--output-dir", tmp_path)
    before = {path: write_of(path) for path in tmp_path.iterdir()}
    generate("--check", "--output-dir", tmp_path)
    generate("--write", "--output-dir", tmp_path)
    assert {path: write_of(path) for path in tmp_path.iterdir()} == before


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Host]:
    """A machine to spoil that has a recipe for loop devices."""
    host = make_host(tmp_path, newer=False)
    host.write("/etc/cdi-runc/recipes.d/loop.yaml", LOOP)
    yield host
    host.close()


@pytest.fixture
def loop_control() -> Iterator[int]:
    """The way to make loop devices; ours goes with the test."""
    try:
        control = os.open("/dev/loop-control", os.O_RDWR)
    except OSError as fault:
        pytest.skip(f"no loop devices here: {fault}")
    yield control
    try:
        fcntl.ioctl(control, REMOVE, NUMBER)
    except OSError:
        pass  # the test has removed it
    os.close(control)


def test_a_device_that_comes_and_goes(room: Host, loop_control: int, tmp_path: Path) -> None:
    log = tmp_path / "watch.log"
    spec = room.path("/run/cdi/cdictl-host.local-loop.yaml")  # /var/run is a link, and absolute
    watch = room.start(str(BIN / "cdictl"), "generate", "loop", "--watch", log=log)

    def names() -> set[str]:
        try:
            return {device["name"] for device in yaml.safe_load(spec.read_text())["devices"]}
        except FileNotFoundError:
            return set()

    def wait_for(there: bool) -> None:
        deadline = time.monotonic() + 20
        while (f"loop{NUMBER}" in names()) != there:
            assert time.monotonic() < deadline, log.read_text()
            assert watch.poll() is None, log.read_text()
            time.sleep(0.05)

    fcntl.ioctl(loop_control, ADD, NUMBER)
    wait_for(True)
    checked = room.run(str(BIN / "cdictl"), "generate", "loop", "--check")
    assert (checked.returncode, checked.stdout) == (0, "")
    fcntl.ioctl(loop_control, REMOVE, NUMBER)
    wait_for(False)


def test_check_names_what_was_unplugged(room: Host, loop_control: int) -> None:
    fcntl.ioctl(loop_control, ADD, NUMBER)
    assert room.run(str(BIN / "cdictl"), "generate", "loop", "--write").returncode == 0
    fcntl.ioctl(loop_control, REMOVE, NUMBER)
    checked = room.run(str(BIN / "cdictl"), "generate", "loop", "--check")
    assert checked.returncode == 1
    assert f"- device loop{NUMBER}\n" in checked.stdout
    assert room.run(str(BIN / "cdictl"), "generate", "loop", "--write").returncode == 0
    assert room.run(str(BIN / "cdictl"), "generate", "loop", "--check").returncode == 0
