"""A stand-in for Nomad's agent: how its plugin loader and go-plugin start, ask and end a plugin, to the letter.

It passes a cookie and versions, reads one line, dials the socket, and at the end calls Shutdown.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from grpclib.client import Channel, UnaryStreamMethod, UnaryUnaryMethod
from grpclib.exceptions import StreamTerminatedError

from cdi_runc.nomad.wire import base_pb2 as base
from cdi_runc.nomad.wire import device_pb2 as wire
from cdi_runc.nomad.wire import process_pb2 as process

LIMIT = 20.0  # seconds; who waits longer fails

ENVIRONMENT = {
    "NOMAD_PLUGIN_MAGIC_COOKIE": "e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255",
    "PLUGIN_PROTOCOL_VERSIONS": "2",
    "PLUGIN_MIN_PORT": "10000",
    "PLUGIN_MAX_PORT": "25000",
}
BASE = "/hashicorp.nomad.plugins.base.proto.BasePlugin"
DEVICES = "/hashicorp.nomad.plugins.device.DevicePlugin"


def program(settings: Path) -> list[str]:
    """The plugin, with settings of the test's own."""
    return [sys.executable, "-c", f"from cdi_runc.nomad.command import main; main({str(settings)!r})"]


def environment(temporary: Path, **more: str) -> dict[str, str]:
    """What the agent's child gets."""
    own = {name: value for name, value in os.environ.items() if name != "PLUGIN_UNIX_SOCKET_DIR"}
    return {**own, **ENVIRONMENT, "TMPDIR": str(temporary), **more}


async def until(condition: Callable[[], bool], what: str) -> None:
    """Waits until it holds; fails after LIMIT."""
    end = asyncio.get_running_loop().time() + LIMIT
    while not condition():
        assert asyncio.get_running_loop().time() < end, what
        await asyncio.sleep(0.005)


class Instance:
    """One plugin that runs, and the agent's connection to it."""

    def __init__(self, child: asyncio.subprocess.Process, path: str) -> None:
        self.child = child
        self.path = path
        self.channel = Channel(path=path)
        self.log: list[dict[str, str]] = []
        self._reading = asyncio.create_task(self._read_log())

    async def call(self, path: str, request: Any, answer: type) -> Any:
        """One call."""
        return await asyncio.wait_for(UnaryUnaryMethod(self.channel, path, type(request), answer)(request), LIMIT)

    async def info(self) -> base.PluginInfoResponse:
        answer: base.PluginInfoResponse = await self.call(
            f"{BASE}/PluginInfo", base.PluginInfoRequest(), base.PluginInfoResponse
        )
        return answer

    async def schema(self) -> base.ConfigSchemaResponse:
        answer: base.ConfigSchemaResponse = await self.call(
            f"{BASE}/ConfigSchema", base.ConfigSchemaRequest(), base.ConfigSchemaResponse
        )
        return answer

    async def set_config(self, config: Mapping[str, Any] | bytes) -> None:
        data = config if isinstance(config, bytes) else packed(config)
        request = base.SetConfigRequest(msgpack_config=data, plugin_api_version="v0.1.0")
        await self.call(f"{BASE}/SetConfig", request, base.SetConfigResponse)

    async def reserve(self, *names: str) -> wire.ContainerReservation:
        request = wire.ReserveRequest(device_ids=names)
        answer: wire.ReserveResponse = await self.call(f"{DEVICES}/Reserve", request, wire.ReserveResponse)
        return answer.container_res

    @contextlib.asynccontextmanager
    async def fingerprints(self) -> AsyncIterator[AsyncIterator[dict[str, str]]]:
        """The lists that come: the health descriptions by ID, '' for what is healthy."""
        async with self.stream("Fingerprint", wire.FingerprintRequest(), wire.FingerprintResponse) as lists:
            yield (described(each) async for each in lists)

    @contextlib.asynccontextmanager
    async def stream(self, method: str, request: Any, answer: type) -> AsyncIterator[AsyncIterator[Any]]:
        """What one stream gives, each within the limit."""
        called: UnaryStreamMethod[Any, Any] = UnaryStreamMethod(
            self.channel, f"{DEVICES}/{method}", type(request), answer
        )
        async with called.open() as stream:
            await stream.send_message(request, end=True)

            async def messages() -> AsyncIterator[Any]:
                while (message := await asyncio.wait_for(stream.recv_message(), LIMIT)) is not None:
                    yield message

            yield messages()
            with contextlib.suppress(StreamTerminatedError):  # where the plugin has ended
                await stream.cancel()

    async def until_logged(self, words: str, level: str) -> None:
        """Wait until the log has a line with these words, which is of this level."""
        await until(lambda: any(words in line["@message"] and line["@level"] == level for line in self.log), words)

    async def kill(self) -> int:
        """End it as go-plugin does. The status: 0 where it has ended by itself."""
        await self.call("/plugin.GRPCController/Shutdown", process.Empty(), process.Empty)
        return await asyncio.wait_for(self.child.wait(), LIMIT)  # the agent's own limit is 2 seconds

    async def close(self) -> None:
        """Nothing of it is left."""
        self.channel.close()
        with contextlib.suppress(ProcessLookupError):
            self.child.kill()
        await asyncio.wait_for(self._reading, LIMIT)
        await self.child.wait()

    async def _read_log(self) -> None:
        assert self.child.stderr
        while line := await self.child.stderr.readline():
            self.log.append(json.loads(line))  # an exception here is a line that is not JSON


def described(answer: wire.FingerprintResponse) -> dict[str, str]:
    """The health descriptions of all devices by ID."""
    for group in answer.device_group:
        assert group.vendor, group
        assert group.device_type, group
        assert group.device_name, group
    devices = [device for group in answer.device_group for device in group.devices]
    assert all(device.healthy == (not device.health_description) for device in devices)
    return {device.ID: device.health_description for device in devices}


@contextlib.asynccontextmanager
async def started(settings: Path, temporary: Path) -> AsyncIterator[Instance]:
    """A plugin that the agent has started, connected."""
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *program(settings), env=environment(temporary), stdout=pipe, stderr=pipe
    )
    assert child.stdout
    line = await asyncio.wait_for(child.stdout.readline(), LIMIT)
    core, version, network, path, protocol = line.decode().rstrip("\n").split("|")
    assert (core, version, network, protocol) == ("1", "2", "unix", "grpc")
    instance = Instance(child, path)
    try:
        yield instance
    finally:
        await instance.close()


def packed(value: Any) -> bytes:
    """MessagePack, as cty writes a configuration."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return b"\xd3" + value.to_bytes(8, "big", signed=True)
    if isinstance(value, str):
        data = value.encode()
        return (bytes([0xA0 | len(data)]) if len(data) < 32 else b"\xd9" + bytes([len(data)])) + data
    if isinstance(value, list):
        return bytes([0x90 | len(value)]) + b"".join(map(packed, value))
    return bytes([0x80 | len(value)]) + b"".join(packed(key) + packed(each) for key, each in value.items())
