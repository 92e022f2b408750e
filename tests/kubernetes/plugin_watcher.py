"""A stand-in for how the kubelet finds a DRA driver and calls it (pkg/kubelet/pluginmanager, pkg/kubelet/cm/dra)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from grpclib.client import Channel, UnaryStreamMethod, UnaryUnaryMethod
from grpclib.exceptions import GRPCError, StreamTerminatedError

from cdi_runc.inventory.ending import end
from cdi_runc.kubernetes.wire import dra_pb2 as wire
from cdi_runc.kubernetes.wire import registration_pb2 as registration

INFO_TIME = 1.0  # seconds
SERVICES = {
    "v1.DRAPlugin": "k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin",
    "v1beta1.DRAPlugin": "k8s.io.kubelet.pkg.apis.dra.v1beta1.DRAPlugin",
}


class PluginWatcher:
    """What a kubelet of some age does with the sockets in plugins_registry."""

    def __init__(self, directory: Path, knows: tuple[str, ...] = ("v1.DRAPlugin", "v1beta1.DRAPlugin")) -> None:
        self.registry = directory / "plugins_registry"
        self.knows = knows
        self.plugins: dict[Path, registration.PluginInfo] = {}
        self.order: list[Path] = []
        self.refuse = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """From its start to its end."""
        self.plugins.clear()
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            await end([watching])

    async def prepare(self, *claims: Any) -> wire.NodePrepareResourcesResponse:
        """Prepare claims as they are in the API; each has an entry in the answer, and no other."""
        request = wire.NodePrepareResourcesRequest(claims=list(map(_claim, claims)))
        answer: wire.NodePrepareResourcesResponse = await self._call(
            "NodePrepareResources", request, wire.NodePrepareResourcesResponse
        )
        assert set(answer.claims) == {each.uid for each in request.claims}
        return answer

    async def unprepare(self, *claims: Any) -> wire.NodeUnprepareResourcesResponse:
        """Unprepare claims."""
        request = wire.NodeUnprepareResourcesRequest(claims=list(map(_claim, claims)))
        answer: wire.NodeUnprepareResourcesResponse = await self._call(
            "NodeUnprepareResources", request, wire.NodeUnprepareResourcesResponse
        )
        assert set(answer.claims) == {each.uid for each in request.claims}
        return answer

    async def health(
        self, service: str = "v1alpha1.DRAResourceHealth"
    ) -> AsyncGenerator[dict[str, tuple[int, str]], None]:
        """Health and message by the devices' names, each time that they come."""
        channel = Channel(path=self._current().endpoint)
        try:
            method = UnaryStreamMethod(
                channel,
                f"/{service}/NodeWatchResources",
                wire.NodeWatchResourcesRequest,
                wire.NodeWatchResourcesResponse,
            )
            async with method.open() as stream:
                await stream.send_message(wire.NodeWatchResourcesRequest(), end=True)
                async for answer in stream:
                    yield {each.device.device_name: (each.health, each.message) for each in answer.devices}
        finally:
            channel.close()

    def _current(self) -> registration.PluginInfo:
        """The driver that registered last, among those that are there."""
        return self.plugins[[path for path in self.order if path in self.plugins][-1]]

    async def _call(self, method: str, request: Any, answer: type) -> Any:
        info = self._current()
        service = next(version for version in info.supported_versions if version in self.knows)
        channel = Channel(path=info.endpoint)
        try:
            return await UnaryUnaryMethod(channel, f"/{SERVICES[service]}/{method}", type(request), answer)(
                request, timeout=45
            )
        finally:
            channel.close()

    async def _watch(self) -> None:
        while True:
            found = {path for path in self.registry.glob("*") if path.is_socket()} if self.registry.is_dir() else set()
            for path in self.plugins.keys() - found:
                del self.plugins[path]
            for path in sorted(found - self.plugins.keys()):
                await self._register(path)
            await asyncio.sleep(0.01)

    async def _register(self, path: Path) -> None:
        channel = Channel(path=str(path))
        service = "/pluginregistration.Registration"
        try:
            info = await UnaryUnaryMethod(
                channel, f"{service}/GetInfo", registration.InfoRequest, registration.PluginInfo
            )(registration.InfoRequest(), timeout=INFO_TIME)
            assert info.type == "DRAPlugin"
            status = registration.RegistrationStatus(plugin_registered=not self.refuse, error=self.refuse)
            if not self.refuse:
                self.plugins[path] = info
                self.order.append(path)
            await UnaryUnaryMethod(
                channel,
                f"{service}/NotifyRegistrationStatus",
                registration.RegistrationStatus,
                registration.RegistrationStatusResponse,
            )(status, timeout=5)
        except (OSError, GRPCError, StreamTerminatedError, asyncio.TimeoutError):
            pass
        finally:
            channel.close()


def _claim(claim: Any) -> wire.Claim:
    metadata = claim["metadata"]
    return wire.Claim(namespace=metadata["namespace"], uid=metadata["uid"], name=metadata["name"])
