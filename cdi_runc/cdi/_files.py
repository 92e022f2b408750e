"""Read files that somebody else may have made, and replace files as a whole.

`read_file` never waits, never reads a device, and never reads without a limit. `replace_file` leaves the old file or
the new file, whatever happens. Both are for cold code: the hot path has its own, without imports.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

# The kernel lets only some processes write these names, so a copy may lack them: labels, and what trusted tools note.
_PRIVILEGED = ("security.", "trusted.")


class UnfitFile(OSError):
    """The path leads to no regular file, or to a file that is larger than allowed; `strerror` says which."""


def read_file(path: str | os.PathLike[str], limit: int, *, links: bool = True, folder: int | None = None) -> bytes:
    """What a regular file holds, at most `limit` bytes.

    `links`: may `path` itself be a symbolic link. `folder`: a descriptor of the directory that a relative `path` starts
    at. Raises UnfitFile for a file of another kind and for a larger file, and OSError.
    """
    flags = _READ if links else _READ | os.O_NOFOLLOW
    # stat comes first, since even opening some devices has effects. fstat is for the file that was swapped meanwhile.
    _require_regular(os.stat(path, dir_fd=folder, follow_symlinks=links), path)
    descriptor = os.open(path, flags, dir_fd=folder)
    try:
        _require_regular(os.fstat(descriptor), path)
        return _read_all(descriptor, limit, path)
    finally:
        os.close(descriptor)


def replace_file(
    path: str | os.PathLike[str],
    data: bytes,
    *,
    mode: int = 0o644,
    owner: tuple[int, int] | None = None,
    keep: bool = True,
    overwrite: bool = True,
) -> None:
    """Make `path` a file that holds `data`. At every moment the old file or the new file is there, as a whole.

    A regular file that is there hands on its mode, owner, ACLs and extended attributes, unless `keep` is false.
    Otherwise the file gets `mode` whatever the umask is, and `owner` (uid, gid). A link is replaced, not followed.
    The directory must exist. Raises FileExistsError if there is something and not `overwrite`, and OSError; the error
    names `path`. Nothing is left behind then; what a killed process leaves, the next call for `path` removes.
    """
    name = os.path.basename(path)
    try:
        folder = os.open(os.path.dirname(path) or ".", _FOLDER)
        try:
            old = _existing(name, folder)
            with _temporary(name, folder) as descriptor:
                if keep and old is not None and stat.S_ISREG(old.st_mode):
                    _own(descriptor, (old.st_uid, old.st_gid), stat.S_IMODE(old.st_mode))
                    _copy_attributes(name, folder, descriptor)
                else:
                    _own(descriptor, owner, mode)
                _write_all(descriptor, data)
                os.fsync(descriptor)
                _publish(name, folder, overwrite)
            _sync_folder(folder)
        finally:
            os.close(folder)
    except OSError as fault:
        raise OSError(fault.errno, fault.strerror, os.fspath(path)) from None


def temporary_name(name: str) -> str:
    """The file beside `name` that `replace_file` writes first.

    No tool takes it for a spec file or a drop-in: it is hidden, and its ending is nobody's.
    """
    return f".{name}.cdi-runc"


def remove_temporary(path: str) -> None:
    """Remove what a killed `replace_file` of `path` left. Nothing there is fine; raises OSError otherwise."""
    leftover = os.path.join(os.path.dirname(path), temporary_name(os.path.basename(path)))
    if os.path.lexists(leftover):  # on a read-only file system, unlink fails even for a file that is not there
        os.unlink(leftover)


def _require_regular(found: os.stat_result, path: str | os.PathLike[str]) -> None:
    if stat.S_ISREG(found.st_mode):
        return
    kind = "a pipe, socket or device"
    if stat.S_ISDIR(found.st_mode):
        kind = "a directory"
    elif stat.S_ISLNK(found.st_mode):
        kind = "a symbolic link"
    raise UnfitFile(errno.EINVAL, f"is {kind}, not a file", os.fspath(path))


def _read_all(descriptor: int, limit: int, path: str | os.PathLike[str]) -> bytes:
    data = bytearray()
    while chunk := os.read(descriptor, min(limit + 1 - len(data), 1 << 20)):
        data += chunk
        if len(data) > limit:
            size = f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit} bytes"
            raise UnfitFile(errno.EFBIG, f"is larger than {size}", os.fspath(path))
    return bytes(data)


def _existing(name: str, folder: int) -> os.stat_result | None:
    """What is at `name`, None for nothing. Raises OSError for what a file must not take the place of."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
        raise OSError(errno.EINVAL, "is a pipe, socket or device, not a file")
    return found


