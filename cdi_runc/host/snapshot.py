"""HOT. The snapshot: a file with all that is slow to find out: checked specs, resolved conflicts, settings.

The first line names the format. Then comes the head: the stamps of the files and directories that the snapshot was made
from, the settings, and the places of the other parts. Each part has a checksum. A create reads three or four parts: a
page of the index of devices, then the edits of its devices; and where there is a policy, the rules about the device and
the container. The snapshot is used only if `stat` still gives every stamp, and if nobody else can have written the
file. builder.py makes its content, rebuild.py keeps it.
"""

import marshal
import posix

from cdi_runc import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from cdi_runc.cdi.injection import Found

    Rule = Mapping[str, Any]  # place, action, message, match, limits
    Stamp = tuple[int, ...] | None
    Place = tuple[int, int, int]  # of a part: start, size, checksum
    Guard = tuple[int, int, int] | None  # who may write to a directory: its mode, owner and group
    # A spec directory: its path and stamp; the names of its spec files (None: it can't be listed), their stamps; guard.
    Folder = tuple[str, Stamp, tuple[str, ...] | None, tuple[Stamp, ...], Guard]

FORM = 5  # of the head and the parts: another number whenever they change
MAGIC = f"cdi-runc {__version__} snapshot {FORM}\n".encode()
NEVER: "Stamp" = ()  # no file's stamp: what is stamped so is looked at more closely each time
SIZES = 20  # two hexadecimal numbers: the head's size and its checksum, since marshal may be given whole things only

# One read takes the head of most hosts.
_FIRST_READ = 16384
_DIRECTORY = posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC

_S_IFMT, _S_IFREG, _S_IFDIR = 0o170000, 0o100000, 0o040000
_WRITABLE_BY_OTHERS = 0o022


class Damaged(ValueError):
    """A snapshot that can't be used; the text says why."""


class Snapshot:
    """One snapshot, of which only the head is in memory.

    settings: what config.yaml says, checked, every key there. began: when its files began to be read, in nanoseconds
    of the monotonic clock.
    """

    __slots__ = ("_aside", "_end_of_head", "_files", "_folders", "_index", "_read", "began", "settings")

    settings: "dict[str, Any]"
    began: int
    _files: "list[tuple[str, Stamp]]"
    _folders: "list[Folder]"
    _index: "tuple[Place, ...]"  # pages: the devices whose `page_of` is the page's number
    _aside: "Place"  # what only people and errors ask for

    def __init__(self, read: "Callable[[int, int], bytes]") -> None:
        """Take a snapshot whose bytes `read(start, size)` gives; Damaged where it gives anything else."""
        start = read(0, _FIRST_READ)
        if not start.startswith(MAGIC):
            raise Damaged("another version of cdi-runc wrote it")
        head_at = len(MAGIC) + SIZES
        try:
            size, expected = (int(number, 16) for number in start[len(MAGIC) : head_at].split())
            end = head_at + size
            head = _open(start[head_at:end] if end <= len(start) else read(head_at, size), expected)
            self._files, self._folders, self.settings, self.began, self._index, self._aside = head
        except (ValueError, TypeError, EOFError):
            raise Damaged("it is damaged") from None
        self._read = read
        self._end_of_head = end

    def is_fresh(self) -> bool:
        """Whether every file and directory that it was made from is still the same: no old device is given away."""
        for path, known in self._files:
            if stamp(path) != known:
                return False
        return all(_is_unchanged(*folder) for folder in self._folders)

    @property
    def config(self) -> str:
        """The path of the config.yaml that it is of."""
        return self._files[0][0]

    @property
    def names(self) -> "Iterable[str]":
        """The qualified names of all devices. Raises Damaged."""
        return [name for place in self._index for name in self._part(place)]

    @property
    def refused(self) -> "dict[str, str]":
        """For each spec file that is not used, why. Raises Damaged."""
        return self._part(self._aside)[0]  # type: ignore[no-any-return]

    @property
    def conflicts(self) -> "dict[str, list[str]]":
        """For each device that two files of one directory define, those files. Raises Damaged."""
        return self._part(self._aside)[1]  # type: ignore[no-any-return]

    def find(self, name: str) -> "Found | None":
        """A device's spec file, the file's own edits and the device's; None where there is no such device.

        Raises Damaged.
        """
        entry = self._part(self._index[page_of(name, len(self._index))]).get(name)
        if entry is None:
            return None
        path, spec_edits, edits, _ = entry
        return path, self._part(spec_edits), self._part(edits)

    def rules(self, name: str, text: "Callable[[str], str]") -> "Iterator[Rule]":
        """The rules of the policy that may be about a device and a container, in their order. Raises Damaged.

        name: the device's, which need not be there: it may be denied all the same. text: what is to be known of the
        container.
        """
        entry = self._part(self._index[page_of(name, len(self._index))]).get(name)
        guarded = self._part(self._aside)[2] if entry is None else self._part(entry[3])
        for what, beginnings, rule in guarded:
            if not what or text(what).startswith(beginnings):
                yield self._part(rule)

    def _part(self, place: "Place") -> "Any":
        start, size, expected = place
        return _open(self._read(self._end_of_head + start, size), expected)


