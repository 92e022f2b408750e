"""One device plugin: what the kubelet asks about one resource (k8s.io/kubelet pkg/apis/deviceplugin/v1beta1).

It keeps no state of allocations: the kubelet tells neither who gets a device nor when it is free again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Iterable, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING

from grpclib.const import Status

from cdi_runc.cdi.annotations import annotation_key, annotation_value
from cdi_runc.host.resources import REPLICA, device_of
from cdi_runc.inventory.serving import Methods, Refused, Serialized, streaming, unary
from cdi_runc.kubernetes.preference import preferred
from cdi_runc.kubernetes.wire import deviceplugin_pb2 as wire

if TYPE_CHECKING:
    from cdi_runc.inventory.inventory import Item

SERVICE = "/v1beta1.DevicePlugin"
MAX_LIST = 4_000_000  # bytes; the kubelet takes no message of more than 4 MiB


class Plugin:
    """Answers for the devices of one kind. `lost` is set when the kubelet has ended the stream that it had opened."""

    def __init__(self, kind: str, resource: str) -> None:
        self.kind = kind
        self.resource = resource
        self.items: Mapping[str, Item] = {}
        self.allocations = 0
        self.listening = asyncio.Event()
        self.lost = asyncio.Event()
        self._list = Serialized()
        self._number = 0
        self._sent = -1
        self._new = asyncio.Event()

    def update(self, items: Iterable[Item]) -> str:
        """Offer these items from now on. Gives what is wrong with that, or ''.

        A device that is made of others is left out: this API cannot say that two devices exclude each other.
        """
        self.items = {item.name: item for item in items if not item.parts}
        devices = [device for item in self.items.values() for device in _devices(item)]
        fits = sum(size <= MAX_LIST for size in accumulate(map(len, devices)))
        answer = Serialized(b"".join(devices[:fits]))
        if answer != self._list or self._number == 0:
            self._list = answer
            self._number += 1
            self._wake()
        if left := len(devices) - fits:
            return f"{self.resource}: the kubelet takes a list of {fits} at most, so {left} are not offered"
        return ""

    @property
    def told(self) -> bool:
        """Whether the kubelet has the latest list."""
        return self._sent == self._number

    def begin(self) -> None:
        """Forget the stream before, since a new registration begins."""
        self.listening.clear()
        self.lost.clear()

    def methods(self) -> Methods:
        """What is served on the socket."""
        return {
            f"{SERVICE}/GetDevicePluginOptions": unary(wire.Empty, wire.DevicePluginOptions, self._options),
            f"{SERVICE}/ListAndWatch": streaming(wire.Empty, Serialized, self._list_and_watch),
            f"{SERVICE}/Allocate": unary(wire.AllocateRequest, wire.AllocateResponse, self._allocate),
            f"{SERVICE}/GetPreferredAllocation": unary(
                wire.PreferredAllocationRequest, wire.PreferredAllocationResponse, self._preferred
            ),
        }

    async def _options(self, request: wire.Empty) -> wire.DevicePluginOptions:
        return options()

    async def _list_and_watch(self, request: wire.Empty) -> AsyncGenerator[Serialized, None]:
        self.listening.set()
        sent = -1
        try:
            while True:
                if sent == self._number:
                    await self._new.wait()
                sent = self._number
                yield self._list
                self._sent = sent
                self._wake()
        finally:
            self._sent = -1
            self.lost.set()

    async def _allocate(self, request: wire.AllocateRequest) -> wire.AllocateResponse:
        answer = wire.AllocateResponse()
        for container in request.container_requests:
            names = list(dict.fromkeys(self._find(identifier) for identifier in container.devices_ids))
            answer.container_responses.add(
                cdi_devices=[wire.CDIDevice(name=name) for name in names],
                # For kubelets and engines that know nothing of the field. Those that know both inject a device once.
                annotations={annotation(self.kind): annotation_value(names)} if names else {},
            )
        self.allocations += 1
        return answer

    async def _preferred(self, request: wire.PreferredAllocationRequest) -> wire.PreferredAllocationResponse:
        numa = {name: item.place.numa for name, item in self.items.items()}
        answer = wire.PreferredAllocationResponse()
        for container in request.container_requests:
            chosen = preferred(
                container.available_deviceIDs, container.must_include_deviceIDs, container.allocation_size, numa
            )
            answer.container_responses.add(deviceIDs=chosen)
        return answer

    def _find(self, identifier: str) -> str:
        """The qualified name for an ID. Raises Refused, with the text that the pod's status will have."""
        item = self.items.get(identifier) or self.items.get(device_of(identifier))
        if item is None or identifier not in _identifiers(item):
            raise Refused(f"{self.resource} has no device {identifier} on this node", Status.NOT_FOUND)
        if item.fault:
            raise Refused(f"{item.qualified} cannot be used: {item.fault}")
        return item.qualified

    def _wake(self) -> None:
        self._new.set()
        self._new = asyncio.Event()

    async def until_told(self) -> None:
        """Wait until the kubelet has the latest list."""
        while not self.told:
            await self._new.wait()


def options() -> wire.DevicePluginOptions:
    """What the kubelet may ask besides."""
    return wire.DevicePluginOptions(get_preferred_allocation_available=True)


def annotation(kind: str) -> str:
    """The key for the devices of a kind. The kubelet merges the answers for all resources of a container.

    >>> annotation("vendor.com/gpu")
    'cdi.k8s.io/cdi-runc_vendor.com-gpu'
    """
    name = kind.replace("/", "-")
    if len(name) > 40:  # a key has 63 letters at most
        name = f"{name[:31].rstrip('-._')}-{hashlib.sha256(kind.encode()).hexdigest()[:8]}"
    return annotation_key("cdi-runc", name)


def _identifiers(item: Item) -> tuple[str, ...]:
    """The IDs under which an item is offered: its name, so that pods' statuses have it; for shares a number more."""
    if item.shares == 1:
        return (item.name,)
    return tuple(f"{item.name}{REPLICA}{number}" for number in range(item.shares))


def _devices(item: Item) -> Iterable[bytes]:
    """A part of the list for each of its IDs."""
    health = "Unhealthy" if item.fault else "Healthy"
    nodes = [wire.NUMANode(ID=number) for number in item.place.numa]
    topology = wire.TopologyInfo(nodes=nodes) if nodes else None
    for identifier in _identifiers(item):
        device = wire.Device(ID=identifier, health=health, topology=topology)
        yield wire.ListAndWatchResponse(devices=[device]).SerializeToString()
