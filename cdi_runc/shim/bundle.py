"""HOT. The container's config.json: read as a whole, and replaced as a whole or left as it is.

The bundle's directory is opened once. All else uses its descriptor, so a link that somebody swaps meanwhile has no
effect. Knows files, and of their content only that it is one JSON object.
"""

import posix

from cdi_runc.shim.errors import ConfigError
from cdi_runc.shim.jsontext import Document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Real ones have 5 to 60 KiB; a Jetson's four hundred mounts make 100.
MAX_SIZE = 32 * 1024 * 1024
# A file that is too large to be edited can still be of a container that asks for nothing.
MAX_SEARCHED = 256 * 1024 * 1024

_S_IFMT, _S_IFREG = 0o170000, 0o100000
READ = posix.O_RDONLY | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC
_DIRECTORY = posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC
_CREATE = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC

_ACLS = "system.posix_acl_"
_PRIVILEGED = ("security.", "trusted.")  # the kernel lets only some processes write these names
_OF_CONTENT = ("security.ima", "security.evm")  # signatures of the old bytes


class Config:
    """A config.json that was read.

    path: as the caller named it. data: the JSON object, as a dict. directory: a descriptor (O_PATH) of the directory
    that the file is in. name: the file's name there. The descriptors are closed by `close`, or by the exec of the
    runtime.
    """

    __slots__ = ("_before", "_document", "_file", "_found", "data", "directory", "name", "path")

    def __init__(self, path: str) -> None:
        """Read the file at `path`; ConfigError where it is missing, unreadable, no regular file, too large, no JSON."""
        self.path, self.directory, self._file = path, -1, -1
        try:
            self.directory, self.name = _opened_directory(path)
            self._file = posix.open(self.name, READ | posix.O_NOFOLLOW, dir_fd=self.directory)
            self._found = posix.fstat(self._file)
            self._before = content(self._file, self._found)
            self._document = document(self._before)
            self.data = _object(self._document.value)
        except OSError as error:
            linked = self._is_link()
            self.close()
            reason = "is a symbolic link; cdi-runc edits only a file in the bundle itself" if linked else error.strerror
            raise ConfigError(f"{path}: {reason}") from None
        except ValueError as error:
            self.close()
            raise ConfigError(f"{path}: {error}") from None

    def text(self, data: "dict[str, object] | None" = None) -> str:
        """The data as they are now, or other data, as JSON: all ASCII, numbers with every digit they were read with."""
        self._document.value = self.data if data is None else data
        return self._document.text()

    def replace(self, kept: str = "") -> None:
        """Replace the file by one with the present data. It keeps mode, owner, ACLs and xattrs.

        By rename in one directory: a reader finds the old file or the new one, whole, even if we are killed.
        Another hard link to the old file keeps the old data. Raises ConfigError, and then the old file is still there.
        kept: the name of a copy beside it, for us alone.
        """
        data = self.text().encode("ascii")
        if kept:
            self.remove(kept)
            self._create(kept, data)
        self._put(data)

    def restore(self) -> "dict[str, object]":
        """Put back what was read, in the same way, and give its data."""
        self._put(self._before)
        return _object(document(self._before).value)

    def beside(self, name: str) -> "dict[str, object] | None":
        """The JSON object in another file of the directory; None where there is no such file, or it holds none."""
        try:
            descriptor = posix.open(name, READ | posix.O_NOFOLLOW, dir_fd=self.directory)
        except OSError:
            return None
        try:
            found = document(content(descriptor, posix.fstat(descriptor)))
            self._document.has_numbers |= found.has_numbers  # its data may be written too
            return _object(found.value)
        except (OSError, ValueError):
            return None
        finally:
            posix.close(descriptor)

    def link(self, name: str) -> None:
        """Give the file that was read another name in the directory, for when it is replaced."""
        self.remove(name)
        try:
            posix.link(self.name, name, src_dir_fd=self.directory, dst_dir_fd=self.directory, follow_symlinks=False)
        except OSError:
            self._create(name, self._before)  # a file system without links

    def keep(self, name: str, data: "dict[str, object]") -> None:
        """Write data to a file beside this one, for us alone."""
        self.remove(name)
        self._create(name, self.text(data).encode("ascii"))

    def remove(self, name: str) -> None:
        """Remove a file beside this one, if it is there."""
        try:
            posix.unlink(name, dir_fd=self.directory)
        except OSError:
            pass

    def close(self) -> None:
        """Close the descriptors; `text` still works after that, `replace` doesn't."""
        for descriptor in (self._file, self.directory):
            if descriptor >= 0:
                posix.close(descriptor)
        self._file = self.directory = -1

    def _create(self, name: str, data: bytes) -> None:
        try:
            descriptor = posix.open(name, _CREATE, 0o600, dir_fd=self.directory)
            try:
                while data:
                    data = data[posix.write(descriptor, data) :]
            finally:
                posix.close(descriptor)
        except OSError:
            self.remove(name)  # a container must start even if we can't keep this

    def _put(self, data: bytes) -> None:
        temporary = f"{self.name}.{posix.urandom(8).hex()}.cdi-runc"
        try:
            self._sweep()
            self._write(temporary, data)
        except OSError as error:
            raise ConfigError(f"{self.path}: can't be replaced: {error.strerror}") from None

    def _write(self, temporary: str, data: bytes) -> None:
        descriptor = posix.open(temporary, _CREATE, 0o600, dir_fd=self.directory)
        try:
            _lock(descriptor)
            while data:
                data = data[posix.write(descriptor, data) :]
            made = posix.fstat(descriptor)
            if (made.st_uid, made.st_gid) != (self._found.st_uid, self._found.st_gid):
                posix.fchown(descriptor, self._found.st_uid, self._found.st_gid)
            _copy_attributes(self._file, descriptor)
            posix.fchmod(descriptor, self._found.st_mode & 0o7777)
            posix.fsync(descriptor)  # on tmpfs, where most bundles are, it does nothing
            posix.rename(temporary, self.name, src_dir_fd=self.directory, dst_dir_fd=self.directory)
        except OSError:
            self.remove(temporary)
            raise
        finally:
            _close(descriptor)

    def _sweep(self) -> None:
        """Remove the temporary files of killed processes. A process that lives holds the lock of its own."""
        for name in _names(self.directory):
            if not (name.startswith(f"{self.name}.") and name.endswith(".cdi-runc")):
                continue
            middle = name[len(self.name) + 1 : -len(".cdi-runc")]
            if not middle or middle.strip("0123456789abcdef"):
                continue  # somebody else's file
            try:
                flags = posix.O_WRONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC
                descriptor = posix.open(name, flags, dir_fd=self.directory)
                try:
                    posix.lockf(descriptor, posix.F_TEST, 0)
                    posix.unlink(name, dir_fd=self.directory)
                finally:
                    posix.close(descriptor)
            except OSError:
                pass

    def _is_link(self) -> bool:
        try:
            posix.readlink(self.name, dir_fd=self.directory)
        except (OSError, AttributeError):  # or there is no directory to look in
            return False
        return True


