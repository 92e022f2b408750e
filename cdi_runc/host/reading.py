"""Read the settings and the spec files while others may write them: each file whole, and as it is now.

A file is good if its stamp did not change while it was read. Only files whose stamp changed are read again, so nobody
waits for a busy directory. Knows files, and nothing of what is in a spec.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cdi_runc.cdi.errors import CDIError
from cdi_runc.cdi.spec import read_file
from cdi_runc.host import policy as policy_file
from cdi_runc.host import settings as settings_file
from cdi_runc.host.snapshot import NEVER, guard, spec_names, stamp

if TYPE_CHECKING:
    from cdi_runc.host.policy import Policy
    from cdi_runc.host.settings import Settings
    from cdi_runc.host.snapshot import Folder, Guard, Stamp

# Files are stamped with the time of the kernel's last tick (10 ms at 100 Hz), so that a change within the tick of the
# one before has the same stamp; some file systems know whole seconds only.
TICK_NS = 20_000_000
SECOND_NS = 1_000_000_000

# How long to wait for a stamp that the next change can't have, beyond the time that one needs. A file that changes
# more often is taken as it is, and stamped NEVER.
PATIENCE_NS = 3 * TICK_NS
# How long to look for a moment at which such a file rests. Then it counts as it was found last.
LIMIT_NS = SECOND_NS
# After this time a writer is certainly done: some programs empty a file first, and write it a moment later.
YOUNG_NS = 5 * TICK_NS
PAUSE_S = 0.002
SEEN = 8


@dataclass
class _File:
    """What was read of a file (or why it could not be), with the stamp that it had before and after.

    is_sure: a later change has another stamp. is_rested: if not, it is whole all the same: it was the same at the look
    before, or another file took its place (programs that replace files write whole ones).
    """

    stamp: Stamp
    content: bytes | dict[str, Any] | Exception
    is_sure: bool
    is_rested: bool = False


@dataclass
class Reading:
    """The settings, the spec directories with the names of their files, and what is in the files."""

    config: str
    directories: list[str] = field(default_factory=list)
    names: dict[str, tuple[str, ...] | None] = field(default_factory=dict)
    stamps: dict[str, Stamp] = field(default_factory=dict)  # of the directories
    guards: dict[str, Guard] = field(default_factory=dict)  # of the directories
    files: dict[str, _File] = field(default_factory=dict)
    seen: dict[str, list[bytes]] = field(default_factory=dict)  # what was in a file that changes, the newest last

    @property
    def settings(self) -> Settings:
        """What the config says. Raises SettingsError."""
        return self._data(self.config)

    @property
    def policy_path(self) -> str:
        """The policy that goes with the config."""
        return policy_file.path_beside(self.config)

    @property
    def policy(self) -> Policy:
        """The administrator's policy."""
        return self._data(self.policy_path)

    def _data(self, path: str) -> dict[str, Any]:
        content = self.files[path].content
        if isinstance(content, Exception):
            raise content
        assert isinstance(content, dict)
        return content

    def spec(self, path: str) -> bytes:
        """What is in a spec file. Raises what reading it has raised."""
        content = self.files[path].content
        if isinstance(content, Exception):
            raise content
        assert isinstance(content, bytes)
        return content

    def paths(self, directory: str) -> list[str]:
        """The spec files in a directory, sorted. Raises CDIError where it can't be listed."""
        names = self.names[directory]
        if names is None:
            raise CDIError(f"{directory}: the spec directory cannot be read: {_why(directory)}")
        return [os.path.join(directory, name) for name in names]

    def folders(self) -> Iterator[Folder]:
        """The directories in the form of a snapshot."""
        for directory in self.directories:
            names = self.names[directory]
            stamps = tuple(self.known(os.path.join(directory, name)) for name in names or ())
            yield directory, self.stamps[directory], names, stamps, self.guards[directory]

    def is_young(self, path: str) -> bool:
        """Whether the file was changed so short a time ago that it may be written still."""
        found = self.files[path]
        return not found.is_sure or (found.stamp is not None and 0 <= time.time_ns() - found.stamp[-1] < YOUNG_NS)

    def take(self, path: str, content: bytes) -> None:
        """Let this, which was in the file a moment ago, be what is in it."""
        self.files[path] = _File(NEVER, content, is_sure=False)

    def known(self, path: str) -> Stamp:
        """The stamp that a file has as long as it holds what was read; NEVER where that can't be told."""
        found = self.files[path]
        return found.stamp if found.is_sure else NEVER


