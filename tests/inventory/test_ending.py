from __future__ import annotations

import asyncio

from cdi_runc.inventory.ending import end


async def stubborn() -> None:
    for _ in range(3):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass


def test_a_task_that_loses_a_cancellation_is_ended_too() -> None:
    async def run() -> None:
        task = asyncio.ensure_future(stubborn())
        await asyncio.sleep(0)
        await asyncio.wait_for(end([task]), 20)
        assert task.done()

    asyncio.run(run())


def test_the_tasks_of_a_task_are_ended_although_it_is_cancelled_meanwhile() -> None:
    """As `serve` ends the plugins of the kubelet, while somebody else ends `serve`."""

    async def owner(tasks: list[asyncio.Future[None]]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await end(tasks)

    async def run() -> None:
        task = asyncio.ensure_future(stubborn())
        owning = asyncio.ensure_future(owner([task]))
        await asyncio.sleep(0)
        await asyncio.wait_for(end([owning]), 20)
        ended = task.done()
        await end([task])
        assert (ended, owning.cancelled()) == (True, True)

    asyncio.run(run())


def test_nothing_to_end_is_no_fault() -> None:
    asyncio.run(end([]))