def load(directory: str, name: str) -> "Snapshot | None":
    """The snapshot kept as `name` in `directory`, fresh or not; None where there is none.

    Raises Damaged for one that can't be trusted: another version's, broken, or perhaps written by somebody else.
    """
    try:
        if not is_ours(posix.lstat(directory), _S_IFDIR):
            raise Damaged(f"others may write to {directory}; it must be yours, with mode 0700")
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
    """Whether `stat` found something of this kind (a directory) that only we can write to."""
    return (
        found.st_mode & _S_IFMT == kind and found.st_uid == posix.geteuid() and not found.st_mode & _WRITABLE_BY_OTHERS
    )


def stamp(path: str) -> "Stamp":
    """What `stat` says of a file or directory that changes whenever it does; None where there is nothing."""
    try:
        return stamp_of(posix.stat(path))
    except OSError:
        return None


def stamp_of(found: posix.stat_result) -> "Stamp":
    """The stamp in what `stat` said."""
    return found.st_dev, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def guard(directory: str) -> "Guard":
    """Who may write to a directory; None where there is nothing."""
    try:
        return guard_of(posix.stat(directory))
    except OSError:
        return None


def guard_of(found: posix.stat_result) -> "Guard":
    """The guard in what `stat` said."""
    return found.st_mode, found.st_uid, found.st_gid


def spec_names(directory: str) -> "tuple[str, ...] | None":
    """The sorted names of the spec files in a directory, as `cdi.registry.spec_files` has them; None: not to be listed.

    Other files there are no specs, so it does not matter if they come and go.
    """
    try:
        with posix.scandir(directory) as entries:
            found = [
                entry.name
                for entry in entries
                if entry.name.endswith((".yaml", ".json")) and not entry.is_dir(follow_symlinks=False)
            ]
    except FileNotFoundError:
        return ()
    except OSError:
        return None
    return tuple(sorted(found))


def page_of(name: str, pages: int) -> int:
    """The page of the index on which a device is."""
    return checksum(name.encode("utf-8", "backslashreplace")) % pages


def checksum(part: bytes) -> int:
    """A number that changes with any byte; no module has to be imported for it, as for a CRC."""
    return int.from_bytes(part, "little") % 1073741789  # the largest prime that is one digit of Python's


def _open(part: bytes, expected: int) -> "Any":
    if checksum(part) != expected:
        raise Damaged("it is damaged")
    return marshal.loads(part)


def _is_unchanged(
    path: str, known: "Stamp", names: "tuple[str, ...] | None", stamps: "tuple[Stamp, ...]", guarded: "Guard"
) -> bool:
    """Whether a directory has the same spec files and the same owner, and each of the files is the same."""
    try:
        folder = posix.open(path, _DIRECTORY)
    except OSError:
        return not names and stamp(path) == known
    try:
        now = posix.stat(folder)
        # A directory that was not there had no owner, and matters from its first file on.
        is_guarded = guarded is None or guard_of(now) == guarded
        if stamp_of(now) != known and (names is None or not is_guarded or spec_names(path) != names):
            return False
        for name, expected in zip(names or (), stamps, strict=True):
            try:
                found = posix.stat(name, dir_fd=folder)  # shorter to look up than the whole path
            except OSError:
                if expected is not None:
                    return False
                continue
            if (
                found.st_dev,
                found.st_ino,
                found.st_mode,
                found.st_size,
                found.st_mtime_ns,
                found.st_ctime_ns,
            ) != expected:
                return False
        return True
    finally:
        posix.close(folder)