@contextmanager
def _temporary(name: str, folder: int) -> Iterator[int]:
    """A new file beside `name`, ours alone while we hold its lock. Removed again if it is still there afterwards.

    It has one name for each target, so that killed processes leave one file at most. Two writers take turns.
    """
    temporary = temporary_name(name)
    descriptor = _created(temporary, folder)
    try:
        yield descriptor
    finally:
        if _same(descriptor, temporary, folder):
            os.unlink(temporary, dir_fd=folder)
        os.close(descriptor)


def _created(temporary: str, folder: int) -> int:
    while True:
        try:
            descriptor = os.open(temporary, _CREATE, 0o600, dir_fd=folder)
        except FileExistsError:
            _remove_stale(temporary, folder)
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _same(descriptor, temporary, folder):
            return descriptor
        os.close(descriptor)  # another writer took it for a stale one before we had the lock


def _remove_stale(temporary: str, folder: int) -> None:
    """Remove what is at the temporary name, once no writer holds its lock any more."""
    try:
        descriptor = os.open(temporary, _READ | os.O_NOFOLLOW, dir_fd=folder)
    except FileNotFoundError:
        return
    except OSError:  # a link, or a file that we may not read: no writer of ours has made it
        os.unlink(temporary, dir_fd=folder)
        return
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():  # the lock of another user's file could be held for ever
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _same(descriptor, temporary, folder):
            os.unlink(temporary, dir_fd=folder)
    finally:
        os.close(descriptor)


def _same(descriptor: int, name: str, folder: int) -> bool:
    """Is the open file still the one at `name`?"""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(name, dir_fd=folder, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _own(descriptor: int, owner: tuple[int, int] | None, mode: int) -> None:
    """Owner first: a change of owner takes the set-uid bits away."""
    found = os.fstat(descriptor)
    if owner and owner != (found.st_uid, found.st_gid):
        os.fchown(descriptor, *owner)
    os.fchmod(descriptor, mode)


def _copy_attributes(name: str, folder: int, target: int) -> None:
    """ACLs are extended attributes too, by the names system.posix_acl_*."""
    try:
        source = os.open(name, _READ | os.O_NOFOLLOW, dir_fd=folder)
    except PermissionError:
        return  # who may not read the file can't know them
    try:
        for attribute in _attributes(source):
            try:
                os.setxattr(target, attribute, os.getxattr(source, attribute))
            except OSError:
                if not attribute.startswith(_PRIVILEGED):
                    raise
    finally:
        os.close(source)


def _attributes(descriptor: int) -> list[str]:
    try:
        return os.listxattr(descriptor)
    except OSError as fault:
        if fault.errno != errno.ENOTSUP:
            raise
        return []


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _publish(name: str, folder: int, overwrite: bool) -> None:
    temporary = temporary_name(name)
    if overwrite:
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    else:
        os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        os.unlink(temporary, dir_fd=folder)


def _sync_folder(folder: int) -> None:
    """Write the new name to the disk. Some file systems can't do this and answer EINVAL."""
    try:
        os.fsync(folder)
    except OSError as fault:
        if fault.errno != errno.EINVAL:
            raise
