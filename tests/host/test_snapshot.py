"""A snapshot is used only while it says what the spec files say, and is otherwise made anew, once."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from cdi_runc.cdi import spec
from cdi_runc.cdi.registry import spec_files
from cdi_runc.host import builder, places, reading, rebuild, snapshot
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


@pytest.mark.parametrize("name", [".x.yaml.tmp", "x.yaml.cdi-runc", "x.yml", "notes.txt", "x.yaml~"])
def test_what_is_no_spec_file_may_come_and_go(host: Host, name: str) -> None:
    host.current()
    kept = host.load()
    assert kept is not None
    (host.specs / name).write_text("x")
    assert kept.is_fresh()
    (host.specs / name).unlink()
    assert kept.is_fresh()
    (host.specs / "x.yaml").mkdir()  # which is no file
    assert kept.is_fresh()


def test_a_spec_directory_that_comes_empty_changes_nothing(host: Host) -> None:
    host.current()
    kept = host.load()
    assert kept is not None
    (host.root / "later").mkdir()
    assert kept.is_fresh()
    (host.root / "later" / "x.json").touch()
    assert not kept.is_fresh()


def test_the_names_of_spec_files_are_those_of_the_library(host: Host) -> None:
    for name in ("b.json", ".c.yaml", "d.yml", "e.txt", "a.yaml"):
        (host.specs / name).touch()
    (host.specs / "f.yaml").mkdir()
    (host.specs / "g.yaml").symlink_to("f.yaml")
    (host.specs / "h.yaml").symlink_to("nowhere")
    expected = [Path(path).name for path in spec_files(str(host.specs))]
    assert list(snapshot.spec_names(str(host.specs)) or ()) == expected
    assert snapshot.spec_names(f"{host.root}/nowhere") == ()
    assert snapshot.spec_names(str(host.config)) is None


@contextmanager
def changing(change: Callable[[int], float | None], every: float) -> Iterator[list[float]]:
    """Call `change` with 1, 2, 3 ... all the time; the list has what it returns, one after the other."""
    done, stop = list[float](), threading.Event()

    def run() -> None:
        while not stop.wait(every):
            done.append(change(len(done) + 1) or 0)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join(20)


def by_rename(host: Host, number: int) -> None:
    (host.specs / "new").write_text(SPEC % number)
    (host.specs / "new").rename(host.specs / "vendor.yaml")


def in_place(host: Host, number: int) -> None:
    descriptor = os.open(host.specs / "vendor.yaml", os.O_WRONLY)  # one write, so that no switch of threads is in it
    os.write(descriptor, (SPEC % number).encode())
    os.ftruncate(descriptor, len(SPEC % number))
    os.close(descriptor)


def emptied_first(host: Host, number: int) -> float:
    """Gives for how long it was empty, in seconds: a busy machine can make it long."""
    path = host.specs / "vendor.yaml"
    path.write_text("")
    began = time.monotonic()
    time.sleep(0.03)  # as a busy disk makes it
    path.write_text(SPEC % number)
    return time.monotonic() - began


def another_file(host: Host, number: int) -> None:
    path = host.specs / ("x.yaml" if number % 2 else "y.yaml")
    path.write_text((SPEC % number).replace("vendor.com", "other.com"))
    path.unlink()


@pytest.mark.parametrize(
    ("change", "every"), [(by_rename, 0.002), (in_place, 0.015), (emptied_first, 0.01), (another_file, 0.002)]
)
def test_files_that_change_all_the_time_are_read_whole_and_as_they_are(
    host: Host, change: Callable[[Host, int], float | None], every: float
) -> None:
    empty: list[slice] = []
    in_place(host, 0)
    with changing(lambda number: change(host, number), every) as done:
        for _ in range(4):
            before = len(done) if change is not another_file else 0
            data = builder.build(str(host.config))
            after = len(done) + 1 if change is not another_file else 0
            found = Snapshot(lambda start, size, data=data: data[start : start + size]).find("vendor.com/gpu=0")  # type: ignore[misc]
            if found is None:
                empty.append(slice(before, after))
                continue
            assert found[1] == {"env": ["SPEC=1"]}
            assert before <= int(found[2]["env"][0].removeprefix("A=")) <= after
    assert all(max(done[during]) > reading.YOUNG_NS / 1e9 for during in empty)
    host.state.mkdir(exist_ok=True, mode=0o700)
    store(str(host.state), "snapshot", data)
    in_place(host, 10**9)
    assert host.env() == ["A=1000000000"]


def test_changes_within_one_tick_of_the_clock_are_seen(host: Host) -> None:
    for number in range(20):
        (host.specs / "vendor.yaml").write_text(SPEC % (number % 10))
        refreshed = builder.build(str(host.config))
        host.state.mkdir(exist_ok=True, mode=0o700)
        store(str(host.state), "snapshot", refreshed)
        (host.specs / "vendor.yaml").write_text(SPEC % "x")
        kept = host.load()
        assert kept is not None
        assert not kept.is_fresh()


def test_a_file_that_changes_while_it_is_read_is_read_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    read, changes = spec.read_file, iter("23")

    def change_after(path: str) -> bytes:
        content = read(path)
        for value in changes:
            (host.specs / "vendor.yaml").write_text(SPEC % value)
            break
        return content

    monkeypatch.setattr(reading, "read_file", change_after)
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
    assert "is being rebuilt" in host.warnings[0]
    assert host.env() == ["A=1"]
    assert len(host.warnings) == 1


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770])
def test_nothing_is_kept_where_others_may_write(host: Host, mode: int) -> None:
    host.state.mkdir()
    host.state.chmod(mode)
    assert host.env() == ["A=1"]
    assert host.warnings == [f"{host.state} is not used: it must be yours, with mode 0700"]
    assert list(host.state.iterdir()) == []


def test_without_a_place_to_keep_it_everything_still_works(host: Host) -> None:
    slowly = "cdi-runc keeps no device snapshot and starts each container slowly"
    command = [sys.executable, "-I", str(BUILDER), str(host.config)]
    for directory, reason in (
        ("", f"XDG_RUNTIME_DIR is not set, so {slowly}"),
        (f"{host.root}/none/state", f"{host.root}/none/state: No such file or directory; {slowly}"),
    ):
        made = rebuilt(directory, "snapshot", command, host.warnings.append)
        assert list(made.names) == ["vendor.com/gpu=0"]
        assert host.warnings.pop() == reason
    host.state.write_text("a file")
    assert host.env() == ["A=1"]
    assert host.warnings == [f"{host.state} is not used: it must be yours, with mode 0700"]


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


def test_of_many_that_wait_few_rebuild_where_a_spec_changes_all_the_time(host: Host) -> None:
    counted = host.root / "count"
    script = host.root / "builder.py"
    script.write_text(
        "import subprocess, sys, time\n"
        f"open({str(counted)!r}, 'a').write('x')\n"
        f"command = [sys.executable, '-I', {str(BUILDER)!r}, {str(host.config)!r}]\n"
        "made = subprocess.run(command, stdout=-1, timeout=60)\n"
        f"open({str(host.specs / 'vendor.yaml')!r}, 'a').write('# changed\\n')\n"
        "sys.stdout.buffer.write(made.stdout)\n"
    )
    ask = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from cdi_runc.host.rebuild import rebuilt\n"
        "sys.stdin.read()\n"
        "found = rebuilt(sys.argv[2], 'snapshot', [sys.executable, '-I', sys.argv[3]], print)\n"
        "print(found.find('vendor.com/gpu=0')[2])\n"
    )
    command = [sys.executable, "-I", "-S", "-c", ask, str(LIB), str(host.state), str(script)]
    reader, writer = os.pipe()  # all start at once, when it is closed
    with ExitStack() as all_of_them:
        started = [subprocess.Popen(command, stdin=reader, stdout=subprocess.PIPE, text=True) for _ in range(12)]
        children = [all_of_them.enter_context(ending(child)) for child in started]
        os.close(reader)
        os.close(writer)
        assert {child.communicate(timeout=60)[0] for child in children} == {"{'env': ['A=1']}\n"}
    assert len(counted.read_text()) < 6


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


OF_THE_BUILDER = {
    "nothing": "",
    "of another version": "print('cdi-runc 0.0.1 snapshot')",
    "a reason whose status is lost": "print('no luck')",
    "no text": "sys.stdout.buffer.write(bytes(range(256)))",
    "the start of one": f"sys.stdout.buffer.write({snapshot.MAGIC + b'10 '!r})",
}


@pytest.mark.parametrize("code", OF_THE_BUILDER.values(), ids=OF_THE_BUILDER)
def test_a_builder_that_prints_no_snapshot_is_said_in_one_line(host: Host, code: str) -> None:
    with pytest.raises(SettingsError, match=r"^the spec files can't be read: ") as said:
        host.current([sys.executable, "-c", f"import sys; {code}"])
    assert str(said.value).isprintable()
    assert ("no luck" in str(said.value)) == ("no luck" in code)
    assert [path.name for path in host.state.iterdir()] == ["lock"]


def test_what_killed_processes_left_is_removed_and_in_nobody_s_way(host: Host) -> None:
    host.state.mkdir(mode=0o700)
    left = ["new", "snapshot.4711", f"snapshot.{os.getpid()}", f"{places.HASHED}0"]
    for name in left:
        (host.state / name).write_text("half")
    host.current()
    assert host.warnings == []
    assert sorted(path.name for path in host.state.iterdir()) == ["lock", "snapshot"]


def test_a_config_of_a_long_path_has_a_snapshot_as_well(host: Host) -> None:
    folder = host.root / ("a" * 200) / ("b" * 200)
    folder.mkdir(parents=True)
    config = host.config.rename(folder / "config.yaml")
    name = places.snapshot_name(str(config))
    command = [sys.executable, "-I", str(BUILDER), str(config)]
    rebuilt(str(host.state), name, command, host.warnings.append)
    kept = snapshot.load(str(host.state), name)
    assert kept is not None
    assert kept.is_fresh()
    assert host.warnings == []
    config.rename(host.config)
    host.current()
    assert sorted(path.name for path in host.state.iterdir()) == ["lock", "snapshot"]


@pytest.mark.parametrize("path", ["/a/config.yaml", "/a%b/c", "/" + "x" * 245, "/" + "%" * 200, "/\udcff" * 150])
def test_each_config_has_a_name_that_fits(path: str) -> None:
    name = places.snapshot_name(path)
    assert len(os.fsencode(name)) <= 255
    assert places.config_of(name) in (path, "")
    assert (places.config_of(name) == "") == name.startswith(places.HASHED)
    assert places.snapshot_name(path + "x") != name


def test_of_many_devices_little_is_read(host: Host) -> None:
    for vendor in range(100):
        devices = "".join(f"- {{name: d{number}, containerEdits: {{env: [A=1]}}}}\n" for number in range(8))
        (host.specs / f"{vendor}.yaml").write_text(f"cdiVersion: 0.6.0\nkind: v{vendor}.com/gpu\ndevices:\n{devices}")
    data = builder.build(str(host.config))
    sizes: list[int] = []

    def read(start: int, size: int) -> bytes:
        sizes.append(len(data[start : start + size]))
        return data[start : start + size]

    found = Snapshot(read)
    assert found.is_fresh()
    assert found.find("v99.com/gpu=d7") == (str(host.specs / "99.yaml"), {}, {"env": ["A=1"]})
    assert found.find("v99.com/gpu=d8") is None
    assert sum(sizes) < 20_000
    assert len(data) > 50_000
    names = set(found.names)
    assert len(names) == 801
    assert all(found.find(name) for name in names)


def test_snapshots_of_configs_that_are_gone_are_removed(host: Host) -> None:
    host.current()
    (host.state / "snapshot%nowhere%config.yaml").touch()
    host.config.touch()
    host.current()
    assert sorted(path.name for path in host.state.iterdir()) == ["lock", "snapshot"]


def test_the_builder_is_beside_and_needs_no_path_of_the_caller_s() -> None:
    assert rebuild.builder("/py", "/c.yaml") == ["/py", "-I", str(BUILDER), "/c.yaml"]


def test_a_snapshot_that_cannot_be_kept_is_used_all_the_same(host: Host) -> None:
    (host.state / "snapshot").mkdir(parents=True)
    host.state.chmod(0o700)
    assert host.env() == ["A=1"]
    *_, warning = host.warnings
    assert warning == (
        f"{host.state}/snapshot: Is a directory; cdi-runc keeps no device snapshot and starts each container slowly"
    )
    assert sorted(path.name for path in host.state.iterdir()) == ["lock", "snapshot"]


@pytest.mark.parametrize("size", [0, 1, 5_000, 20_000, 70_000])
def test_settings_of_any_size_come_back(host: Host, size: int) -> None:
    config = {"spec-dirs": [str(host.specs)], "runtimes": {f"r{number}": "/x" * 40 for number in range(size // 80)}}
    host.config.write_text(json.dumps(config))
    assert host.env() == ["A=1"]
    assert len(host.current().settings["runtimes"]) == size // 80
    assert host.warnings == []


SAID = {
    "print('a reason\\n in two lines'); raise SystemExit(1)": "a reason\n in two lines",
    "raise SystemExit(3)": "status 3 of ",
    "print('words'); print('more')": "words more",
    "print('x' * 300)": "x" * 200,
    "print('cdi-runc 0.0.1 snapshot')": "printed no snapshot of this version; if that goes on, install cdi-runc again",
    "pass": "printed no snapshot of this version; if that goes on, install cdi-runc again",
}


@pytest.mark.parametrize(("code", "said"), SAID.items())
def test_what_a_builder_said_is_told(host: Host, code: str, said: str) -> None:
    command = [sys.executable, "-c", code]
    with pytest.raises(SettingsError) as raised:
        host.current(command)
    reason = str(raised.value).removeprefix("the spec files can't be read: ")
    whole = f"{' '.join(command)} {said}" if said.startswith("printed") else said
    assert reason == (f"{said}{' '.join(command)}" if said.endswith(" of ") else whole)
