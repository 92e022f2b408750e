"""Two instances of one program on a node take turns: the second waits until the first is gone.

The kubelet has room for one plugin of a resource; while two fight for it, it has none (kubernetes#121994).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator

LOOK = 0.2  # seconds between two looks whether it is our turn; only who waits looks


@contextlib.asynccontextmanager
async def turn(path: str, say: Callable[[str], None]) -> AsyncIterator[None]:
    """Hold the lock file as long as the context lasts. Its end is the process's at the latest. Raises OSError."""
    told = False
    with lock_file(path) as lock:
        while not lock(fcntl.LOCK_EX):
            if not told:
                say(f"another cdi-node serves this node; waiting for its end ({path})")
                told = True
            await asyncio.sleep(LOOK)
        yield


@contextlib.contextmanager
def lock_file(path: str) -> Iterator[Callable[[int], bool]]:
    """Open a lock file, made if need be: the function has it in this way of flock(2), if that is possible now.

    Raises OSError.
    """
    os.makedirs(os.path.dirname(path), mode=0o750, exist_ok=True)
    with contextlib.ExitStack() as stack:
        descriptor = -1

        def lock(how: int) -> bool:
            nonlocal descriptor
            if descriptor < 0 or not _is_at(descriptor, path):  # somebody removed it, and it says nothing any more
                stack.close()
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                stack.callback(os.close, descriptor)
            return _locked(descriptor, how) and _is_at(descriptor, path)

        yield lock


@contextlib.contextmanager
def removing(path: str) -> Iterator[bool]:
    """Remove a lock file at the end, if nobody holds it. Gives whether that is so. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        nobody = _locked(descriptor, fcntl.LOCK_EX) and _is_at(descriptor, path)
        yield nobody
        if nobody:
            os.unlink(path)
    finally:
        os.close(descriptor)


def _locked(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
