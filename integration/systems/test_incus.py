"""Incus containers that get the board: by what `cdictl render` prints, and by hooks."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.engines.host import Host
from integration.systems.board import BOARD, PROBE, WITH, Board, report
from integration.systems.conftest import Cdictl, make_root, need

STORAGE = Path("/var/lib/incus/storage-pools/default/containers")


class Incus:
    """Incus in a machine to spoil, with a container c. `privileged`: its root is the host's."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def must(self, *args: str, stdin: str = "") -> str:
        """What a command of Incus's said, that has to succeed."""
        done = self.host.run("incus", *args, stdin=stdin)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def make(self, privileged: bool, config: str = "") -> None:
        """Make the container, whose init is the probe."""
        self.host.run("incus", "delete", "--force", "c")
        self.must("create", "--empty", "c", f"--config=security.privileged={str(privileged).lower()}", stdin=config)
        home = self.host.path(f"{STORAGE}/c")
        make_root(home / "rootfs")
        (home / "metadata.yaml").write_text("architecture: x86_64\ncreation_date: 1\n")
        script = f"#!/bin/sh\nexport PATH=/bin\nexec > /said 2>&1\n{PROBE}\necho done > /done\nexec sleep 60\n"
        self.host.write(f"{STORAGE}/c/rootfs/sbin/init", script)

    def said(self) -> dict[str, str]:
        """What the probe said, once it is done."""
        root = self.host.path(f"{STORAGE}/c/rootfs")
        deadline = time.monotonic() + 10
        while not (root / "done").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return report((root / "said").read_text())


@pytest.fixture(scope="module")
def incus(host: Host) -> Iterator[Incus]:
    need(host, "incus")
    log = host.shared / "incusd.log"
    daemon = host.start("/usr/libexec/incus/incusd", "--group", "root", log=log)
    host.wait_for("incus", "admin", "waitready", "--timeout", "1", daemon=daemon, log=log, seconds=60)
    incus = Incus(host)
    incus.must("storage", "create", "default", "dir")
    incus.must("profile", "device", "add", "default", "root", "disk", "path=/", "pool=default")
    yield incus
    host.run("incus", "delete", "--force", "c")
    host.run("incus", "admin", "shutdown", "--timeout", "5")
    daemon.kill()
    daemon.wait(30)


@pytest.fixture
def enabled(incus: Incus, cdictl: Cdictl, board: Board) -> Iterator[Incus]:
    """With the hooks."""
    cdictl("engine", "enable", "incus")
    board.forget()
    yield incus
    incus.host.run("incus", "delete", "--force", "c")
    cdictl("engine", "disable", "incus")


@pytest.mark.parametrize("privileged", [True, False], ids=["privileged", "mapped"])
def test_rendered(incus: Incus, cdictl: Cdictl, board: Board, privileged: bool) -> None:
    incus.make(privileged, cdictl("render", "incus", BOARD).stdout)
    incus.must("start", "c")
    said = incus.said()
    assert {**said, "groups": "44"} == {**WITH, "options": "ro", "owner": "640 44"}


@pytest.mark.parametrize("privileged", [True, False], ids=["privileged", "mapped"])
def test_hooks(enabled: Incus, board: Board, privileged: bool) -> None:
    enabled.make(privileged)
    enabled.must("config", "set", "c", f"environment.CDI_DEVICES={BOARD}")
    enabled.must("start", "c")
    said = enabled.said()
    wanted = {key: WITH[key] for key in ("node", "opens", "mount", "options")}
    assert {key: said[key] for key in wanted} == wanted
    enabled.must("stop", "--force", "c")
    assert sorted(board.states()) == ["createContainer", "createRuntime", "poststart", "poststop", "prestart"]
    assert enabled.host.run("find", "/run/cdi-runc-lxc", "-type", "f").stdout == ""


def test_a_restricted_project(enabled: Incus, board: Board) -> None:
    """It forbids raw.lxc and devices of the host; variables it allows."""
    enabled.must("project", "create", "tight", "-c", "restricted=true")
    try:
        enabled.must("profile", "device", "add", "default", "root", "disk", "path=/", "pool=default", "--project=tight")
        enabled.must("create", "--empty", "c2", "--project=tight", f"--config=environment.CDI_DEVICES={BOARD}")
        home = enabled.host.path(f"{STORAGE}/tight_c2")
        make_root(home / "rootfs")
        (home / "metadata.yaml").write_text("architecture: x86_64\ncreation_date: 1\n")
        enabled.host.write(f"{STORAGE}/tight_c2/rootfs/sbin/init", "#!/bin/sh\nexec sleep 60\n")
        enabled.must("start", "c2", "--project=tight")
        state = enabled.must("query", "/1.0/instances/c2/state?project=tight")
        pid = state.partition('"pid": ')[2].partition(",")[0]
        assert enabled.host.run("stat", "-c", "%t:%T", f"/proc/{pid}/root/dev/board").stdout == "1:5\n"
    finally:
        enabled.host.run("incus", "delete", "--force", "c2", "--project=tight")
        enabled.host.run("incus", "project", "delete", "tight")


def test_the_reason_can_be_found(enabled: Incus, cdictl: Cdictl) -> None:
    enabled.make(False)
    enabled.must("config", "set", "c", "environment.CDI_DEVICES=example.com/board=none")
    assert enabled.host.run("incus", "start", "c").returncode == 1
    assert "example.com/board=none" in cdictl("explain", "container", "c", expect=1).stdout.splitlines()[0]


def test_files_are_as_before(incus: Incus, cdictl: Cdictl) -> None:
    def files() -> str:
        return incus.host.run("sh", "-c", "find /usr/share/lxc /etc/incus -type f -exec md5sum {} + | sort").stdout

    before = files()
    cdictl("engine", "enable", "incus")
    assert "ok      device in the container" in cdictl("engine", "test", "incus").stdout
    assert "incus: cdi-runc is" in cdictl("engine", "status", "incus").stdout
    cdictl("engine", "disable", "incus")
    assert files() == before
    assert incus.must("image", "list", "--format=csv") == ""
