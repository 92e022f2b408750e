"""When a file counts as read whole, and when a later change of it would be seen."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cdi_runc.cdi.errors import CDIError
from cdi_runc.host import reading
from cdi_runc.host.reading import SECOND_NS, TICK_NS, Reading
from cdi_runc.host.snapshot import NEVER, stamp

if TYPE_CHECKING:
    from cdi_runc.host.snapshot import Stamp

NOW = 1_700_000_000_123_456_789
WHOLE = NOW // SECOND_NS * SECOND_NS


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: NOW)


def stamped(ctime: int, inode: int = 1) -> Stamp:
    return 1, inode, 0o100644, 5, ctime, ctime


@pytest.mark.parametrize(
    ("found", "settled"),
    [
        (stamped(NOW - 5), NOW - 5 + TICK_NS),
        (stamped(NOW), NOW + TICK_NS),
        (stamped(NOW + 1), 0),  # of a clock that was set back
        (stamped(WHOLE), WHOLE + SECOND_NS),  # of a file system that knows seconds only
        (None, 0),
        (NEVER, 0),
    ],
)
def test_from_when_on_a_change_has_another_stamp(found: Stamp, settled: int) -> None:
    assert reading._settled(found) == settled


def files(*stamps: Stamp, sure: bool = False) -> Reading:
    return Reading("/c", files={str(number): reading._File(each, b"", sure) for number, each in enumerate(stamps)})


@pytest.mark.parametrize(
    ("looked_at", "seconds"),
    [
        (files(), reading.PAUSE_S),
        (files(stamped(NOW - TICK_NS + 7_000_000)), 0.007),
        (files(stamped(NOW - TICK_NS + 7_000_000), stamped(NOW - TICK_NS + 9_000_000)), 0.009),
        (files(stamped(NOW - TICK_NS + 7_000_000), sure=True), reading.PAUSE_S),
        (files(stamped(NOW - SECOND_NS)), reading.PAUSE_S),
        (files(stamped(WHOLE)), 0.02),
    ],
)
def test_how_long_to_wait_for_that(looked_at: Reading, seconds: float) -> None:
    assert reading._pause(looked_at) == pytest.approx(seconds, abs=1e-5)


@pytest.mark.parametrize(
    ("one", "other", "follows"),
    [
        ((stamped(1), b"a"), (stamped(1), b"a"), True),
        ((stamped(1), b"a"), (stamped(1), b"b"), False),
        ((stamped(1), OSError(1, "x")), (stamped(1), OSError(1, "x")), True),
        ((stamped(1), OSError(1, "x")), (stamped(1), OSError(1, "y")), False),
        ((stamped(2, inode=2), b"a"), (stamped(1), b"b"), True),
        ((stamped(2), b"a"), (stamped(1), b"a"), False),
        ((stamped(2), b"a"), (None, b"a"), False),
        ((None, b"a"), (stamped(2), b"a"), False),
    ],
)
def test_a_file_that_is_whole(one: tuple[Stamp, bytes], other: tuple[Stamp, bytes], follows: bool) -> None:
    assert reading._follows(reading._File(*one, False), reading._File(*other, False)) is follows


@pytest.mark.parametrize(
    ("age", "sure", "young"),
    [
        (0, True, True),
        (reading.YOUNG_NS - 1, True, True),
        (reading.YOUNG_NS, True, False),
        (reading.YOUNG_NS, False, True),
        (-1, True, False),
    ],
)
def test_a_file_that_may_be_written_still(age: int, sure: bool, young: bool) -> None:
    assert files(stamped(NOW - age), sure=sure).is_young("0") is young


def test_a_file_that_is_gone_is_not_young() -> None:
    assert files(None, sure=True).is_young("0") is False


def test_what_was_in_a_file_a_moment_ago_is_never_known_for_sure() -> None:
    found = files(stamped(NOW), sure=True)
    assert found.known("0") == stamped(NOW)
    found.take("0", b"old")
    assert (found.spec("0"), found.known("0")) == (b"old", NEVER)


def test_a_file_that_could_not_be_read_says_so() -> None:
    found = files(stamped(NOW))
    found.files["0"].content = OSError(13, "Permission denied")
    with pytest.raises(OSError, match="Permission denied"):
        found.spec("0")


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A config of long ago that names a directory with two specs."""
    (tmp_path / "cdi").mkdir()
    for name in ("cdi/b.json", "cdi/a.yaml", "cdi/c.txt"):
        (tmp_path / name).write_text(name)
    (tmp_path / "config.yaml").write_text(f"spec-dirs: [{tmp_path}/cdi/, {tmp_path}//cdi, {tmp_path}/none]\n")
    return str(tmp_path / "config.yaml")


def test_all_that_is_there_is_read(config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: time.clock_gettime_ns(time.CLOCK_REALTIME) + 10 * SECOND_NS)
    found = reading.read(config)
    cdi, none = f"{tmp_path}/cdi", f"{tmp_path}/none"
    assert found.directories == [cdi, none]
    assert found.paths(cdi) == [f"{cdi}/a.yaml", f"{cdi}/b.json"]
    assert found.paths(none) == []
    assert found.spec(f"{cdi}/a.yaml") == b"cdi/a.yaml"
    assert found.policy == {"rules": [], "fault": ""}
    owner = (os.stat(cdi).st_mode, os.stat(cdi).st_uid, os.stat(cdi).st_gid)
    stamps = (stamp(f"{cdi}/a.yaml"), stamp(f"{cdi}/b.json"))
    assert list(found.folders()) == [
        (cdi, stamp(cdi), ("a.yaml", "b.json"), stamps, owner),
        (none, None, (), (), None),
    ]
    assert found.seen == {}


def test_a_directory_of_just_now_is_looked_at_each_time(config: str, tmp_path: Path) -> None:
    found = Reading(config)
    os.utime(tmp_path / "cdi")
    reading._list(found, f"{tmp_path}/cdi")  # the clock of these tests is before the directory's time
    assert found.names[f"{tmp_path}/cdi"] == ("a.yaml", "b.json")
    assert found.guards[f"{tmp_path}/cdi"] is not None


def test_what_is_no_directory_cannot_be_listed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = f"{tmp_path}/file"
    found = Reading("/c", names={path: None})
    with pytest.raises(CDIError) as raised:
        found.paths(path)
    assert str(raised.value) == f"{path}: the spec directory cannot be read: Not a directory"
    with pytest.raises(CDIError, match="cannot be read: it could not be listed"):
        Reading("/c", names={str(tmp_path): None}).paths(str(tmp_path))


def test_of_a_file_that_changes_the_last_texts_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: time.clock_gettime_ns(time.CLOCK_REALTIME))
    path = tmp_path / "a.json"
    found = Reading("/c")
    for number in (1, 1, *range(2, 12)):
        path.write_text(str(number))
        reading._look_at(found, str(path))
    assert found.seen[str(path)] == [str(number).encode() for number in range(4, 12)]
    assert not found.files[str(path)].is_sure


def test_a_file_that_is_sure_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_text("1")
    monkeypatch.setattr(time, "time_ns", lambda: time.clock_gettime_ns(time.CLOCK_REALTIME) + SECOND_NS)
    found = Reading("/c")
    reading._look_at(found, str(path))
    first = found.files[str(path)]
    reading._look_at(found, str(path))
    assert found.files[str(path)] is first
    assert (first.is_sure, first.is_rested) == (True, False)
    path.write_text("23")
    reading._look_at(found, str(path))
    assert found.spec(str(path)) == b"23"