def mentions(path: str, needles: "Sequence[bytes]") -> bool:
    """Whether any of the needles is in a file, of whatever form; False where it is no file that can be read.

    Unlike Config it follows links, as the runtime does. A file that is too large to be searched counts as one with a
    needle, since it may have one.
    """
    try:
        if posix.stat(path).st_mode & _S_IFMT != _S_IFREG:  # even opening some devices has effects
            return False
        descriptor = posix.open(path, READ)
    except OSError:
        return False
    try:
        found = posix.fstat(descriptor)
        if found.st_mode & _S_IFMT != _S_IFREG or found.st_size > MAX_SEARCHED:
            return found.st_mode & _S_IFMT == _S_IFREG
        return _holds(descriptor, found.st_size, needles)
    except OSError:
        return False
    finally:
        posix.close(descriptor)


def _holds(descriptor: int, size: int, needles: "Sequence[bytes]") -> bool:
    # No more than the size: files of /proc have none, and some wait, or lose what is read.
    before = b""
    while size > 0 and (chunk := posix.read(descriptor, min(size, 1 << 20))):
        if any(needle in before + chunk for needle in needles):
            return True
        before = chunk[-256:]
        size -= len(chunk)
    return False


def _opened_directory(path: str) -> tuple[int, str]:
    """A descriptor of the directory that a path's last part is in, and that part."""
    directory, slash, name = path.rpartition("/")
    return posix.open(directory or slash or ".", _DIRECTORY), name


def content(descriptor: int, found: posix.stat_result, limit: int = MAX_SIZE) -> bytes:
    """What a regular file holds, at most `limit` bytes; ValueError says what is wrong with it. Raises OSError too."""
    if found.st_mode & _S_IFMT != _S_IFREG:
        raise ValueError("not a regular file")
    if found.st_size > limit:
        raise ValueError(f"{found.st_size} bytes; the limit is {limit} bytes")
    data = b""
    while chunk := posix.read(descriptor, max(found.st_size, 4096) - len(data) + 1):
        data += chunk
        if len(data) > limit:
            raise ValueError(f"the limit is {limit} bytes")
    return data


def document(data: bytes) -> Document:
    """The JSON in these bytes; ValueError says what is wrong with them."""
    try:
        return Document(data.decode())
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None


def _object(value: object) -> "dict[str, object]":
    if isinstance(value, dict):
        return value
    kind = {list: "a list", str: "a text", bool: "a truth value", type(None): "null"}.get(type(value), "a number")
    raise ValueError(f"expected a JSON object, found {kind}")


def _names(directory: int) -> list[str]:
    """The names in a directory; none where we may not list them."""
    try:
        listed = posix.open(".", posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return []
    try:
        return posix.listdir(listed)
    finally:
        posix.close(listed)


def _close(descriptor: int) -> None:
    """Close it whatever the disk says of that: the data was synced, and the file may have its new name by now."""
    try:
        posix.close(descriptor)
    except OSError:
        pass


def _lock(descriptor: int) -> None:
    try:
        posix.lockf(descriptor, posix.F_TLOCK, 0)
    except OSError:
        pass  # a file system without locks, on which nothing is swept either


def _copy_attributes(source: int, target: int) -> None:
    """Make a file's extended attributes, of which its ACL is one, those of another."""
    try:
        names, inherited = posix.listxattr(source), posix.listxattr(target)
    except OSError:
        return  # a file system that has none
    for name in names:
        if name in _OF_CONTENT:
            continue
        try:
            posix.setxattr(target, name, posix.getxattr(source, name))
        except OSError:
            if not name.startswith(_PRIVILEGED):
                raise
    for name in inherited:
        if name.startswith(_ACLS) and name not in names:
            posix.removexattr(target, name)
