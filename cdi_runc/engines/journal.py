"""Change several files together: all of them are changed and the change is confirmed, or all stay as they were.

Before the first file is touched, what each file holds and what it will hold is written to `pending.json`. A process
that dies in the middle leaves that file behind, and the next call rolls back by it. Knows no engine and no syntax.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from cdi_runc.cdi._files import read_file, remove_temporary, replace_file, temporary_name
from cdi_runc.engines.engine import EngineError, is_root

_PENDING = "pending.json"
_LIMIT = 16 << 20  # bytes; an engine's file has some kB


class NotRestored(EngineError):
    """A change failed, and a file could not be put back; pending.json still has its text of before."""


@dataclass(frozen=True)
class Change:
    """One file's text before and after (None: no file), and what `stat` says of it, or is to say of a new one."""

    path: str
    before: str | None
    after: str | None
    mode: int = 0o644
    owner: tuple[int, int] | None = None  # uid, gid; None: the user who runs us
    made: tuple[str, ...] = ()  # the folders that had to be made for it, outermost first


def state_directory() -> str:
    """Where the journal is kept: /var/lib for root, the user's own state folder otherwise."""
    if is_root():
        return "/var/lib/cdi-runc"
    return os.path.join(os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state"), "cdi-runc")


@contextmanager
def locked(directory: str) -> Iterator[list[str]]:
    """Keep other calls out of the journal in `directory`; yields what was said while recovering a change cut short."""
    path = os.path.join(directory, "lock")
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as fault:
        raise _unwritable(path, fault) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield recover(directory)
    finally:
        os.close(lock)


def recover_pending(directory: str) -> list[str]:
    """Recover from a change cut short, and write nothing at all where there was none. Says what it did, a line each."""
    left = (pending_path(directory), os.path.join(directory, temporary_name(_PENDING)))
    if not any(map(os.path.lexists, left)):
        return []
    with locked(directory) as said:
        return said


def pending_path(directory: str) -> str:
    """The file with the changes that are not finished."""
    return os.path.join(directory, _PENDING)


def recover(directory: str) -> list[str]:
    """Roll back a change that was cut short, if there is one; says what it did, a line a file.

    A file that can't be put back stays in pending.json, and the rest of the work goes on.
    """
    pending = pending_path(directory)
    _remove_temporary(pending)
    changes, said = _unfinished(pending)
    rolled_back, left = roll_back(changes)
    if left != changes or not changes:
        _keep_unfinished(pending, left)
    return [*said, *rolled_back, *(_left_words(change, pending) for change in left)]


def commit(directory: str, changes: Sequence[Change], confirm: Callable[[], None]) -> None:
    """Make the changes, then call `confirm`; if anything raises, everything is put back and it is raised again.

    Raises NotRestored if a file can't be put back.
    """
    pending = pending_path(directory)
    earlier, _ = _unfinished(pending)
    _keep_unfinished(pending, [*earlier, *changes])
    try:
        for change in changes:
            make(change)
        confirm()
    except BaseException as fault:
        _, left = roll_back(changes)
        _keep_unfinished(pending, [*earlier, *left])
        if left:
            raise NotRestored("; ".join([str(fault), *(_left_words(change, pending) for change in left)])) from None
        raise
    _keep_unfinished(pending, earlier)


def roll_back(changes: Sequence[Change]) -> tuple[list[str], list[Change]]:
    """Put back what each file held; says what it did, a line a file, and gives the changes that can't be undone.

    A file that somebody else has changed in between is left alone, and named.
    """
    said: list[str] = []
    left: list[Change] = []
    for change in reversed(changes):
        try:
            said += _rolled_back(change)
        except EngineError:
            left.insert(0, change)
    return said, left


def _rolled_back(change: Change) -> list[str]:
    said = []
    _remove_temporary(change.path)
    now = read(change.path)
    if now == change.after and now != change.before:
        make(Change(change.path, now, change.before, change.mode, change.owner))
        said.append(f"{change.path}: put back as it was, since the last change of it was interrupted")
    elif now != change.before:
        said.append(f"{change.path}: changed by someone else since, left as it is")
    if change.before is None and now in (None, change.after):
        _remove_folders(change.made)
    return said


def _left_words(change: Change, pending: str) -> str:
    return (
        f"{change.path} can't be put back as it was; its text of before is in {pending}, and the next call tries again"
    )


def _unfinished(pending: str) -> tuple[list[Change], list[str]]:
    """The changes that are not finished, and the messages. A damaged file gets another name, so it is kept."""
    text = read(pending)
    if text is None:
        return [], []
    try:
        return [_change(entry) for entry in json.loads(text)], []
    except (ValueError, TypeError, KeyError, RecursionError):
        kept = f"{pending}.damaged"
    try:
        os.replace(pending, kept)
    except OSError as fault:
        raise _unwritable(kept, fault) from None
    words = "a change of the engines' files was interrupted, and the record of it is damaged"
    return [], [f"{kept}: {words}: compare these files with your backup (cdictl engine list names them)"]


def _change(entry: dict[str, Any]) -> Change:
    """A change as it was written, perhaps by another version with more fields."""
    texts = entry["before"], entry["after"]
    if not isinstance(entry["path"], str) or not all(text is None or isinstance(text, str) for text in texts):
        raise TypeError(entry)
    owner = entry.get("owner")
    made = tuple(str(folder) for folder in entry.get("made", ()))
    return Change(entry["path"], *texts, int(entry["mode"]), (int(owner[0]), int(owner[1])) if owner else None, made)


def _keep_unfinished(pending: str, changes: Sequence[Change]) -> None:
    """Write the unfinished changes down; without any there is no such file."""
    text = json.dumps([asdict(change) for change in changes]) if changes else None
    make(Change(pending, None, text, mode=0o600))


def read(path: str) -> str | None:
    """A file's text, exact for any bytes (PEP 383), or None where there is none."""
    try:
        return read_file(path, _LIMIT).decode("utf-8", "surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as fault:
        raise EngineError(f"can't read {path}: {fault.strerror}") from None


def change_of(path: str, after: str | None, mode: int = 0o644) -> Change:
    """The change that gives `path` the text `after`, with its present text. Raises if we may not touch it."""
    before = read(path)
    if before is None:
        return Change(path, None, after, mode, made=_missing_folders(os.path.dirname(path)))
    about = os.stat(path)
    return Change(path, before, after, stat.S_IMODE(about.st_mode), (about.st_uid, about.st_gid))


def link_target(path: str) -> str:
    """The file that `path` leads to, links followed; raises where a link leads to what isn't the engine's."""
    path = os.path.abspath(path)
    if not os.path.islink(path):
        if os.path.exists(path) and not os.path.isfile(path):
            raise EngineError(f"{path} is not a regular file")
        return path
    target = os.path.realpath(path)
    if not os.path.isfile(target):
        raise EngineError(f"{path} is a link to {target}, which is not a file")
    owners = {os.lstat(path).st_uid, os.stat(target).st_uid}
    if not owners <= {0, os.geteuid()}:
        raise EngineError(f"{path} is a link to {target}, which belongs to another user: name the file with --config")
    return target


def make(change: Change) -> None:
    """Write or remove the file as the change says, whole or not at all; raises EngineError with the file's name."""
    try:
        if change.after is None:
            if os.path.lexists(change.path):
                os.unlink(change.path)
            _remove_folders(change.made)
        else:
            os.makedirs(os.path.dirname(change.path), mode=0o755, exist_ok=True)
            text = change.after.encode("utf-8", "surrogateescape")
            replace_file(change.path, text, mode=change.mode, owner=change.owner)
    except OSError as fault:
        raise _unwritable(change.path, fault) from None


def _remove_temporary(path: str) -> None:
    """Remove the files of a killed process. A folder that we may not write has no files of ours."""
    try:
        remove_temporary(path)
    except OSError as fault:
        raise _unwritable(path, fault) from None


def _missing_folders(folder: str) -> tuple[str, ...]:
    missing: list[str] = []
    while folder and not os.path.isdir(folder):
        missing.insert(0, folder)
        folder = os.path.dirname(folder)
    return tuple(missing)


def _remove_folders(folders: Sequence[str]) -> None:
    for folder in reversed(folders):
        try:
            os.rmdir(folder)
        except OSError:
            return  # somebody else uses it by now


def _unwritable(path: str, fault: OSError) -> EngineError:
    hint = ""
    if fault.errno in (errno.EACCES, errno.EPERM) and not is_root():
        hint = "; run this as root"
    elif fault.errno == errno.EROFS:
        hint = "; set it where this system makes its configuration from (--dry-run shows the change)"
    return EngineError(f"can't write {path}: {fault.strerror}{hint}")
