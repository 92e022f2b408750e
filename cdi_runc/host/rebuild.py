"""RARE. Make a new snapshot if the kept one is old, once for all containers that wait, and keep it.

Knows nothing of what is in a snapshot.
"""

import posix
import time

from cdi_runc.host import places, snapshot
from cdi_runc.host.errors import SettingsError
from cdi_runc.host.process import output_of
from cdi_runc.host.snapshot import Damaged, Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Warn = Callable[[str], None]


def builder(python: str, config: str) -> list[str]:
    """The command that prints a new snapshot for the settings in the file `config`; `python` has all dependencies."""
    return [python, "-I", __file__.rpartition("/")[0] + "/builder.py", config]


def rebuilt(directory: str, name: str, command: list[str], warn: "Warn", anew: bool = False) -> Snapshot:
    """A fresh snapshot, which from now on is kept as `name` in `directory` ('': nowhere).

    command: prints one (see `builder`). warn: is told, in one line, of a snapshot that couldn't be used
    or kept. anew: even if a fresh one is kept. Raises SettingsError where none can be made.
    """
    arrived = time.monotonic_ns()
    try:
        lock = _lock(directory)
    except Damaged as reason:
        warn(str(reason))
        return _in_memory(_build(command))
    try:
        # The process that held the lock before us has probably made what we need. If it died, the lock is free.
        kept = None if anew else _usable(directory, name, warn, arrived)
        if kept:
            return kept
        data = _build(command)
        made = _in_memory(data)
        _keep(directory, name, data, warn)
        return made
    finally:
        posix.close(lock)


def store(directory: str, name: str, data: bytes) -> None:
    """Write a snapshot, all at once; raises OSError. The caller holds the directory's lock.

    So if a temporary file is there, a process was killed that wrote it.
    """
    temporary = f"{directory}/new"
    try:
        posix.unlink(temporary)
    except FileNotFoundError:
        pass
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
    descriptor = posix.open(temporary, flags, 0o600)
    try:
        while data:
            data = data[posix.write(descriptor, data) :]
        posix.rename(temporary, f"{directory}/{name}")
    except OSError:
        posix.unlink(temporary)
        raise
    finally:
        posix.close(descriptor)


def _lock(directory: str) -> int:
    """Wait for our turn to rebuild. The kernel gives the lock to the next when this process ends, however it ends.

    Raises Damaged where nothing can be kept in the directory.
    """
    if not directory:
        raise Damaged(
            "XDG_RUNTIME_DIR is not set, so cdi-runc keeps no device snapshot and starts each container slowly"
        )
    try:
        try:
            posix.mkdir(directory, 0o700)
        except FileExistsError:
            if not snapshot.is_ours(posix.lstat(directory)):
                raise Damaged(f"{directory} is not used: it must be yours, with mode 0700") from None
        flags = posix.O_RDWR | posix.O_CREAT | posix.O_NOFOLLOW | posix.O_CLOEXEC
        descriptor = posix.open(f"{directory}/lock", flags, 0o600)
        posix.lockf(descriptor, posix.F_LOCK, 0)
    except OSError as error:
        raise Damaged(
            f"{directory}: {error.strerror}; cdi-runc keeps no device snapshot and starts each container slowly"
        ) from None
    return descriptor


def _usable(directory: str, name: str, warn: "Warn", arrived: int) -> "Snapshot | None":
    """The kept snapshot, if it says what the files say now, or said at some moment since we arrived.

    If the files change all the time, the processes that wait need not make one each. What was read after they arrived
    is as new as what they would read themselves.
    """
    try:
        kept = snapshot.load(directory, name)
    except Damaged as reason:
        warn(f"the device snapshot {directory}/{name} is being rebuilt: {reason}")
        return None
    if kept and (arrived <= kept.began <= time.monotonic_ns() or kept.is_fresh()):
        return kept
    return None


def _build(command: list[str]) -> bytes:
    """What the builder prints: a snapshot, or where it fails the reason, in one line."""
    try:
        status, data = output_of(command, {})
    except OSError as error:
        raise SettingsError(f"{command[0]}: can't be executed: {error.strerror}; install cdi-runc again") from None
    if status != 0:
        reason = data.decode("utf-8", "replace").strip() or f"status {status} of {' '.join(command)}"
        raise SettingsError(f"the spec files can't be read: {reason}")
    if not data.startswith(snapshot.MAGIC):
        # Its status may be lost (SIGCHLD ignored), or it may be another version's, in the middle of an upgrade.
        raise SettingsError(f"the spec files can't be read: {_said(data, command)}")
    return data


def _said(data: bytes, command: list[str]) -> str:
    text = " ".join(data[:200].decode("utf-8", "replace").split())
    if text and text.isprintable() and not text.startswith("cdi-runc "):
        return text
    return f"{' '.join(command)} printed no snapshot of this version; if that goes on, install cdi-runc again"


def _keep(directory: str, name: str, data: bytes, warn: "Warn") -> None:
    try:
        store(directory, name, data)
        for other in posix.listdir(directory):
            if other != name and _is_left_over(directory, other):
                posix.unlink(f"{directory}/{other}")
    except OSError as error:
        warn(
            f"{directory}/{name}: {error.strerror}; cdi-runc keeps no device snapshot and starts each container slowly"
        )


def _is_left_over(directory: str, name: str) -> bool:
    """Whether the snapshot's config is gone, for example after a test, or an older version left the file."""
    if name.startswith("snapshot.") and name[len("snapshot.") :].isdecimal():
        return True
    config = places.config_of(name)
    if name.startswith(places.HASHED):
        try:
            found = snapshot.load(directory, name)
        except Damaged:
            return True
        config = found.config if found else ""
    return config != "" and snapshot.stamp(config) is None


def _in_memory(data: bytes) -> Snapshot:
    try:
        return Snapshot(lambda start, size: data[start : start + size])
    except Damaged as reason:
        raise SettingsError(f"the spec files can't be read: the new device snapshot: {reason}") from None
