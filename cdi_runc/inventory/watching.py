"""Tells at once when one of some paths of the host appears, goes or changes, by inotify(7).

It costs nothing while nothing happens. Only the names that were asked for count: writing to /dev/null makes no noise.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from inotify_simple import INotify, flags

if TYPE_CHECKING:
    from cdi_runc.inventory.tree import Tree

_THERE = flags.CREATE | flags.DELETE | flags.MOVED_FROM | flags.MOVED_TO | flags.DELETE_SELF | flags.MOVE_SELF
_CONTENT = flags.CLOSE_WRITE | flags.ATTRIB
_ITSELF = flags.IGNORED | flags.DELETE_SELF | flags.MOVE_SELF

_SPEC = ".spec"  # means each name of a spec file; no part of a path has a leading dot and this name

_Wanted = dict[str, set[str]]  # the names that count, by directory


class Watch:
    """Calls `changed` whenever something happened to what is followed. Needs a running event loop."""

    def __init__(self, tree: Tree, changed: Callable[[], None]) -> None:
        self._tree = tree
        self._changed = changed
        self._inotify = INotify(nonblocking=True)
        self._numbers: dict[str, tuple[int, int]] = {}  # of the watches, and their masks, by directory
        self._names: dict[int, set[str]] = {}
        asyncio.get_running_loop().add_reader(self._inotify.fileno(), self._read)

    def follow(self, spec_dirs: Iterable[str], paths: Iterable[str]) -> bool:
        """Watch the spec files of these directories and these paths, and nothing else.

        Whether a directory is watched now that was not before: what happened in it until now was not seen.
        """
        wanted: _Wanted = {}
        nearest: dict[str, tuple[str, str]] = {}
        for path in itertools.chain(paths, spec_dirs):
            directory, _, name = path.rstrip("/").rpartition("/")
            if directory not in nearest:
                nearest[directory] = self._nearest(directory)
            real, lacking = nearest[directory]
            wanted.setdefault(real, set()).add(lacking or name)
        for directory in spec_dirs:
            real = self._real(directory)
            if os.path.isdir(real):
                wanted.setdefault(real, set()).add(_SPEC)
        for directory in self._numbers.keys() - wanted.keys():
            self._forget(directory)
        return sum(self._watch(directory, names) for directory, names in wanted.items()) > 0

    def close(self) -> None:
        """Watch nothing any more."""
        asyncio.get_running_loop().remove_reader(self._inotify.fileno())
        self._inotify.close()

    def _nearest(self, directory: str) -> tuple[str, str]:
        """The nearest directory on the way that is there, and the name in it that is not; '' for none."""
        lacking = ""
        real = self._real(directory or "/")
        while directory and not os.path.isdir(real):
            directory, _, lacking = directory.rpartition("/")
            real = self._real(directory or "/")
        return real, lacking

    def _real(self, path: str) -> str:
        try:
            return os.path.realpath(self._tree.real(path)) if not self._tree.root else self._tree.real(path)
        except (OSError, ValueError):
            return path

    def _watch(self, directory: str, names: set[str]) -> bool:
        mask = _THERE | (_CONTENT if _SPEC in names else 0)
        number, before = self._numbers.get(directory, (-1, 0))
        if mask != before:
            try:
                number = self._inotify.add_watch(directory, mask | flags.ONLYDIR)
            except (OSError, ValueError):
                return False  # gone meanwhile, or too many watches: the timer of the stock finds out
            self._numbers[directory] = number, mask
        self._names[number] = names
        return bool(mask != before)

    def _forget(self, directory: str) -> None:
        number, _ = self._numbers.pop(directory)
        self._names.pop(number, None)
        try:
            self._inotify.rm_watch(number)
        except OSError:
            pass  # the kernel has forgotten it already, with the directory

    def _read(self) -> None:
        for event in self._inotify.read(timeout=0):
            names = self._names.get(event.wd)
            if event.mask & flags.Q_OVERFLOW:
                self._changed()
            elif names is None:
                continue  # of a directory that is not followed any more
            elif event.mask & _ITSELF:
                self._lose(event.wd)
                self._changed()
            elif event.name in names or (_SPEC in names and _is_spec(event.name)):
                self._changed()

    def _lose(self, number: int) -> None:
        """A directory is gone: one with its name that is made later needs a watch of its own."""
        self._names.pop(number, None)
        for directory, (other, _) in list(self._numbers.items()):
            if other == number:
                del self._numbers[directory]


def _is_spec(name: str) -> bool:
    """Whether an event in a spec directory is about a spec file, or, without a name, about the directory itself."""
    return not name or name.endswith((".yaml", ".json"))
