"""The inventory kept up to date: taken again within a second of a change, and handed to all who follow it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING

from cdi_runc.cdi.errors import CDIError
from cdi_runc.cdi.registry import DEFAULT_SPEC_DIRS, Registry, spec_files
from cdi_runc.inventory.catalogue import Catalogue, catalogue
from cdi_runc.inventory.inventory import Inventory
from cdi_runc.inventory.looking import take
from cdi_runc.inventory.tree import Tree
from cdi_runc.inventory.watching import Watch

if TYPE_CHECKING:
    Signature = tuple[tuple[object, ...], ...]

SETTLE = 0.1  # seconds from the first sign of a change until we look: an installer writes many files at once
AGAIN = 30.0  # seconds until we look without a sign, for what inotify does not tell: /sys, targets of links
REST = 2000  # times as long as a look takes until the next one: many devices take no more of the CPU than few


class Stock:
    """What this node has to hand out. `inventory` is the latest.

    `with_specs` is for who needs more of the specs: then `registry` has them. It takes much memory.
    """

    def __init__(
        self, spec_dirs: Iterable[str] = DEFAULT_SPEC_DIRS, tree: Tree | None = None, with_specs: bool = False
    ) -> None:
        self.tree = tree or Tree()
        self.spec_dirs = tuple(spec_dirs)
        self.inventory = Inventory()
        self.catalogue = Catalogue()
        self.registry = Registry([])
        self._with_specs = with_specs
        self._took = 0.0
        self._read: Signature | None = None
        self._number = 0
        self._sign = asyncio.Event()
        self._new = asyncio.Event()
        self.look()

    async def keep(self) -> None:
        """Keep it up to date, until cancelled."""
        watch = Watch(self.tree, self._sign.set)
        try:
            while True:
                self._sign.clear()
                # What happened before a directory was watched was not seen, so look at it again.
                while watch.follow(self.spec_dirs, self.catalogue.paths()):
                    self.look()
                # Not wait_for: before Python 3.12 it can swallow the cancellation.
                timer = asyncio.get_running_loop().call_later(self.pause, self._sign.set)
                await self._sign.wait()
                timer.cancel()
                await asyncio.sleep(SETTLE)
                self.look()
        finally:
            watch.close()

    @property
    def pause(self) -> float:
        """Seconds until we look without a sign."""
        return max(AGAIN, REST * self._took)

    def look(self) -> None:
        """Take the inventory now. Spec files are read only where one has changed."""
        signature = self._signature()
        if signature != self._read:
            self._read_specs()
            self._read = signature
        started = time.process_time()
        inventory = take(self.catalogue, self.tree, self.inventory)
        self._took = time.process_time() - started
        if inventory != self.inventory:
            self.inventory = inventory
            self._number += 1
            self._new.set()
            self._new = asyncio.Event()

    def _read_specs(self) -> None:
        self.catalogue, self.registry = Catalogue(), Registry([])  # not two of each in memory at a time
        registry = Registry([self._here(directory) for directory in self.spec_dirs])
        self.catalogue = catalogue(registry, self.tree)
        if self._with_specs:
            self.registry = registry

    async def follow(self) -> AsyncIterator[Inventory]:
        """The inventory now, and each time that it has changed; one that was replaced unseen is left out."""
        seen = -1
        while True:
            if seen == self._number:
                await self._new.wait()
            seen = self._number
            yield self.inventory

    def _here(self, directory: str) -> str:
        try:
            return self.tree.real(directory)
        except (OSError, ValueError):
            return f"{self.tree.root}{directory}"

    def _signature(self) -> Signature:
        """What tells one state of the spec files from another, without reading them."""
        found: list[tuple[object, ...]] = []
        for directory in map(self._here, self.spec_dirs):
            try:
                found += ((path, *_state(path)) for path in spec_files(directory))
            except CDIError as error:
                found.append((directory, str(error)))
        return tuple(found)


def _state(path: str) -> tuple[object, ...]:
    try:
        info = os.stat(path)
    except OSError as error:
        return (error.errno,)
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns
