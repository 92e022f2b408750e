"""A reader for /sys, /proc and /dev below a root directory, which no link leads out of.

Links are followed as in a chroot: an absolute target begins at the root, and `..` ends there. All paths that go in and
come out are absolute and without the root. A tree remembers where links lead, so it is good for one look at a host.
"""

from __future__ import annotations

import errno
import fnmatch
import functools
import os
import re
import stat
from collections.abc import Callable, Mapping

MAX_SIZE = 1 << 20  # bytes of a file that a value is read from; mig-minors, the largest that is known, has 110 kB
MAX_NAME = 255  # characters of a node's name in a uevent; the longest of the kernel have some 30
MAX_LINKS = 40  # as the kernel's MAXSYMLINKS

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_MAGIC = re.compile(r"[*?[]")
_NUMBER = re.compile(r"(\d+)")


class Unreadable(OSError):
    """A file that is there and cannot be used. The text says why, in one line."""


class Tree:
    """The files below a root. `root` is the host's own for `/`: only there must a device node be one."""

    def __init__(self, root: str = "/") -> None:
        self.root = os.path.realpath(root)
        self._prefix = "" if self.root == "/" else self.root
        self._real: dict[str, str | None] = {"/": "/"}
        self._names: dict[str, list[str]] = {}
        self._by_field: dict[tuple[str, str], dict[str, str]] = {}

    def outside(self, path: str) -> str:
        """The path by which other programs find a file of the tree, which is real already."""
        return self._prefix + path

    def place(self, path: str) -> str:
        """The path by which other programs find a file or directory of the tree, which may not be there yet."""
        real = self.real(path)
        if real is None:
            above, _, name = path.rpartition("/")
            return os.path.join(self.place(above or "/"), name)
        return self.outside(real) or "/"

    def real(self, path: str) -> str | None:
        """The path without links, None where there is no such file."""
        try:
            return self._resolved(path, 0)
        except RecursionError:
            return None  # longer than any path of the kernel: a uevent can name it all the same

    def _resolved(self, path: str, links: int) -> str | None:
        if path in self._real:
            return self._real[path]
        above, _, name = path.rstrip("/").rpartition("/")
        base = self._resolved(above or "/", links)
        if base is None or name in ("", "."):
            found = base
        elif name == "..":
            found = os.path.dirname(base)
        else:
            found = self._followed(base, name, links)
        self._real[path] = found
        return found

    def _followed(self, base: str, name: str, links: int) -> str | None:
        path = f"{base.rstrip('/')}/{name}"
        try:
            target = os.readlink(self._prefix + path)
        except (OSError, ValueError) as fault:
            return path if isinstance(fault, OSError) and fault.errno == errno.EINVAL else None
        if links >= MAX_LINKS:
            return None
        return self._resolved(target if target.startswith("/") else f"{base.rstrip('/')}/{target}", links + 1)

    def names(self, directory: str) -> list[str]:
        """The names in a directory, with their numbers in the order of numbers; none where there is no directory."""
        real = self.real(directory)
        if real is None:
            return []
        if real not in self._names:
            try:
                # A name that is no text, or has a line break, can be neither asked for nor written into a spec.
                found = [name for name in os.listdir(self._prefix + real) if name.isprintable()]
            except OSError:
                found = []
            self._names[real] = sorted(found, key=natural)
        return self._names[real]

    def glob(self, pattern: str) -> list[str]:
        """The paths that are there and fit a pattern, an absolute path whose parts may have `*`, `?` and `[...]`."""
        return [path for path in self.expanded(pattern) if self.real(path) is not None]

    def is_dead_link(self, path: str) -> bool:
        """Whether there is a link that leads to nothing below the root; perhaps it leads out of it."""
        above = self.real(os.path.dirname(path))
        return (
            above is not None
            and self.real(path) is None
            and os.path.islink(f"{self._prefix}{above.rstrip('/')}/{os.path.basename(path)}")
        )

    def expanded(self, pattern: str) -> list[str]:
        """The paths that fit, whose last part need not be there."""
        found = [""]
        for part in pattern.split("/")[1:]:
            if _MAGIC.search(part):
                fits = matcher(part)
                hidden = part.startswith(".")
                found = [
                    f"{path}/{name}"
                    for path in found
                    for name in self.names(path or "/")
                    if fits(name) and (hidden or not name.startswith("."))
                ]
            else:
                found = [f"{path}/{part}" for path in found]
        return found

    def read(self, path: str) -> str:
        """What a file says, without the white space at its ends; bytes that are no UTF-8 become U+FFFD.

        Raises FileNotFoundError, and Unreadable for everything else.
        """
        text = self.read_bytes(path, MAX_SIZE).decode("utf-8", "replace")
        return text.strip("\0 \t\r\n")

    def read_bytes(self, path: str, limit: int) -> bytes:
        """What a file holds, at most so many bytes. Raises as `read` does."""
        content = self.read_head(path, limit + 1)
        if len(content) > limit:
            raise Unreadable(f"{path} is larger than {limit >> 10} KiB")
        return content

    def read_head(self, path: str, size: int) -> bytes:
        """The first so many bytes of a file. Raises as `read` does."""
        real = self.real(path)
        if real is None:
            raise FileNotFoundError(errno.ENOENT, "is not there", path)
        try:
            with open(os.open(self._prefix + real, _FLAGS), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise Unreadable(f"{path} is not a file")
                return file.read(size)
        except (Unreadable, FileNotFoundError):
            raise
        except OSError as fault:
            raise Unreadable(f"{path} cannot be read: {fault.strerror or fault}") from None

    def texts_by_field(self, glob: str, name: str) -> Mapping[str, str]:
        """The texts of the files that fit a glob, by the value of a field in them; the first file wins.

        Kept, since a host with many GPUs asks for each of them.
        """
        if (glob, name) not in self._by_field:
            found: dict[str, str] = {}
            for path in self.glob(glob):
                try:
                    text = self.read(path)
                except OSError:
                    continue  # another of the files may have it
                value = field(text, name)
                if value is not None:
                    found.setdefault(value, text)
            self._by_field[glob, name] = found
        return self._by_field[glob, name]

    def status(self, path: str) -> os.stat_result | None:
        """The stat of a file, None where there is none."""
        real = self.real(path)
        try:
            return None if real is None else os.lstat(self._prefix + real)
        except OSError:
            return None

    def is_node(self, path: str) -> bool:
        """Whether there is a device node or a pipe; below another root than the host's a plain file may be one."""
        found = self.status(path)
        kinds = (stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, *([stat.S_IFREG] if self._prefix else []))
        return found is not None and stat.S_IFMT(found.st_mode) in kinds

    def node_of(self, directory: str) -> str | None:
        """The device node of a directory of sysfs, as its `uevent` names it; None for one that has none."""
        if self.real(f"{directory}/dev") is None:
            return None
        try:
            name = field(self.read(f"{directory}/uevent"), "DEVNAME")
        except OSError:
            name = None
        path = name or os.path.basename(directory).replace("!", "/")
        good = path.isprintable() and len(path) <= MAX_NAME and ".." not in path.split("/")
        return f"/dev/{path}" if good else None


def field(text: str, name: str) -> str | None:
    """The value of a field in a text of lines like `NAME: VALUE`, `NAME=VALUE` or `NAME VALUE`.

    >>> field("Model: \\t NVIDIA A100\\nDevice Minor: 2", "Device Minor"), field("a 1", "b")
    ('2', None)
    """
    for line in text.splitlines():
        if line.startswith(name) and line[len(name) : len(name) + 1] in (":", "=", " ", "\t"):
            return line[len(name) + 1 :].lstrip(":= \t").rstrip()
    return None


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key to sort names by, in which numbers are numbers.

    >>> sorted(["card10", "card2"], key=natural)
    ['card2', 'card10']
    """
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in _NUMBER.split(name) if part]


@functools.lru_cache(maxsize=512)
def matcher(pattern: str) -> Callable[[str], object]:
    """What tells whether a name fits a pattern."""
    return re.compile(fnmatch.translate(pattern)).match
