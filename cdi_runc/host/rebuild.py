"""RARE. Have a new snapshot made where the kept one is old, once for all containers that wait for it, and keep it.

Knows nothing of what is in a snapshot.
"""

import posix

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
    try:
        lock = _lock(directory)
    except Damaged as reason:
        warn(str(reason))
        return _in_memory(_build(command))
    try:
        # Whoever held the lock before us has most likely made the one that we want; if he died, the lock is free.
        kept = None if anew else _fresh(directory, name, warn)
        if kept:
            return kept
        data = _build(command)
        _keep(directory, name, data, warn)
        return _in_memory(data)
    finally:
        posix.close(lock)


def store(path: str, data: bytes) -> None:
    """Write a snapshot to the file `path`, all at once; OSError where that can't be done."""
    temporary = f"{path}.{posix.getpid()}"
    descriptor = posix.open(temporary, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o600)
    try:
        while data:
            data = data[posix.write(descriptor, data) :]
        posix.rename(temporary, path)
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
        raise Damaged("XDG_RUNTIME_DIR is not set, so that no snapshot is kept and every container is slow")
    try:
        try:
            posix.mkdir(directory, 0o700)
        except FileExistsError:
            if not snapshot.is_ours(posix.lstat(directory)):
                raise Damaged(f"{directory} is not used: it should be yours, with mode 0700") from None
        flags = posix.O_RDWR | posix.O_CREAT | posix.O_NOFOLLOW | posix.O_CLOEXEC
        descriptor = posix.open(f"{directory}/lock", flags, 0o600)
        posix.lockf(descriptor, posix.F_LOCK, 0)
    except OSError as error:
        raise Damaged(f"{directory}: no snapshot is kept, every container is slow: {error.strerror}") from None
    return descriptor


def _fresh(directory: str, name: str, warn: "Warn") -> "Snapshot | None":
    try:
        kept = snapshot.load(directory, name)
    except Damaged as reason:
        warn(f"{directory}/{name}: not used and made anew: {reason}")
        return None
    return kept if kept and kept.is_fresh() else None


def _build(command: list[str]) -> bytes:
    """What the builder prints: a snapshot, or where it fails the reason, in one line."""
    try:
        status, data = output_of(command, {})
    except OSError as error:
        raise SettingsError(f"{command[0]}: can't be executed: {error.strerror}; install cdi-runc again") from None
    if status != 0:
        reason = data.decode("utf-8", "replace").strip() or f"status {status} of {' '.join(command)}"
        raise SettingsError(f"the spec files can't be read: {reason}")
    return data


def _keep(directory: str, name: str, data: bytes, warn: "Warn") -> None:
    try:
        store(f"{directory}/{name}", data)
        # Those of configs that are gone, as they soon are after tests and trials, would only pile up.
        for other in posix.listdir(directory):
            config = places.config_of(other)
            if config and snapshot.stamp(config) is None:
                posix.unlink(f"{directory}/{other}")
    except OSError as error:
        warn(f"{directory}/{name}: not kept, so that every container is slow: {error.strerror}")


def _in_memory(data: bytes) -> Snapshot:
    return Snapshot(lambda start, size: data[start : start + size])
