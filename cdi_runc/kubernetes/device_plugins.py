"""The device plugins of a node: one for each kind, each registered with the kubelet and registered again when it must.

The kubelet forgets plugins when it restarts, removes their sockets, or ends their stream alone. So three things count:
our own socket is gone, the kubelet's is a new one, or the stream has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.exceptions import GRPCError, StreamTerminatedError

from cdi_runc.host.resources import resource_names
from cdi_runc.inventory.ending import end
from cdi_runc.inventory.inventory import DEVICE_PLUGIN
from cdi_runc.inventory.serving import served, socket_identity, socket_name
from cdi_runc.inventory.tree import Tree
from cdi_runc.inventory.watching import Watch
from cdi_runc.kubernetes.pauses import pauses
from cdi_runc.kubernetes.plugin import Plugin, options
from cdi_runc.kubernetes.wire import deviceplugin_pb2 as wire

if TYPE_CHECKING:
    from cdi_runc.inventory.inventory import Inventory
    from cdi_runc.inventory.stock import Stock
    from cdi_runc.kubernetes.exposition import Sample

    Identity = tuple[int, int, int] | None
    Sockets = tuple[Identity, Identity]  # the plugin's own, and the kubelet's

REGISTER = "/v1beta1.Registration/Register"
REGISTER_TIME = 15.0  # seconds; within it the kubelet dials us, for 10 s at most
STREAM_TIME = 10.0  # seconds after the registration until the kubelet has opened its stream
FIRST_PAUSE, LAST_PAUSE = 0.5, 30.0  # seconds between two tries
PARTING_TIME = 2.0  # seconds for the kubelet to take the empty list of a kind that is gone


class NotRegistered(Exception):
    """The kubelet did not take a plugin, and why."""


class DevicePlugins:
    """All device plugins of a node, below the kubelet's directory."""

    def __init__(
        self,
        kubelet_dir: str,
        say: Callable[[str], None],
        refused: Callable[[Iterable[str]], None] = lambda faults: None,
        moved: Callable[[], None] = lambda: None,
    ) -> None:
        self.directory = os.path.join(kubelet_dir, "device-plugins")
        self.kubelet = os.path.join(self.directory, "kubelet.sock")
        self.plugins: dict[str, Plugin] = {}
        self.registered: set[str] = set()
        self.registrations = 0
        self._say = say
        self._refused = refused  # is told why kinds are no resources, each time that the inventory is another
        self._moved = moved  # is called when `ready` may have become another
        self._offered = self._withdrawn = False
        self._told: dict[str, str] = {}
        self._watch: Watch | None = None
        self._broken: asyncio.Future[None] | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether the kubelet has all plugins."""
        return self._offered and self.plugins.keys() == self.registered

    async def serve(self, stock: Stock) -> None:
        """Offer what is in stock, until cancelled."""
        self._watch = Watch(Tree(), self._something_happened)
        self._broken = asyncio.get_running_loop().create_future()
        offering = asyncio.ensure_future(self._offer_all(stock))
        either: list[asyncio.Future[None]] = [offering, self._broken]
        try:
            done, _ = await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
        finally:
            self._watch.close()
            self._watch = None
            self._broken.cancel()
            await end([offering, *self._tasks.values()])

    async def _offer_all(self, stock: Stock) -> None:
        async for inventory in stock.follow():
            if self._withdrawn:
                return
            await self._offer(inventory)
            self._offered = True
            self._moved()
            self._something_happened()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A plugin that ends by itself has a fault that nobody thought of: all ends then, and is started again."""
        error = None if task.cancelled() else task.exception()
        if error and self._broken and not self._broken.done():
            self._broken.set_exception(error)

    async def withdraw(self) -> None:
        """Tell the kubelet that there is nothing any more: before the plugins go for good."""
        self._withdrawn = True
        for plugin in self.plugins.values():
            plugin.update([])
        await self._parting(list(self.plugins.values()))

    def samples(self) -> Iterator[Sample]:
        """For Prometheus."""
        yield "cdi_plugin_registrations_total", {}, self.registrations
        for plugin in self.plugins.values():
            yield "cdi_plugin_registered", {"resource": plugin.resource}, plugin.kind in self.registered
        for plugin in self.plugins.values():
            yield "cdi_plugin_allocations_total", {"resource": plugin.resource}, plugin.allocations

    async def _offer(self, inventory: Inventory) -> None:
        kinds = {
            kind: offered
            for kind, items in inventory.kinds.items()
            if (offered := [item for item in items.values() if item.is_offered(DEVICE_PLUGIN)])
        }
        names, faults = resource_names(kinds)
        refusals = {kind: f"{fault} ({kinds[kind][0].path})" for kind, fault in faults.items()}
        for kind, fault in refusals.items():
            self._tell(kind, fault)
        self._refused(refusals.values())
        gone = [self.plugins[kind] for kind in self.plugins.keys() - names.keys()]
        for plugin in gone:
            plugin.update([])
        for kind, resource in names.items():
            if kind not in self.plugins:
                self.plugins[kind] = Plugin(kind, resource)
            self._tell(f"{kind} list", self.plugins[kind].update(kinds[kind]))
            if kind not in self._tasks:
                self._tasks[kind] = asyncio.create_task(self._keep(self.plugins[kind]))
                self._tasks[kind].add_done_callback(self._ended)
        await self._parting(gone)
        for plugin in gone:
            await end([self._tasks.pop(plugin.kind)])
            del self.plugins[plugin.kind]

    async def _parting(self, plugins: list[Plugin]) -> None:
        told = [asyncio.ensure_future(plugin.until_told()) for plugin in plugins if plugin.kind in self.registered]
        if told:
            await asyncio.wait(told, timeout=PARTING_TIME)
            await end(told)

    async def _keep(self, plugin: Plugin) -> None:
        """Serve and register one plugin, again and again."""
        waits, tried = _pauses(), None
        while True:
            kubelet = socket_identity(self.kubelet)  # before the try: it may be another before the pause begins
            if kubelet != tried:
                # A new kubelet's socket is there a moment before anybody listens: no reason for a long pause.
                waits, tried = _pauses(), kubelet
            try:
                async with self._registered(plugin) as sockets:
                    waits = _pauses()
                    await self._until_lost(plugin, sockets)
            except (NotRegistered, OSError) as fault:
                self._tell(plugin.kind, f"{plugin.resource}: {fault}")
                await self._pause(next(waits), kubelet)

    @contextlib.asynccontextmanager
    async def _registered(self, plugin: Plugin) -> AsyncIterator[Sockets]:
        """Listen, then register: the kubelet dials while it registers."""
        plugin.begin()
        path = self._socket(plugin)
        async with served(path, plugin.methods()):
            sockets = socket_identity(path), socket_identity(self.kubelet)
            await self._register(plugin, os.path.basename(path))
            self.registered.add(plugin.kind)
            self.registrations += 1
            self._moved()
            self._tell(plugin.kind, "")
            self._say(f"{plugin.resource}: registered with the kubelet, {len(plugin.items)} devices")
            try:
                yield sockets
            finally:
                self.registered.discard(plugin.kind)
                self._moved()

    async def _register(self, plugin: Plugin, endpoint: str) -> None:
        request = wire.RegisterRequest(
            version="v1beta1", endpoint=endpoint, resource_name=plugin.resource, options=options()
        )
        channel = Channel(path=self.kubelet)
        try:
            await UnaryUnaryMethod(channel, REGISTER, wire.RegisterRequest, wire.Empty)(request, timeout=REGISTER_TIME)
        except (GRPCError, StreamTerminatedError) as error:
            raise NotRegistered(f"the kubelet refuses: {getattr(error, 'message', None) or error}") from None
        except AttributeError:  # grpclib's, when the connection is closed between being made and being used
            raise NotRegistered("the kubelet closed the connection") from None
        except asyncio.TimeoutError:
            raise NotRegistered(f"the kubelet does not answer in {REGISTER_TIME:.0f} s") from None
        except OSError as error:
            raise NotRegistered(f"the kubelet is not there, {self.kubelet}: {error.strerror or error}") from None
        finally:
            channel.close()

    async def _until_lost(self, plugin: Plugin, sockets: Sockets) -> None:
        """Return when the plugin has to be registered again. Raises NotRegistered where it never was in full."""
        own, kubelet = sockets
        late = asyncio.get_running_loop().call_later(STREAM_TIME, self._something_happened)
        lost = asyncio.ensure_future(plugin.lost.wait())
        started = asyncio.get_running_loop().time()
        try:
            while not lost.done():
                if socket_identity(self._socket(plugin)) != own or socket_identity(self.kubelet) not in (None, kubelet):
                    return
                overdue = asyncio.get_running_loop().time() - started >= STREAM_TIME
                if overdue and not plugin.listening.is_set():
                    raise NotRegistered("the kubelet took it and asks for no devices")
                await self._wait_for_change([lost])
        finally:
            late.cancel()
            lost.cancel()

    async def _pause(self, seconds: float, before: Identity) -> None:
        """Wait for so long, or until the kubelet's socket is another than before."""
        until = asyncio.get_running_loop().time() + seconds
        while socket_identity(self.kubelet) in (None, before):
            left = until - asyncio.get_running_loop().time()
            if left <= 0:
                return
            await self._wait_for_change([], left)

    async def _wait_for_change(self, others: list[asyncio.Future[Any]], limit: float | None = None) -> None:
        """Wait until something happened to the sockets, or one of the others is done, or so many seconds are over."""
        changed = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait([changed, *others], timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()

    def _something_happened(self) -> None:
        if self._watch:
            # Again each time, since the directory may have come or gone.
            self._watch.follow([], [self.kubelet, *map(self._socket, self.plugins.values())])
        self._changed.set()
        self._changed = asyncio.Event()

    def _socket(self, plugin: Plugin) -> str:
        return os.path.join(self.directory, socket_name(self.directory, "cdi-", plugin.resource))

    def _tell(self, topic: str, fault: str) -> None:
        """Say a fault, unless it is the one that was said last of the topic."""
        if fault and self._told.get(topic) != fault:
            self._say(fault)
        self._told[topic] = fault


def _pauses() -> Iterator[float]:
    return pauses(FIRST_PAUSE, LAST_PAUSE, spread=0.25)
