"""The driver for dynamic resource allocation: what the kubelet asks, and how it finds us (k8s.io/kubelet pkg/apis/dra).

A CDI device of a spec needs nothing to be prepared but its name. So preparing is to look whether the claim may have it,
and to write down that it does.
"""

from __future__ import annotations

import asyncio
import contextlib
import glob
import os
import secrets
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from urllib.parse import quote

from cdi_runc.inventory.inventory import Inventory, Item
from cdi_runc.inventory.serving import Methods, Serialized, served, streaming, unary
from cdi_runc.inventory.stock import Stock
from cdi_runc.kubernetes import checkpoint
from cdi_runc.kubernetes.api import ApiError, Cluster, NoAnswer, Object
from cdi_runc.kubernetes.checkpoint import Checkpoint, Given, Prepared
from cdi_runc.kubernetes.claims import CannotPrepare, in_use, prepare
from cdi_runc.kubernetes.exposition import Sample
from cdi_runc.kubernetes.health import health
from cdi_runc.kubernetes.publishing import GROUP, Publisher
from cdi_runc.kubernetes.slices import DRIVER, labels
from cdi_runc.kubernetes.turn import removing, turn
from cdi_runc.kubernetes.wire import dra_pb2 as wire
from cdi_runc.kubernetes.wire import registration_pb2 as registration

SERVICES = ("k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin", "k8s.io.kubelet.pkg.apis.dra.v1beta1.DRAPlugin")
HEALTH_SERVICES = ("v1.DRAResourceHealth", "v1alpha1.DRAResourceHealth")
ADVERTISED = ("v1.DRAPlugin", "v1beta1.DRAPlugin", "v1alpha1.DRAResourceHealth")  # the kubelet's words for them
SWEEP_TIME = 600.0  # seconds between two looks for claims that are gone


