"""HOT. The snapshot: all that is slow to find out (specs read and checked, conflicts resolved, settings), in a file.

The file has three parts: a line that names the format; the head, with the stamps of all files and directories that it
was made from, the settings, and where each device's edits stand; then those edits, of which only what a container asks
for is read. It is trusted only as long as every stamp is what `stat` says now, and where nobody else can have written
it. builder.py makes its content, rebuild.py keeps it.
"""

import marshal
import posix

from cdi_runc import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from cdi_runc.cdi.injection import Found
    from cdi_runc.cdi.types import ContainerEdits

    Stamp = tuple[int, ...] | None

MAGIC = f"cdi-runc {__version__} snapshot\n".encode()
SIZES = 20  # two hexadecimal numbers: the head's size and its checksum, since marshal may be given whole things only

_S_IFMT, _S_IFREG, _S_IFDIR = 0o170000, 0o100000, 0o040000
_WRITABLE_BY_OTHERS = 0o022


class Damaged(ValueError):
    """A snapshot that can't be trusted; the text says why."""


class Snapshot:
    """One snapshot, of which only the head is in memory.

    stamps: what `stamp` said of each file and directory it was made from. settings: what config.yaml says, checked,
    every key there. refused: for each spec file that is not used, why. conflicts: for each device that two files of
    one directory define, those files.
    """

    __slots__ = ("_devices", "_end_of_head", "_read", "_specs", "conflicts", "refused", "settings", "stamps")

    stamps: "dict[str, Stamp]"
    settings: "dict[str, Any]"
    refused: "dict[str, str]"
    conflicts: "dict[str, list[str]]"
    _devices: "dict[str, tuple[int, int, int, int]]"  # by name: index in _specs, then start, size, checksum
    _specs: "list[tuple[str, int, int, int]]"  # path, then start, size, checksum

    def __init__(self, read: "Callable[[int, int], bytes]") -> None:
        """Take a snapshot whose bytes `read(start, size)` gives; Damaged where it gives anything else."""
        start = read(0, 4096)
        if not start.startswith(MAGIC):
            raise Damaged("not of this version")
        head_at = len(MAGIC) + SIZES
        try:
            size, expected = (int(number, 16) for number in start[len(MAGIC) : head_at].split())
            head = _open(read(head_at, size), expected)
            self.stamps, self.settings, self.refused, self.conflicts, self._devices, self._specs = head
        except (ValueError, TypeError, EOFError):
            raise Damaged("damaged") from None
        self._read = read
        self._end_of_head = head_at + size

    def is_fresh(self) -> bool:
        """Whether every file and directory it was made from is still the same: no device of yesterday is handed out."""
        return all(stamp(path) == known for path, known in self.stamps.items())

    @property
    def names(self) -> "Iterable[str]":
        """The qualified names of all devices."""
        return self._devices.keys()

    def find(self, name: str) -> "Found | None":
        """A device's spec file, the file's own edits and the device's; None where there is no such device.

        Raises Damaged.
        """
        if name not in self._devices:
            return None
        spec, *place = self._devices[name]
        path, *spec_place = self._specs[spec]
        return path, self._part(*spec_place), self._part(*place)

    def _part(self, start: int, size: int, expected: int) -> "ContainerEdits":
        return _open(self._read(self._end_of_head + start, size), expected)  # type: ignore[no-any-return]


def load(directory: str, name: str) -> "Snapshot | None":
    """The snapshot kept as `name` in `directory`, fresh or not; None where there is none.

    Raises Damaged for one that can't be trusted: another version's, broken, or perhaps written by somebody else.
    """
    try:
        if not is_ours(posix.lstat(directory), _S_IFDIR):
            raise Damaged(f"others may write to {directory}, which should be yours, with mode 0700")
        descriptor = posix.open(
            f"{directory}/{name}", posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC
        )
        if not is_ours(posix.fstat(descriptor), _S_IFREG):
            raise Damaged("somebody else may have written it")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Damaged(error.strerror) from None
    # The descriptor stays open until the runtime takes this process over.
    return Snapshot(lambda start, size: posix.pread(descriptor, size, start))


def is_ours(found: posix.stat_result, kind: int = _S_IFDIR) -> bool:
    """Whether what `stat` found is of that kind (a directory), and nobody but us can write to it."""
    return (
        found.st_mode & _S_IFMT == kind and found.st_uid == posix.geteuid() and not found.st_mode & _WRITABLE_BY_OTHERS
    )


def stamp(path: str) -> "Stamp":
    """What `stat` says of a file or directory that changes whenever it does; None where there is nothing."""
    try:
        found = posix.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def checksum(part: bytes) -> int:
    """A number that changes with any byte; no module has to be imported for it, as for a CRC."""
    return int.from_bytes(part, "little") % 1073741789  # the largest prime that is one digit of Python's


def _open(part: bytes, expected: int) -> "Any":
    if checksum(part) != expected:
        raise Damaged("damaged")
    return marshal.loads(part)
