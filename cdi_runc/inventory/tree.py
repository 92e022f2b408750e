"""The host's files as an agent sees them, which may run in a container that has the host's root somewhere else."""

from __future__ import annotations

import errno
import os

MAX_LINKS = 40  # path_resolution(7)


class Tree:
    """The host's file system below `root`, and its sysfs at `sys` (by default the one below the root).

    A path is the host's own. A link on the way to it is followed as the host follows it: never out of the root.

    >>> Tree().real("/dev/null")
    '/dev/null'
    """

    def __init__(self, root: str = "/", sys: str | None = None) -> None:
        self.root = root.rstrip("/")
        self.sys = sys or f"{self.root}/sys"

    def real(self, path: str, follow: bool = True) -> str:
        """The path here of the host's path. `follow` is for a link at its end. Raises OSError for a loop of links."""
        if not self.root:
            return path
        done: list[str] = []
        todo = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        links = 0
        while todo:
            part = todo.pop()
            if part == "..":
                del done[-1:]
                continue
            done.append(part)
            target = _link("/".join((self.root, *done))) if todo or follow else ""
            if target:
                links += 1
                if links > MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                del done[0 if target.startswith("/") else -1 :]
                todo += [part for part in reversed(target.split("/")) if part not in ("", ".")]
        return "/".join((self.root, *done))

    def shown(self, text: str) -> str:
        """A path here, or a message with such paths, as the host says it."""
        return text.replace(f"{self.root}/", "/") if self.root else text

    def lstat(self, path: str) -> os.stat_result:
        """What is at the host's path, without following a link at its end. Raises OSError and ValueError."""
        return os.lstat(self.real(path, follow=False))

    def exists(self, path: str) -> bool:
        """Whether the host has anything at the path."""
        try:
            self.lstat(path)
        except (OSError, ValueError):
            return False
        return True

    def stat(self, path: str) -> os.stat_result:
        """What the host's path leads to. Raises OSError and ValueError."""
        return os.stat(self.real(path))


class Glance(Tree):
    """A tree for one look at it: where a directory is, is found out once."""

    def __init__(self, tree: Tree) -> None:
        super().__init__(tree.root, tree.sys)
        self._directories: dict[str, str] = {}

    def real(self, path: str, follow: bool = True) -> str:
        """As a tree's."""
        directory, _, name = path.rpartition("/")
        if follow or not self.root or name in ("", ".", ".."):
            return super().real(path, follow)
        if directory not in self._directories:
            self._directories[directory] = super().real(directory)
        return f"{self._directories[directory]}/{name}"


def _link(path: str) -> str:
    """The target of a link; '' for anything else."""
    try:
        return os.readlink(path)
    except OSError:
        return ""
