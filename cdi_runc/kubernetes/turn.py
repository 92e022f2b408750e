"""Two instances of one program on a node take turns: the second waits until the first is gone.

The kubelet has room for one plugin of a resource; while two fight for it, it has none (kubernetes#121994).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Callable

LOOK = 0.2  # seconds between two looks whether it is our turn; only who waits looks


@contextlib.asynccontextmanager
async def turn(path: str, say: Callable[[str], None]) -> AsyncIterator[None]:
    """Hold the lock file as long as the context lasts. Its end is the process's at the latest. Raises OSError."""
    os.makedirs(os.path.dirname(path), mode=0o750, exist_ok=True)
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "rb") as file:
        told = False
        while not _locked(file.fileno()):
            if not told:
                say(f"another cdi-node serves this node; waiting for its end ({path})")
                told = True
            await asyncio.sleep(LOOK)
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
