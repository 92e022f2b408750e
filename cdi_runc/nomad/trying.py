"""`cdi-nomad --try PLUGIN CONFIG`: start a plugin as Nomad's agent does, and say in JSON what it answers.

For `cdictl engine test nomad`, which must not know the protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Mapping
from typing import Any

from cdi_runc.nomad import handshake, messagepack

_LIMIT = 20.0  # seconds for the whole trial; the agent itself waits for a minute


class Failed(Exception):
    """What the plugin does not do, in one line."""


def tried(program: str, config: Mapping[str, object], device: str) -> dict[str, Any]:
    """The plugin's name and version, the fault of each device ('' for none), and what Reserve gives for one of them.

    `refused` is the reason where the device can't be reserved. Raises Failed where the plugin does not answer.
    """
    try:
        return asyncio.run(asyncio.wait_for(_tried(program, config, device), _LIMIT))
    except (TimeoutError, asyncio.TimeoutError):
        raise Failed(f"{program} did not answer within {_LIMIT:g} s") from None
    except OSError as error:
        raise Failed(f"{program}: {error.strerror or error}") from None


async def _tried(program: str, config: Mapping[str, object], device: str) -> dict[str, Any]:
    environment = {**os.environ, handshake.COOKIE: handshake.COOKIE_VALUE}
    environment["PLUGIN_PROTOCOL_VERSIONS"] = str(handshake.VERSION)
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(program, env=environment, stdout=pipe, stderr=pipe)
    try:
        assert child.stdout
        line = (await child.stdout.readline()).decode(errors="replace").strip()
        fields = line.split("|")
        if len(fields) < 5 or fields[2] != "unix":
            raise Failed(f"{program} is no plugin that works: {line or await _complaint(child)}")
        return await _asked(fields[3], config, device)
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        await child.wait()


async def _complaint(child: asyncio.subprocess.Process) -> str:
    assert child.stderr
    lines = (await child.stderr.read()).decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it says nothing"


async def _asked(socket: str, config: Mapping[str, object], device: str) -> dict[str, Any]:
    from grpclib.client import Channel, UnaryStreamMethod, UnaryUnaryMethod
    from grpclib.exceptions import GRPCError

    from cdi_runc.nomad.plugin import BASE, DEVICES
    from cdi_runc.nomad.wire import base_pb2 as base
    from cdi_runc.nomad.wire import device_pb2 as wire

    channel = Channel(path=socket)

    async def call(method: str, request: Any, answer: type) -> Any:
        return await UnaryUnaryMethod(channel, method, type(request), answer)(request)

    try:
        info = await call(f"{BASE}/PluginInfo", base.PluginInfoRequest(), base.PluginInfoResponse)
        data = base.SetConfigRequest(msgpack_config=messagepack.written(config), plugin_api_version="v0.1.0")
        await call(f"{BASE}/SetConfig", data, base.SetConfigResponse)
        stream: UnaryStreamMethod[Any, Any] = UnaryStreamMethod(
            channel, f"{DEVICES}/Fingerprint", wire.FingerprintRequest, wire.FingerprintResponse
        )
        async with stream.open() as lists:
            await lists.send_message(wire.FingerprintRequest(), end=True)
            found = await lists.recv_message()
            await lists.cancel()
        if found is None:
            raise Failed("the plugin has ended the list of devices")
        devices = {each.ID: each.health_description for group in found.device_group for each in group.devices}
        said: dict[str, Any] = {"name": info.name, "version": info.plugin_version, "devices": devices}
        try:
            answer = await call(f"{DEVICES}/Reserve", wire.ReserveRequest(device_ids=[device]), wire.ReserveResponse)
        except GRPCError as refusal:
            return {**said, "refused": refusal.message or str(refusal)}
        given = answer.container_res
        paths = {
            "mounts": [each.task_path for each in given.mounts],
            "nodes": [each.task_path for each in given.devices],
        }
        return {**said, "refused": "", **paths, "envs": sorted(given.envs)}
    finally:
        channel.close()


def main(program: str, config: str, device: str) -> str:
    """What is printed."""
    try:
        return json.dumps(tried(program, json.loads(config), device))
    except Failed as fault:
        return json.dumps({"fault": str(fault)})
