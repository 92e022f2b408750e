"""What cdi-node tells probes and Prometheus, over HTTP: /readyz, /healthz, /metrics (text format 0.0.4)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING

from cdi_runc.kubernetes.exposition import Sample, text

if TYPE_CHECKING:
    from cdi_runc.inventory.inventory import Inventory

READ_TIME = 5.0  # seconds for a client to send its request
MAX_REQUEST = 8192  # bytes of it


def of_inventory(inventory: Inventory) -> Iterable[Sample]:
    """The devices of each kind by health, and how many spec files have faults."""
    for kind, items in inventory.kinds.items():
        sick = sum(bool(item.fault) for item in items.values())
        yield "cdi_devices", {"kind": kind, "health": "healthy"}, len(items) - sick
        yield "cdi_devices", {"kind": kind, "health": "unhealthy"}, sick
    yield "cdi_spec_faults", {}, len(inventory.faults)


@contextlib.asynccontextmanager
async def told(address: str, ready: Callable[[], str], samples: Callable[[], Iterable[Sample]]) -> AsyncIterator[None]:
    """Answer at [HOST:]PORT for as long as the context lasts. `ready` says what is not ready yet; '' if all is.

    Raises OSError, and ValueError for a malformed address.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            request = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), READ_TIME)
            status, body = _answer(request.split(b" ", 2)[1:2], ready, samples)
            head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n"
            writer.write(f"{head}Content-Length: {len(body.encode())}\r\n\r\n{body}".encode())
            await writer.drain()
        writer.close()

    host, _, port = address.rpartition(":")
    server = await asyncio.start_server(answer, host.strip("[]") or None, int(port), limit=MAX_REQUEST)
    try:
        yield
    finally:
        server.close()


def _answer(path: list[bytes], ready: Callable[[], str], samples: Callable[[], Iterable[Sample]]) -> tuple[str, str]:
    if path == [b"/metrics"]:
        return "200 OK", text(samples())
    if path == [b"/healthz"]:
        return "200 OK", "ok\n"
    if path == [b"/readyz"]:
        missing = ready()
        return ("503 Service Unavailable", f"{missing}\n") if missing else ("200 OK", "ok\n")
    return "404 Not Found", "there are /readyz, /healthz and /metrics\n"
