"""The device plugin: what Nomad's agent asks, and the answers (hashicorp/nomad plugins/base, plugins/device)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any

from grpclib.const import Cardinality, Handler, Status

from cdi_runc import __version__
from cdi_runc.host.places import SYSTEM_CONFIG
from cdi_runc.inventory.ending import end
from cdi_runc.inventory.serving import Methods, Refused, streaming, unary
from cdi_runc.inventory.stock import AGAIN, Stock
from cdi_runc.nomad import carrying, config
from cdi_runc.nomad.log import log
from cdi_runc.nomad.offering import offer
from cdi_runc.nomad.wire import base_pb2 as base
from cdi_runc.nomad.wire import device_pb2 as wire
from cdi_runc.nomad.wire import process_pb2 as process

if TYPE_CHECKING:
    from grpclib.server import Stream

    from cdi_runc.inventory.inventory import Inventory, Item

NAME = "cdi-nomad"
DEVICE = 3  # the type of a device plugin
API_VERSION = "v0.1.0"  # of Nomad's device plugins
SERVING = 1

BASE = "/hashicorp.nomad.plugins.base.proto.BasePlugin"
DEVICES = "/hashicorp.nomad.plugins.device.DevicePlugin"

NOT_READ = (
    "cdi-runc reads no requests by mounts: set `requests: mounts:` in its settings, for example to "
    f"{config.MARKERS}, and start Nomad's agent again"
)


class Plugin:
    """Answers for all devices of the node. `ended` is done when the agent says so, or when a task failed."""

    def __init__(self, settings_file: str = SYSTEM_CONFIG) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._settings_file = settings_file
        self._config: config.Config | None = None  # none either where it is bad
        self._stock: Stock | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._list = wire.FingerprintResponse()
        self._number = 0
        self._new = asyncio.Event()
        self._told: set[str] = set()

    def methods(self) -> Methods:
        """What is served on the socket."""
        return {
            f"{BASE}/PluginInfo": unary(base.PluginInfoRequest, base.PluginInfoResponse, self._info),
            f"{BASE}/ConfigSchema": unary(base.ConfigSchemaRequest, base.ConfigSchemaResponse, self._schema),
            f"{BASE}/SetConfig": unary(base.SetConfigRequest, base.SetConfigResponse, self._set_config),
            f"{DEVICES}/Fingerprint": streaming(wire.FingerprintRequest, wire.FingerprintResponse, self._fingerprint),
            f"{DEVICES}/Reserve": unary(wire.ReserveRequest, wire.ReserveResponse, self._reserve),
            f"{DEVICES}/Stats": streaming(wire.StatsRequest, wire.StatsResponse, self._stats),
            "/grpc.health.v1.Health/Check": unary(
                process.HealthCheckRequest, process.HealthCheckResponse, self._health
            ),
            "/plugin.GRPCController/Shutdown": Handler(
                self._shutdown, Cardinality.UNARY_UNARY, process.Empty, process.Empty
            ),
        }

    async def close(self) -> None:
        """Watch nothing any more."""
        if self._keeping:
            await end([self._keeping])

    async def _info(self, request: base.PluginInfoRequest) -> base.PluginInfoResponse:
        return base.PluginInfoResponse(
            type=DEVICE, plugin_api_versions=[API_VERSION], plugin_version=__version__, name=NAME
        )

    async def _schema(self, request: base.ConfigSchemaRequest) -> base.ConfigSchemaResponse:
        return config.schema()

    async def _set_config(self, request: base.SetConfigRequest) -> base.SetConfigResponse:
        """Never an error, with which the whole agent would not start: a bad configuration means no devices."""
        await self.close()
        self._keeping = self._stock = self._config = None
        try:
            self._config = config.read(request.msgpack_config, self._settings_file)
        except config.BadConfig as fault:
            log("error", f"no devices are offered: {fault}")
        if self._config and self._config.mode == "name" and not self._config.markers:
            log("error", f"no device can be used: {NOT_READ}")
        self._offer(wire.FingerprintResponse())
        return base.SetConfigResponse()

    async def _fingerprint(self, request: wire.FingerprintRequest) -> AsyncGenerator[wire.FingerprintResponse, None]:
        self._look()
        sent = -1
        while True:
            if sent == self._number:
                await self._new.wait()
            sent = self._number
            yield self._list

    async def _reserve(self, request: wire.ReserveRequest) -> wire.ReserveResponse:
        """What a task needs. A refusal is the text that the events of the task show."""
        stock = self._look()
        if not self._config or not stock:
            raise Refused("the configuration of cdi-nomad is bad: see the agent's log", Status.UNKNOWN)
        names: Sequence[str] = request.device_ids
        for name in names:
            if fault := self._refusal(name, names, stock):
                raise Refused(fault, Status.UNKNOWN)
        if self._config.mode == "name":
            mounts = [carrying.marker(self._config.markers, name) for name in names]
            return wire.ReserveResponse(container_res=wire.ContainerReservation(mounts=mounts))
        return wire.ReserveResponse(container_res=carrying.carried(stock.registry, names, stock.tree))

    async def _stats(self, request: wire.StatsRequest) -> AsyncGenerator[wire.StatsResponse, None]:
        """CDI knows no figures of devices. An end of the stream would be an error to the agent."""
        yield wire.StatsResponse()
        await asyncio.get_running_loop().create_future()

    async def _health(self, request: process.HealthCheckRequest) -> process.HealthCheckResponse:
        return process.HealthCheckResponse(status=SERVING)

    async def _shutdown(self, stream: Stream[Any, Any]) -> None:
        """The answer leaves first: without it, the agent waits 2 s and kills us."""
        await stream.recv_message()
        await stream.send_message(process.Empty())
        await stream.send_trailing_metadata()
        if not self.ended.done():
            self.ended.set_result(None)

    def _look(self) -> Stock | None:
        """The stock as it is now. Not before somebody asks: two of an agent's three starts ask for no devices."""
        if self._config and not self._stock:
            self._stock = Stock(self._config.spec_dirs, with_specs=self._config.mode == "edits")
            self._update(self._stock.inventory)
            self._keeping = asyncio.create_task(self._keep(self._stock))
            self._keeping.add_done_callback(self._ended)
        elif self._stock:
            self._stock.look()
        return self._stock

    async def _keep(self, stock: Stock) -> None:
        following = asyncio.create_task(self._follow(stock))
        try:
            try:
                await stock.keep()
            except OSError as error:
                log(
                    "warn", f"changes are seen after {AGAIN:.0f} s only, since inotify fails: {error.strerror or error}"
                )
            while True:
                await asyncio.sleep(AGAIN)
                stock.look()
        finally:
            await end([following])

    async def _follow(self, stock: Stock) -> None:
        async for inventory in stock.follow():
            self._update(inventory)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A task that ends by itself has an unknown fault. Then everything ends, and the agent starts us again."""
        error = None if task.cancelled() else task.exception()
        if error and not self.ended.done():
            self.ended.set_exception(error)

    def _update(self, inventory: Inventory) -> None:
        for fault in sorted(set(inventory.faults.values()) - self._told):
            log("error", fault)
        self._told = set(inventory.faults.values())
        self._offer(offer(inventory, self._fault))

    def _offer(self, answer: wire.FingerprintResponse) -> None:
        if answer != self._list or self._number == 0:
            self._list = answer
            self._number += 1
            self._new.set()
            self._new = asyncio.Event()

    def _fault(self, item: Item) -> str:
        """Why a task cannot have a device; '' if it can."""
        if item.fault or not self._config or not self._stock:
            return item.fault
        if self._config.mode == "name":
            return "" if self._config.markers else NOT_READ
        return carrying.lost(self._stock.registry, item.qualified, self._stock.tree)

    def _refusal(self, name: str, names: Sequence[str], stock: Stock) -> str:
        item = stock.inventory.find(name)
        if item is None or item.qualified != name or item.parts:
            return f"{name}: there is no such device on this node"
        if list(names).count(name) > 1:
            return f"{name} is asked for twice"
        fault = self._fault(item)
        return f"{name} cannot be used: {fault}" if fault else ""
