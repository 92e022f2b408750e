"""HOT. The container's config.json: read whole, replaced whole, or left as it is.

Knows files, and nothing of what stands in them but that it is one JSON object.
"""

import posix

from cdi_runc.shim.errors import ConfigError
from cdi_runc.shim.jsontext import Document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Real ones have 5 to 60 KiB; a Jetson's four hundred mounts make 100.
MAX_SIZE = 32 * 1024 * 1024

_S_IFMT, _S_IFREG = 0o170000, 0o100000


class Config:
    """A config.json that was read: its path, its data (a JSON object as a dict), and the file it came from."""

    __slots__ = ("_before", "_document", "_found", "data", "path")

    def __init__(self, path: str) -> None:
        """Read the file at `path`; ConfigError where it is missing, unreadable, no regular file, too large, no JSON."""
        self.path = path
        self._before, self._found = _read(path)
        try:
            self._document = Document(self._before)
        except ValueError as error:
            raise ConfigError(f"{path}: not JSON: {error}") from None
        if not isinstance(self._document.value, dict):
            raise ConfigError(f"{path}: a JSON object is wanted, found {_kind(self._document.value)}")
        self.data: dict[str, object] = self._document.value

    def text(self) -> str:
        """The data as they are now, as JSON: all ASCII, numbers with every digit that they were read with."""
        return self._document.text()

    def replace(self) -> None:
        """Put the file with the data as they are now in the place of the old one, with its mode and owner.

        By rename in one directory: whoever looks, or whoever kills us, finds the old file or the new one, whole.
        Raises ConfigError, and then the old file is still there.
        """
        self._put(self.text().encode("ascii"))

    def restore(self) -> None:
        """Put the text back that was read, in the same way."""
        self._put(self._before.encode())

    def _put(self, text: bytes) -> None:
        temporary = f"{self.path}.{posix.getpid()}.cdi-runc"
        try:
            _write(temporary, text, self._found)
            posix.rename(temporary, self.path)
        except OSError as error:
            try:
                posix.unlink(temporary)
            except OSError:
                pass
            raise ConfigError(f"{self.path}: can't be replaced: {error.strerror}") from None


def mentions(path: str, needles: "Sequence[bytes]") -> bool:
    """Whether any of the needles stands in a file, of whatever size or form; False where it can't be read at all."""
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC)
    except OSError:
        return False
    before = b""
    try:
        while chunk := posix.read(descriptor, 1 << 20):
            if any(needle in before + chunk for needle in needles):
                return True
            before = chunk[-256:]
    except OSError:
        pass  # a directory, or a FIFO with no data in it yet
    finally:
        posix.close(descriptor)
    return False


def _read(path: str) -> tuple[str, posix.stat_result]:
    # A link could lead out of the bundle to a file that the user of a rootless engine may not change; a FIFO would
    # make us wait for ever.
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC)
    except OSError as error:
        if _is_link(path):
            raise ConfigError(f"{path}: a symbolic link, and only a file in the bundle itself is edited") from None
        raise ConfigError(f"{path}: {error.strerror}") from None
    try:
        found = posix.fstat(descriptor)
        if found.st_mode & _S_IFMT != _S_IFREG:
            raise ConfigError(f"{path}: not a regular file")
        if found.st_size > MAX_SIZE:
            raise ConfigError(f"{path}: {found.st_size} bytes, and more than {MAX_SIZE} are not read")
        data = b""
        while chunk := posix.read(descriptor, found.st_size - len(data) + 1):
            data += chunk
        return data.decode(), found
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    finally:
        posix.close(descriptor)


def _is_link(path: str) -> bool:
    try:
        posix.readlink(path)
    except OSError:
        return False
    return True


def _write(path: str, data: bytes, like: posix.stat_result) -> None:
    descriptor = posix.open(path, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o600)
    try:
        made = posix.fstat(descriptor)
        if (made.st_uid, made.st_gid) != (like.st_uid, like.st_gid):
            posix.fchown(descriptor, like.st_uid, like.st_gid)
        posix.fchmod(descriptor, like.st_mode & 0o7777)
        while data:
            data = data[posix.write(descriptor, data) :]
    finally:
        posix.close(descriptor)


def _kind(value: object) -> str:
    return {list: "a list", str: "a text", bool: "a truth value", type(None): "null"}.get(type(value), "a number")
