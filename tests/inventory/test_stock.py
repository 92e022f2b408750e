from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from cdi_runc.inventory.ending import end
from cdi_runc.inventory.inventory import Inventory
from cdi_runc.inventory.stock import Stock
from tests.inventory.conftest import Host

LIMIT = 20  # seconds; a test that waits longer fails


@asynccontextmanager
async def kept(host: Host) -> AsyncIterator[AsyncIterator[Inventory]]:
    """The inventories of a stock that is kept, the first of them already taken."""
    stock = Stock(["/etc/cdi"], host.tree)
    keeping = asyncio.create_task(stock.keep())
    follower = stock.follow()
    await follower.__anext__()
    await asyncio.sleep(0)  # so that the watches are there
    try:
        yield follower
    finally:
        await end([keeping])


def faults(inventory: Inventory) -> dict[str, bool]:
    return {item.name: bool(item.fault) for item in inventory}


def appear(host: Host) -> None:
    host.node("g0")


def vanish(host: Host) -> None:
    (host.root / "dev/g0").unlink()


def new_spec(host: Host) -> None:
    host.spec("b.json", {"1": {"containerEdits": {"env": ["A=1"]}}})


def no_spec(host: Host) -> None:
    (host.specs / "a.json").unlink()


def no_directory(host: Host) -> None:
    shutil.rmtree(host.specs)


def renamed_spec(host: Host) -> None:
    (host.specs / "a.json").rename(host.specs / "a.txt")


@pytest.mark.parametrize(
    ("there", "change", "expected"),
    [
        (False, appear, {"0": False}),
        (True, vanish, {"0": True}),
        (True, new_spec, {"0": False, "1": False}),
        (True, no_spec, {}),
        (True, no_directory, {}),
        (True, renamed_spec, {}),
    ],
)
def test_a_change_is_seen(there: bool, change: Callable[[Host], None], expected: dict[str, bool], host: Host) -> None:
    if there:
        host.node("g0")
    host.spec("a.json", {"0": ["g0"]})

    async def scenario() -> Inventory:
        async with kept(host) as inventories:
            change(host)
            return await asyncio.wait_for(inventories.__anext__(), LIMIT)

    assert faults(asyncio.run(scenario())) == expected


def test_directories_that_come_later_are_watched(host: Host) -> None:
    host.specs.rmdir()

    async def scenario() -> list[dict[str, bool]]:
        async with kept(host) as inventories:
            host.specs.mkdir()
            host.spec("a.json", {"0": {"containerEdits": {"deviceNodes": [{"path": "/dev/deep/er/g0"}]}}})
            seen = [faults(await asyncio.wait_for(inventories.__anext__(), LIMIT))]
            (host.root / "dev/deep/er").mkdir(parents=True)
            host.node("deep/er/g0")
            return [*seen, faults(await asyncio.wait_for(inventories.__anext__(), LIMIT))]

    assert asyncio.run(scenario()) == [{"0": True}, {"0": False}]


def test_nothing_is_read_again_while_nothing_changes(host: Host) -> None:
    host.spec("a.json", {"0": ["g0"]})

    async def scenario() -> bool:
        stock = Stock(["/etc/cdi"], host.tree)
        before = stock.catalogue
        stock.look()
        return stock.catalogue is before

    assert asyncio.run(scenario())


def test_a_noise_in_a_directory_of_nodes_is_no_sign(host: Host) -> None:
    """Programs open /dev/null all the time, and make and remove files beside a library that is mounted."""
    host.node("g0")
    host.spec("a.json", {"0": ["g0"]})

    async def scenario() -> bool:
        stock = Stock(["/etc/cdi"], host.tree)
        keeping = asyncio.create_task(stock.keep())
        await asyncio.sleep(0)
        host.node("other")
        (host.root / "dev/other").unlink()
        (host.specs / "notes.txt").write_text("")
        await asyncio.sleep(0)
        await end([keeping])
        return stock._sign.is_set()

    assert not asyncio.run(scenario())


def test_who_follows_late_gets_the_latest_alone(host: Host) -> None:
    host.spec("a.json", {"0": ["g0"]})

    async def scenario() -> list[dict[str, bool]]:
        stock = Stock(["/etc/cdi"], host.tree)
        inventories = stock.follow()
        seen = [faults(await inventories.__anext__())]
        host.node("g0")
        stock.look()
        no_spec(host)
        stock.look()
        return [*seen, faults(await asyncio.wait_for(inventories.__anext__(), LIMIT))]

    assert asyncio.run(scenario()) == [{"0": True}, {}]


def test_the_more_there_is_to_look_at_the_less_often_we_look(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    async def pauses() -> list[float]:
        stock = Stock(["/etc/cdi"], host.tree)
        short = stock.pause
        clock = iter([1.0, 1.5])
        monkeypatch.setattr("time.process_time", lambda: next(clock))
        stock.look()
        return [short, stock.pause]

    assert asyncio.run(pauses()) == [30.0, 1000.0]