class Driver:
    """The driver on one node. `registered` is set when the kubelet has taken it."""

    def __init__(
        self,
        cluster: Cluster,
        node: str,
        kubelet_dir: str,
        say: Callable[[str], None],
        moved: Callable[[], None] = lambda: None,
    ) -> None:
        self.cluster = cluster
        self.node = node
        self.directory = os.path.join(kubelet_dir, "plugins", DRIVER)
        self.registry = os.path.join(kubelet_dir, "plugins_registry")
        self.publisher = Publisher(cluster, node, say, moved)
        self.registered = asyncio.Event()
        self.prepared = self.failed = 0
        self.prepare_seconds = 0.0
        self._state = os.path.join(self.directory, "claims.json")
        self._say = say
        self._moved = moved  # is called when `ready` may have become another
        self._stock: Stock | None = None
        self._labelled: tuple[Inventory | None, Mapping[str, Item]] = (None, {})
        self._one_at_a_time = asyncio.Lock()

    @property
    def ready(self) -> bool:
        """Whether the kubelet knows us and the cluster has our devices."""
        return self.registered.is_set() and self.publisher.published

    async def serve(self, stock: Stock) -> None:
        """Serve what is in stock, until cancelled. Raises OSError."""
        self._stock = stock
        await self.publisher.discover()
        os.makedirs(self.directory, mode=0o750, exist_ok=True)
        os.makedirs(self.registry, mode=0o750, exist_ok=True)
        self._remove_stale()
        # A name that was never there before: the kubelet's connection to an old one may be pausing between two tries.
        own = secrets.token_hex(4)
        endpoint = os.path.join(self.directory, f"dra-{own}.sock")
        async with (
            served(endpoint, self._methods()),
            served(os.path.join(self.registry, f"{DRIVER}-{own}-reg.sock"), self._registration(endpoint)),
        ):
            # Published before, the scheduler sends pods that the kubelet cannot start yet.
            await self.registered.wait()
            sweeping = asyncio.ensure_future(self._sweep_again_and_again())
            try:
                await self.publisher.keep(stock)
            finally:
                sweeping.cancel()

    async def withdraw(self) -> None:
        """Delete the slices, and say what goes wrong."""
        if self.publisher.version:
            try:
                await self.publisher.withdraw()
            except (ApiError, NoAnswer) as error:
                self._say(f"the slices of this node stay until the kubelet removes them: {error}")

    def tidy(self) -> None:
        """Leave no file behind. Prepared claims stay written down, since their pods go on. Raises OSError."""
        with removing(f"{self._state}.lock") as nobody, contextlib.suppress(FileNotFoundError, checkpoint.Corrupt):
            if nobody and not checkpoint.read(self._state, checkpoint.boot_id()).claims:
                os.unlink(self._state)

    def samples(self) -> Iterator[Sample]:
        """For Prometheus."""
        yield "cdi_driver_registered", {}, self.registered.is_set()
        yield "cdi_slices_published", {}, self.publisher.published
        yield "cdi_claims_prepared_total", {}, self.prepared
        yield "cdi_claims_failed_total", {}, self.failed
        yield "cdi_prepare_seconds_total", {}, self.prepare_seconds

    def _methods(self) -> Methods:
        prepare_ = unary(wire.NodePrepareResourcesRequest, wire.NodePrepareResourcesResponse, self._prepare)
        unprepare = unary(wire.NodeUnprepareResourcesRequest, wire.NodeUnprepareResourcesResponse, self._unprepare)
        watch = streaming(wire.NodeWatchResourcesRequest, Serialized, self._health)
        return {
            **{f"/{service}/NodePrepareResources": prepare_ for service in SERVICES},
            **{f"/{service}/NodeUnprepareResources": unprepare for service in SERVICES},
            **{f"/{service}/NodeWatchResources": watch for service in HEALTH_SERVICES},
        }

    def _registration(self, endpoint: str) -> Methods:
        info = registration.PluginInfo(type="DRAPlugin", name=DRIVER, endpoint=endpoint, supported_versions=ADVERTISED)

        async def get_info(request: registration.InfoRequest) -> registration.PluginInfo:
            return info

        async def notify(status: registration.RegistrationStatus) -> registration.RegistrationStatusResponse:
            if status.plugin_registered:
                self._say("the driver is registered with the kubelet")
                self.registered.set()
            else:
                self._say(f"the kubelet does not take the driver: {status.error}")
                self.registered.clear()
            self._moved()
            return registration.RegistrationStatusResponse()

        service = "/pluginregistration.Registration"
        return {
            f"{service}/GetInfo": unary(registration.InfoRequest, registration.PluginInfo, get_info),
            f"{service}/NotifyRegistrationStatus": unary(
                registration.RegistrationStatus, registration.RegistrationStatusResponse, notify
            ),
        }

    def _remove_stale(self) -> None:
        """Remove the sockets of instances that were killed: the kubelet would go on calling them."""
        for path in (*glob.glob(f"{self.registry}/{DRIVER}-*-reg.sock"), *glob.glob(f"{self.directory}/dra-*.sock")):
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.connect(path)
                except ConnectionRefusedError:
                    os.unlink(path)
                except OSError:
                    pass

    @contextlib.asynccontextmanager
    async def _claims(self, asking: str = "") -> AsyncIterator[Checkpoint]:
        """The checkpoint, for one at a time, in this process and in an instance that takes over. Raises OSError.

        `asking` is the UID of the claim that is to be prepared now, and so is not prepared yet.
        """
        async with self._one_at_a_time, turn(f"{self._state}.lock", lambda _: None):
            yield await self._read(asking)

    async def _read(self, asking: str) -> Checkpoint:
        boot = checkpoint.boot_id()
        try:
            return checkpoint.read(self._state, boot)
        except checkpoint.Corrupt as fault:
            self._say(f"{fault}; it is kept as {checkpoint.set_aside(self._state)}")
        state = Checkpoint(self._state, boot, await self._in_use())
        state.claims.pop(asking, None)
        state.write()
        return state

    def _items(self) -> Mapping[str, Item]:
        """The items by label: worked out once for each inventory, since a label has a hash in it."""
        assert self._stock
        if self._labelled[0] is not self._stock.inventory:
            self._labelled = self._stock.inventory, labels(self._stock.inventory)
        return self._labelled[1]

    async def _in_use(self) -> dict[str, Prepared]:
        """The claims that are in use on this node, as the cluster says."""
        path = f"/apis/{GROUP}/{self.publisher.version}/resourceclaims"
        try:
            claims = (await self.cluster.call("GET", path))["items"]
        except (ApiError, NoAnswer) as error:
            self._say(f"which claims are in use is forgotten, since the cluster does not say it: {error}")
            return {}
        return {
            claim["metadata"]["uid"]: Prepared(claim["metadata"]["namespace"], claim["metadata"]["name"], devices)
            for claim in claims
            if claim.get("status", {}).get("reservedFor") and (devices := in_use(claim, self.node, self._items()))
        }

    async def _prepare(self, request: wire.NodePrepareResourcesRequest) -> wire.NodePrepareResourcesResponse:
        answer = wire.NodePrepareResourcesResponse()
        for claim in request.claims:
            entry = answer.claims[claim.uid]
            started = time.monotonic()
            try:
                for device in await self._prepare_one(claim):
                    entry.devices.add(
                        request_names=device.requests,
                        pool_name=self.node,
                        device_name=device.device,
                        cdi_device_ids=device.names,
                        **({"share_id": device.share} if device.share else {}),
                    )
                self.prepared += 1
            except (CannotPrepare, ApiError, NoAnswer) as fault:
                entry.error = str(fault)
            except OSError as error:
                entry.error = f"the state of claims cannot be kept: {error.filename or self._state}: {error.strerror}"
            self.prepare_seconds += time.monotonic() - started
            if entry.error:
                self.failed += 1
                self._say(f"claim {claim.namespace}/{claim.name}: {entry.error}")
        return answer

    async def _prepare_one(self, claim: wire.Claim) -> tuple[Given, ...]:
        assert self._stock
        async with self._claims(claim.uid) as state:
            if claim.uid in state.claims:
                return state.claims[claim.uid].devices
            found = await self._get(claim.namespace, claim.name)
            if found is None:
                raise CannotPrepare("there is no such claim any more")
            devices = prepare(found, claim.uid, self.node, self._items(), state.claims)
            state.claims[claim.uid] = Prepared(claim.namespace, claim.name, devices)
            state.write()
            return devices

    async def _unprepare(self, request: wire.NodeUnprepareResourcesRequest) -> wire.NodeUnprepareResourcesResponse:
        answer = wire.NodeUnprepareResourcesResponse()
        for claim in request.claims:
            entry = answer.claims[claim.uid]
            try:
                async with self._claims() as state:
                    if state.claims.pop(claim.uid, None):  # one that we never saw is unprepared as well
                        state.write()
            except OSError as error:
                entry.error = f"the state of claims cannot be kept: {error.filename or self._state}: {error.strerror}"
                self._say(f"claim {claim.namespace}/{claim.name}: {entry.error}")
        return answer

    async def _get(self, namespace: str, name: str) -> Object | None:
        path = f"/apis/{GROUP}/{self.publisher.version}/namespaces/{quote(namespace)}/resourceclaims/{quote(name)}"
        try:
            return await self.cluster.call("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def _sweep_again_and_again(self) -> None:
        while True:
            with contextlib.suppress(ApiError, NoAnswer, OSError):
                await self.sweep()
            await asyncio.sleep(SWEEP_TIME)

    async def sweep(self) -> None:
        """Forget claims that are gone, or have another UID: the kubelet may have been away when they went."""
        async with self._claims() as state:
            known = dict(state.claims)
        for uid, prepared in known.items():
            found = await self._get(prepared.namespace, prepared.name)
            if found is None or found["metadata"]["uid"] != uid:
                async with self._claims() as state:
                    if state.claims.pop(uid, None):
                        state.write()

    def _health(self, request: wire.NodeWatchResourcesRequest) -> AsyncGenerator[Serialized, None]:
        assert self._stock
        return health(self._stock, self.node, self._items)
