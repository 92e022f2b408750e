"""Ends tasks for sure: one cancellation can be lost, where what a task waits for fails in the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

AGAIN = 0.2  # seconds until a task that goes on is cancelled again


async def end(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel the tasks until all are done. What they raise is nobody's business any more.

    Who cancels this meanwhile, since the caller is to end as well, waits for it: no task goes on without its caller.
    """
    left = {task for task in tasks if not task.done()}
    cancelled: asyncio.CancelledError | None = None
    while left:
        for task in left:
            task.cancel()
        try:
            _, left = await asyncio.wait(left, timeout=AGAIN)
        except asyncio.CancelledError as error:
            cancelled = error
            left = {task for task in left if not task.done()}
    if cancelled:
        raise cancelled
