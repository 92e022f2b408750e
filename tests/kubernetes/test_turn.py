"""Instances that take turns, and a lock file that is removed meanwhile."""

import asyncio
import fcntl
from pathlib import Path

from cdi_runc.kubernetes.turn import lock_file, removing, turn
from tests.kubernetes.kubelet import until


def test_who_waits_for_a_lock_file_that_is_removed_has_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "d" / "lock"
    said: list[str] = []
    order: list[str] = []

    async def second() -> None:
        async with turn(str(path), said.append):
            order.append("second")
            with lock_file(str(path)) as third:
                assert not third(fcntl.LOCK_EX)

    async def run() -> None:
        async with turn(str(path), said.append):
            waiting = asyncio.ensure_future(second())
            await until(lambda: said)
            path.unlink()
            order.append("first")
        await waiting

    asyncio.run(run())
    assert order == ["first", "second"]
    assert said == [f"another cdi-node serves this node; waiting for its end ({path})"]


def test_a_lock_file_is_removed_if_nobody_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with removing(str(path)) as nobody:
        assert not nobody  # there is none
    with lock_file(str(path)) as lock:
        assert lock(fcntl.LOCK_SH)
        with removing(str(path)) as nobody:
            assert not nobody
        assert path.exists()
    with removing(str(path)) as nobody:
        assert nobody
    assert not path.exists()