def read(config: str, seen: dict[str, list[bytes]] | None = None) -> Reading:
    """Read the config and the spec files in the directories that it names. Raises SettingsError.

    seen: of an earlier reading, which this one goes on with.

    What comes back was so after the call began: for each file, and for the names in each directory.
    """
    reading = Reading(config, seen={} if seen is None else seen)
    began = time.monotonic_ns()
    while not _is_done(reading, time.monotonic_ns() - began):
        time.sleep(_pause(reading))
    return reading


def _is_done(reading: Reading, waited: int) -> bool:
    """Look at everything once, read what is not known yet, and say whether that is enough."""
    is_over = waited > LIMIT_NS
    _look_at(reading, reading.config)
    if reading.config not in reading.files:
        if is_over:
            raise TimeoutError(f"{reading.config} changes all the time, so that it can't be read")
        return False
    reading.directories = list(dict.fromkeys(map(os.path.normpath, reading.settings["spec-dirs"])))
    wanted = [reading.config, reading.policy_path]
    for directory in reading.directories:
        _list(reading, directory)
        wanted += [os.path.join(directory, name) for name in reading.names[directory] or ()]
    for path in wanted[1:]:
        _look_at(reading, path)
        if is_over and path not in reading.files:
            reading.files[path] = _File(NEVER, OSError(0, "it changes all the time"), is_sure=False)
    if is_over:
        return True
    if any(path not in reading.files for path in wanted):
        return False
    unsure = [reading.files[path] for path in wanted if not reading.files[path].is_sure]
    if not unsure:
        return all(spec_names(directory) == reading.names[directory] for directory in reading.directories)
    settles = max(_settled(found.stamp) for found in unsure) - time.time_ns()
    patience = PATIENCE_NS + (SECOND_NS if settles > TICK_NS else 0)
    return waited > patience and all(found.is_rested for found in unsure)


def _look_at(reading: Reading, path: str) -> None:
    """Read a file unless it is known, and certain not to have changed since."""
    now, before = time.time_ns(), stamp(path)
    known = reading.files.get(path)
    if known and known.stamp == before and known.is_sure:
        return
    content = _content(path, reading)
    if stamp(path) != before:  # perhaps it was read in part; what is known of it is of the past
        if known:
            known.is_sure = known.is_rested = False
        return
    found = _File(before, content, _settled(before) <= now)
    found.is_rested = known is not None and _follows(found, known)
    reading.files[path] = found
    if not found.is_sure and isinstance(content, bytes):
        seen = reading.seen.get(path, [])
        if seen[-1:] != [content]:
            reading.seen[path] = [*seen[1 - SEEN :], content]


def _follows(found: _File, known: _File) -> bool:
    if found.stamp == known.stamp:
        return _same(found.content, known.content)
    return bool(found.stamp and known.stamp and found.stamp[1] != known.stamp[1])  # the inode


def _list(reading: Reading, directory: str) -> None:
    now, before = time.time_ns(), stamp(directory)
    reading.guards[directory] = guard(directory)
    reading.names[directory] = spec_names(directory)
    # The names are compared at each create if the stamp can't be relied on: that costs little.
    is_sure = stamp(directory) == before and _settled(before) <= now
    reading.stamps[directory] = before if is_sure else NEVER


def _content(path: str, reading: Reading) -> bytes | dict[str, Any] | Exception:
    try:
        if path == reading.config:
            return settings_file.read(path)
        return policy_file.read(path) if path == reading.policy_path else read_file(path)
    except (OSError, CDIError) as error:
        return error


def _same(one: object, other: object) -> bool:
    return one == other or (isinstance(one, Exception) and str(one) == str(other))


def _settled(found: Stamp) -> int:
    """The time from which on a change has another stamp than this one.

    A stamp from the future is of a clock that was set back; the next change has an earlier one.
    """
    if not found or found[-1] > time.time_ns():
        return 0
    return found[-1] + (SECOND_NS if found[-1] % SECOND_NS == 0 else TICK_NS)


def _pause(reading: Reading) -> float:
    """Seconds: until all is sure, if that is soon, else a moment."""
    until = [_settled(found.stamp) for found in reading.files.values() if not found.is_sure]
    wait = (max(until, default=0) - time.time_ns()) / 1e9
    return min(max(wait, PAUSE_S), TICK_NS / 1e9)


def _why(directory: str) -> str:
    try:
        os.listdir(directory)
    except OSError as error:
        return error.strerror or str(error)
    return "it could not be listed"
