"""The node's label while its devices are registered, for pods that should wait for them.

Several instances may serve one node for a moment. Each holds a shared lock, so the last one that ends knows it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
from collections.abc import AsyncIterator, Callable
from urllib.parse import quote

from cdi_runc.kubernetes.api import ApiError, Cluster, NoAnswer
from cdi_runc.kubernetes.pauses import pauses
from cdi_runc.kubernetes.turn import LOOK, lock_file

LABEL, READY = "cdi-runc/devices", "ready"
UNREADY_TIME = 60.0  # seconds; a kubelet that starts again is quicker, and a change costs the whole cluster something
FIRST_PAUSE, LAST_PAUSE = 1.0, 60.0  # seconds until a call that failed is made again


class Label:
    """Keeps the label of one node. `path` is that of the lock, below the kubelet's directory."""

    def __init__(self, cluster: Cluster, node: str, path: str, say: Callable[[str], None]) -> None:
        self.cluster = cluster
        self.node = node
        self.is_set: bool | None = None  # None where nobody knows, since we have not written it yet
        self._path = path
        self._say = say
        self._said = ""
        self._lock: Callable[[int], bool] | None = None
        self._leaving = False
        self._writing = asyncio.Lock()

    async def keep(self, missing: Callable[[], str], moved: asyncio.Event) -> None:
        """Have the label while nothing is missing, until cancelled. `moved` is set whenever that may have changed."""
        waits = pauses(FIRST_PAUSE, LAST_PAUSE)
        async with self._shared():
            while True:
                moved.clear()
                ready = not missing()
                if ready != self.is_set and (ready or await _stays(missing, moved)):
                    try:
                        await self._write(ready)
                        waits = pauses(FIRST_PAUSE, LAST_PAUSE)
                    except (ApiError, NoAnswer) as error:
                        self._tell(f"this node is not labelled {LABEL}={READY}: {error}")
                        await asyncio.sleep(next(waits))
                        continue
                await moved.wait()

    async def leave(self) -> None:
        """Take the label away, unless another instance is there. Raises ApiError and NoAnswer."""
        self._leaving = True
        async with self._writing:
            if self._lock and self._lock(fcntl.LOCK_EX):
                try:
                    await self._patch(None)
                finally:
                    self._lock(fcntl.LOCK_UN)

    @contextlib.asynccontextmanager
    async def _shared(self) -> AsyncIterator[None]:
        """Be one of those who hold the lock. One who has it alone takes the label away at this moment."""
        with lock_file(self._path) as lock:
            while not lock(fcntl.LOCK_SH):
                await asyncio.sleep(LOOK)
            self._lock = lock
            try:
                yield
            finally:
                self._lock = None

    async def _write(self, ready: bool) -> None:
        async with self._writing:
            if self._leaving:
                return
            await self._patch(READY if ready else None)
            self.is_set = ready
            self._tell("")

    async def _patch(self, value: str | None) -> None:
        await self.cluster.call("PATCH", f"/api/v1/nodes/{quote(self.node)}", {"metadata": {"labels": {LABEL: value}}})

    def _tell(self, text: str) -> None:
        if text and text != self._said:
            self._say(text)
        self._said = text


async def _stays(missing: Callable[[], str], moved: asyncio.Event) -> bool:
    """Whether something is missing for so long that it is no moment of a restart."""
    loop = asyncio.get_running_loop()
    until = loop.time() + UNREADY_TIME
    while missing():
        left = until - loop.time()
        if left <= 0:
            return True
        moved.clear()
        timer = loop.call_later(left, moved.set)
        await moved.wait()
        timer.cancel()
    return False
