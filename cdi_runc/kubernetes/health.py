"""What the driver tells the kubelet of the health of devices (k8s.io/kubelet pkg/apis/dra-health)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping

from cdi_runc.inventory.inventory import Item
from cdi_runc.inventory.serving import Serialized
from cdi_runc.inventory.stock import Stock
from cdi_runc.kubernetes.wire import dra_pb2 as wire

PAUSE = 12.0  # seconds between two words, if nothing changes
REST = 1000  # times as long as a word takes until the next one: many devices take no more of the CPU than few
GOOD_FOR = 3  # pauses for which the kubelet may believe a word


async def health(stock: Stock, node: str, items: Callable[[], Mapping[str, Item]]) -> AsyncGenerator[Serialized, None]:
    """The health of all devices now, at each change, and again before the kubelet believes it no more.

    `items` gives those that are in stock by their names in the slices.
    """
    pause = PAUSE
    inventories = stock.follow()
    coming = asyncio.ensure_future(inventories.__anext__())
    try:
        while True:
            await asyncio.wait([coming], timeout=pause)
            if coming.done():
                coming = asyncio.ensure_future(inventories.__anext__())
            started = time.process_time()
            word = _word(items(), node, GOOD_FOR * pause)
            rest = REST * (time.process_time() - started)
            if rest > pause:
                pause = 2 * rest  # with room, since the kubelet takes another time for a change of health
                word = _word(items(), node, GOOD_FOR * pause)
            yield word
    finally:
        coming.cancel()


def _word(items: Mapping[str, Item], node: str, good_for: float) -> Serialized:
    when = {"last_updated_time": int(time.time()), "health_check_timeout_seconds": int(good_for)}
    return Serialized(b"".join(_of(label, item, node, when) for label, item in items.items()))


def _of(label: str, item: Item, node: str, when: Mapping[str, int]) -> bytes:
    health = wire.UNHEALTHY if item.fault else wire.HEALTHY
    device = wire.DeviceIdentifier(pool_name=node, device_name=label)
    said = wire.DeviceHealth(device=device, health=health, message=item.fault[:1024], **when)
    return wire.NodeWatchResourcesResponse(devices=[said]).SerializeToString()
