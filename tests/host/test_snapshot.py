"""A snapshot is used only while it says what the spec files say, and is otherwise made anew, once."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from cdi_runc.cdi.registry import Registry
from cdi_runc.host import builder, snapshot
from cdi_runc.host.errors import SettingsError
from cdi_runc.host.rebuild import rebuilt, store
from cdi_runc.host.snapshot import Damaged, Snapshot
from tests.processes import ending

LIB = Path(__file__).parents[2]
BUILDER = LIB / "cdi_runc" / "host" / "builder.py"

SPEC = """cdiVersion: 0.6.0
kind: vendor.com/gpu
devices:
- name: "0"
  containerEdits: {env: [A=%s]}
containerEdits: {env: [SPEC=1]}
"""


@dataclass
class Host:
    """Spec directories, a config that names them, and a place to keep a snapshot in."""

    root: Path
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.specs, self.state, self.config = self.root / "cdi", self.root / "state", self.root / "config.yaml"
        self.specs.mkdir()
        self.config.write_text(f"spec-dirs: [{self.specs}, {self.root}/later]\n")
        (self.specs / "vendor.yaml").write_text(SPEC % "1")

    def load(self) -> Snapshot | None:
        return snapshot.load(str(self.state), "snapshot")

    def current(self, command: list[str] | None = None) -> Snapshot:
        command = command or [sys.executable, "-I", str(BUILDER), str(self.config)]
        return rebuilt(str(self.state), "snapshot", command, self.warnings.append)

    def env(self, name: str = "vendor.com/gpu=0") -> list[str] | None:
        found = self.current().find(name)
        return found and found[2]["env"]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_what_was_read_is_kept(host: Host) -> None:
    made = host.current()
    kept = host.load()
    assert kept is not None
    assert kept.is_fresh()
    assert list(kept.names) == list(made.names) == ["vendor.com/gpu=0"]
    path = str(host.specs / "vendor.yaml")
    assert kept.find("vendor.com/gpu=0") == (path, {"env": ["SPEC=1"]}, {"env": ["A=1"]})
    assert kept.find("vendor.com/gpu=1") is None
    assert kept.settings["spec-dirs"] == [str(host.specs), f"{host.root}/later"]
    assert host.warnings == []


def same_size_in_place(host: Host) -> None:
    (host.specs / "vendor.yaml").write_text(SPEC % "2")


def same_size_and_the_old_mtime(host: Host) -> None:
    path = host.specs / "vendor.yaml"
    before = path.stat()
    path.write_text(SPEC % "2")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced_by_rename(host: Host) -> None:
    new = host.root / "new"
    new.write_text(SPEC % "2")
    before = (host.specs / "vendor.yaml").stat()
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.replace(host.specs / "vendor.yaml")


def another_file_that_wins(host: Host) -> None:
    later = host.root / "later"
    later.mkdir()
    (later / "x.json").write_text(SPEC % "2")


def another_target_of_a_link(host: Host) -> None:
    (host.root / "a").write_text(SPEC % "2")
    link = host.specs / "vendor.yaml"
    link.unlink()
    link.symlink_to(host.root / "a")


def another_spec_directory(host: Host) -> None:
    other = host.root / "other"
    other.mkdir()
    (other / "x.json").write_text(SPEC % "2")
    host.config.write_text(f"spec-dirs: [{other}]\n")


CHANGES: list[Callable[[Host], None]] = [
    same_size_in_place,
    same_size_and_the_old_mtime,
    replaced_by_rename,
    another_file_that_wins,
    another_target_of_a_link,
    another_spec_directory,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_stale_device_is_never_injected(host: Host, change: Callable[[Host], None]) -> None:
    assert host.env() == ["A=1"]
    change(host)
    kept = host.load()
    assert kept is not None
    assert not kept.is_fresh()
    assert host.env() == ["A=2"]


def test_a_change_of_what_a_link_leads_to_is_seen(host: Host) -> None:
    target = host.root / "target"
    (host.specs / "vendor.yaml").rename(target)
    (host.specs / "vendor.yaml").symlink_to(target)
    assert host.env() == ["A=1"]
    target.write_text(SPEC % "2")
    assert host.env() == ["A=2"]


def test_a_device_goes_with_its_file(host: Host) -> None:
    assert host.env() == ["A=1"]
    (host.specs / "vendor.yaml").unlink()
    assert host.env() is None


def test_changes_within_one_tick_of_the_clock_are_seen(host: Host) -> None:
    for number in range(20):
        (host.specs / "vendor.yaml").write_text(SPEC % (number % 10))
        refreshed = builder.build(str(host.config))
        host.state.mkdir(exist_ok=True, mode=0o700)
        store(f"{host.state}/snapshot", refreshed)
        (host.specs / "vendor.yaml").write_text(SPEC % "x")
        kept = host.load()
        assert kept is not None
        assert not kept.is_fresh()


def test_a_file_that_changes_while_it_is_read_is_read_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    registry, changes = Registry, iter("23")

    def change_after(**arguments: object) -> object:
        read = registry(**arguments)  # type: ignore[arg-type]
        for value in changes:
            (host.specs / "vendor.yaml").write_text(SPEC % value)
            break
        return read

    monkeypatch.setattr(builder, "Registry", change_after)
    data = builder.build(str(host.config))
    found = Snapshot(lambda start, size: data[start : start + size]).find("vendor.com/gpu=0")
    assert found is not None
    assert found[2] == {"env": ["A=3"]}


def damage_each_byte(data: bytes) -> list[bytes]:
    return [data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :] for place in range(0, len(data), 7)]


def test_a_damaged_snapshot_is_never_believed(host: Host) -> None:
    expected = host.current().find("vendor.com/gpu=0")
    data = (host.state / "snapshot").read_bytes()
    for bad in [b"", data[:10], data[:-1], data + b"x", os.urandom(500), b"\0" * 500, *damage_each_byte(data)]:
        try:
            found = Snapshot(lambda start, size, bad=bad: bad[start : start + size]).find("vendor.com/gpu=0")  # type: ignore[misc]
        except Damaged:
            continue
        assert found == expected


def emptied(host: Host) -> None:
    (host.state / "snapshot").write_bytes(b"")


def overwritten(host: Host) -> None:
    (host.state / "snapshot").write_bytes(os.urandom(2000))


def of_another_version(host: Host) -> None:
    data = (host.state / "snapshot").read_bytes()
    (host.state / "snapshot").write_bytes(data.replace(b"cdi-runc 0", b"cdi-runc 9", 1))


def writable_by_others(host: Host) -> None:
    (host.state / "snapshot").chmod(0o666)


def a_link(host: Host) -> None:
    (host.state / "snapshot").rename(host.root / "elsewhere")
    (host.state / "snapshot").symlink_to(host.root / "elsewhere")


def a_fifo(host: Host) -> None:
    (host.state / "snapshot").unlink()
    os.mkfifo(host.state / "snapshot")


def of_another_user(host: Host) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(host.state / "snapshot", 1000, 1000)


SPOILT = [emptied, overwritten, of_another_version, writable_by_others, a_link, a_fifo, of_another_user]


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_a_snapshot_that_cannot_be_trusted_is_made_anew_with_one_warning(
    host: Host, spoil: Callable[[Host], None]
) -> None:
    host.current()
    spoil(host)
    with pytest.raises(Damaged):
        host.load()
    assert host.env() == ["A=1"]
    assert len(host.warnings) == 1
    assert "not used and made anew" in host.warnings[0]
    assert host.env() == ["A=1"]
    assert len(host.warnings) == 1


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770])
def test_nothing_is_kept_where_others_may_write(host: Host, mode: int) -> None:
    host.state.mkdir()
    host.state.chmod(mode)
    assert host.env() == ["A=1"]
    assert len(host.warnings) == 1
    assert list(host.state.iterdir()) == []


def test_without_a_place_to_keep_it_everything_still_works(host: Host) -> None:
    host.state.write_text("a file")
    assert host.env() == ["A=1"]
    assert len(host.warnings) == 1


def test_a_bad_spec_hides_no_other(host: Host) -> None:
    (host.specs / "bad.json").write_text("{")
    found = host.current()
    assert list(found.names) == ["vendor.com/gpu=0"]
    assert list(found.refused) == [str(host.specs / "bad.json")]


def test_of_many_that_wait_one_rebuilds(host: Host) -> None:
    counted = host.root / "count"
    script = host.root / "builder.py"
    script.write_text(
        "import os, sys, time\n"
        f"open({str(counted)!r}, 'a').write('x')\n"
        "time.sleep(0.3)\n"
        f"os.execv(sys.executable, [sys.executable, '-I', {str(BUILDER)!r}, {str(host.config)!r}])\n"
    )
    ask = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from cdi_runc.host.rebuild import rebuilt\n"
        "found = rebuilt(sys.argv[2], 'snapshot', [sys.executable, '-I', sys.argv[3]], print)\n"
        "print(found.find('vendor.com/gpu=0')[2])\n"
    )
    command = [sys.executable, "-I", "-S", "-c", ask, str(LIB), str(host.state), str(script)]
    with ExitStack() as all_of_them:
        started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(20)]
        children = [all_of_them.enter_context(ending(child)) for child in started]
        assert {child.communicate(timeout=60)[0] for child in children} == {"{'env': ['A=1']}\n"}
    assert counted.read_text() == "x"


def test_those_who_wait_go_on_when_the_builder_is_killed(host: Host) -> None:
    hang = host.root / "hang.py"
    hang.write_text("import time; time.sleep(600)\n")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from cdi_runc.host.rebuild import rebuilt\n"
        "rebuilt(sys.argv[2], 'snapshot', [sys.executable, '-I', sys.argv[3]], print)\n"
    )
    command = [sys.executable, "-I", "-c", code, str(LIB), str(host.state), str(hang)]
    with ending(subprocess.Popen(command)) as holder:
        while not (children := psutil.Process(holder.pid).children()):
            time.sleep(0.01)
    for child in children:
        child.kill()
    assert host.env() == ["A=1"]


def test_a_builder_that_fails_says_why(host: Host) -> None:
    with pytest.raises(SettingsError, match="the spec files can't be read: no luck"):
        host.current([sys.executable, "-c", "print('no luck'); raise SystemExit(1)"])
    with pytest.raises(SettingsError, match="can't be executed: No such file"):
        host.current(["/nowhere/python"])


def test_snapshots_of_configs_that_are_gone_are_removed(host: Host) -> None:
    host.current()
    (host.state / "snapshot%nowhere%config.yaml").touch()
    host.config.touch()
    host.current()
    assert sorted(path.name for path in host.state.iterdir()) == ["lock", "snapshot"]
