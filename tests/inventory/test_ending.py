from __future__ import annotations

import asyncio

from cdi_runc.inventory.ending import end


def test_a_task_that_loses_a_cancellation_is_ended_too() -> None:
    async def stubborn() -> None:
        for _ in range(3):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass

    async def run() -> None:
        task = asyncio.ensure_future(stubborn())
        await asyncio.sleep(0)
        await asyncio.wait_for(end([task]), 20)
        assert task.done()

    asyncio.run(run())


def test_nothing_to_end_is_no_fault() -> None:
    asyncio.run(end([]))
