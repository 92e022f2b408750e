"""A stand-in for the kubelet's device manager: what Kubernetes 1.36 does (pkg/kubelet/cm/devicemanager), to the letter.

It dials inside of Register, believes GetDevicePluginOptions and not the request, takes 4 MiB a message, removes all
sockets when it starts, and, when an older stream of a resource ends, disconnects the newer one.

An old one does what 1.20 does: it answers Register before it dials, believes the request, knows no field for CDI,
and leaves a newer client alone.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from grpclib.client import Channel, UnaryStreamMethod, UnaryUnaryMethod
from grpclib.exceptions import GRPCError, StreamTerminatedError

from cdi_runc.inventory.serving import Refused, served, unary
from cdi_runc.kubernetes.wire import deviceplugin_pb2 as wire

LIMIT = 20.0  # seconds; who waits longer fails
DIAL_TIME = 10.0
MAX_MESSAGE = 4 << 20
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


async def until(condition: Callable[[], Any], what: str = "") -> None:
    """Waits until it holds; fails after LIMIT."""
    end = asyncio.get_running_loop().time() + LIMIT
    while not condition():
        assert asyncio.get_running_loop().time() < end, what or "this never came"
        await asyncio.sleep(0.005)


class Endpoint:
    """The kubelet's client of one registration."""

    def __init__(self, path: Path) -> None:
        self.channel = Channel(path=str(path))
        self.options = wire.DevicePluginOptions()
        self.stream: asyncio.Task[None] | None = None

    async def call(self, method: str, request: Any, answer: type) -> Any:
        """One call, without a deadline, as the kubelet's are."""
        path = f"/v1beta1.DevicePlugin/{method}"
        return await UnaryUnaryMethod(self.channel, path, type(request), answer)(request)

    def close(self) -> None:
        if self.stream:
            self.stream.cancel()
        self.channel.close()


class Kubelet:
    """The device manager, below a directory like /var/lib/kubelet."""

    def __init__(self, directory: Path, old: bool = False) -> None:
        self.directory = directory / "device-plugins"
        self.socket = self.directory / "kubelet.sock"
        self.old = old
        self.devices: dict[str, dict[str, wire.Device]] = {}  # by resource and ID
        self.lists: dict[str, int] = {}  # how many came
        self.registrations: list[str] = []
        self.refusals: list[str] = []
        self.endpoints: dict[str, Endpoint] = {}
        self._opened: list[Endpoint] = []
        self._adding: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """From its start to its end: a killed kubelet does no more, and leaves its socket."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for path in self.directory.iterdir():
            if path.is_socket():
                path.unlink()
        self.devices.clear()
        methods = {"/v1beta1.Registration/Register": unary(wire.RegisterRequest, wire.Empty, self._register)}
        async with served(str(self.socket), methods):
            try:
                yield
            finally:
                for adding in self._adding:
                    adding.cancel()
                for endpoint in self._opened:
                    endpoint.close()
                self._opened.clear()
                self.endpoints.clear()

    def healthy(self, resource: str) -> list[str]:
        """The IDs that can be allocated."""
        return sorted(name for name, each in self.devices.get(resource, {}).items() if each.health == "Healthy")

    def capacity(self, resource: str) -> list[str]:
        """The IDs that there are."""
        return sorted(self.devices.get(resource, {}))

    async def allocate(self, resource: str, *identifiers: str) -> wire.ContainerAllocateResponse:
        """What a container gets that was given these devices."""
        request = wire.AllocateRequest(container_requests=[wire.ContainerAllocateRequest(devices_ids=identifiers)])
        answer: wire.AllocateResponse = await self.endpoints[resource].call("Allocate", request, wire.AllocateResponse)
        assert len(answer.container_responses) == 1, "no containers return in allocation response"
        first = answer.container_responses[0]
        if self.old:
            del first.cdi_devices[:]
        return first

    async def prefers(self, resource: str, size: int, available: Sequence[str], must: Sequence[str] = ()) -> list[str]:
        """What the plugin would give of these, if it says that it can be asked."""
        endpoint = self.endpoints[resource]
        assert endpoint.options.get_preferred_allocation_available
        container = wire.ContainerPreferredAllocationRequest(
            available_deviceIDs=available, must_include_deviceIDs=must, allocation_size=size
        )
        request = wire.PreferredAllocationRequest(container_requests=[container])
        answer = await endpoint.call("GetPreferredAllocation", request, wire.PreferredAllocationResponse)
        return list(answer.container_responses[0].deviceIDs)

    async def _register(self, request: wire.RegisterRequest) -> wire.Empty:
        try:
            self._check(request)
            if self.old:
                self._adding.append(asyncio.create_task(self._add(request)))
            else:
                await self._add(request)
        except Refused as refused:
            self.refusals.append(str(refused))
            raise
        return wire.Empty()

    async def _add(self, request: wire.RegisterRequest) -> None:
        resource = request.resource_name
        endpoint = await self._dial(self.directory / request.endpoint)
        endpoint.options = request.options
        if not self.old:
            endpoint.options = await endpoint.call("GetDevicePluginOptions", wire.Empty(), wire.DevicePluginOptions)
        self.endpoints[resource] = endpoint
        self.registrations.append(resource)
        endpoint.stream = asyncio.create_task(self._listen(resource, endpoint))

    def _check(self, request: wire.RegisterRequest) -> None:
        if request.version != "v1beta1":
            raise Refused(f"requested API version {request.version!r} is not supported by kubelet")
        prefix, _, name = request.resource_name.partition("/")
        if (
            "kubernetes.io/" in request.resource_name
            or not _NAME.fullmatch(name)
            or not _PREFIX.fullmatch(prefix)
            or len(f"requests.{prefix}") > 253
        ):
            raise Refused(f"the ResourceName {request.resource_name!r} is invalid")

    async def _dial(self, path: Path) -> Endpoint:
        if len(os.fsencode(path)) > 107 or not path.is_socket():
            await asyncio.sleep(min(DIAL_TIME, 0.1))  # the kubelet blocks for 10 s
            raise Refused("failed to dial device plugin: context deadline exceeded")
        endpoint = Endpoint(path)
        self._opened.append(endpoint)
        return endpoint

    async def _listen(self, resource: str, endpoint: Endpoint) -> None:
        try:
            method = UnaryStreamMethod(
                endpoint.channel, "/v1beta1.DevicePlugin/ListAndWatch", wire.Empty, wire.ListAndWatchResponse
            )
            async with method.open() as stream:
                await stream.send_message(wire.Empty(), end=True)
                async for answer in stream:
                    assert answer.ByteSize() <= MAX_MESSAGE, "received message larger than max"
                    self.devices[resource] = {device.ID: device for device in answer.devices}
                    self.lists[resource] = self.lists.get(resource, 0) + 1
        except (GRPCError, StreamTerminatedError, OSError, AssertionError):
            pass
        finally:
            self._stopped(resource, endpoint)

    def _stopped(self, resource: str, endpoint: Endpoint) -> None:
        """The end of a stream: all is unhealthy, and the resource's client is disconnected, be it this one's or not.

        An old kubelet does this only for the current client's stream.
        """
        if self.old and self.endpoints.get(resource) is not endpoint:
            endpoint.channel.close()
            return
        for device in self.devices.get(resource, {}).values():
            device.health = "Unhealthy"
        current = self.endpoints.pop(resource, None)
        if current and current is not endpoint:
            current.close()
        endpoint.channel.close()
