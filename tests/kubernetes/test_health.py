"""What the driver tells of the health of devices, and how often."""

import asyncio
import time

import pytest

from cdi_runc.inventory.stock import Stock
from cdi_runc.kubernetes import health
from cdi_runc.kubernetes.wire import dra_pb2 as wire
from tests.inventory.conftest import Host


def test_a_word_that_takes_long_comes_seldom_and_is_good_for_longer(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.node("g0")
    host.spec("gpu.json", {"0": ["g0"]})
    stock = Stock(["/etc/cdi"], host.tree)
    seconds = iter([0, 0.001, 10, 10.125])  # of CPU, before and after each of two words
    monkeypatch.setattr(time, "process_time", lambda: next(seconds))

    async def first() -> wire.DeviceHealth:
        words = health.health(stock, "node-1", lambda: {item.name: item for item in stock.inventory})
        said = wire.NodeWatchResourcesResponse.FromString(await words.__anext__())
        await words.aclose()
        return said.devices[0]

    quick, slow = asyncio.run(first()), asyncio.run(first())
    assert (quick.device.device_name, quick.health, quick.health_check_timeout_seconds) == ("0", wire.HEALTHY, 36)
    assert slow.health_check_timeout_seconds == 750  # three pauses of 250 s, for 0.125 s of CPU
