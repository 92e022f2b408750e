"""A stand-in for the kubelet's pod-resources (Kubernetes 1.36, pkg/kubelet/apis/podresources/server_v1.go).

Serves in a thread of its own, so that a program without an event loop can ask it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from grpclib.const import Status

from cdi_runc.inventory.serving import Refused, served, unary
from cdi_runc.kubernetes.wire import podresources_pb2 as wire

LIMIT = 20
LISTER = "/v1.PodResourcesLister"


class Kubelet:
    """Below a directory like /var/lib/kubelet, with one pod, `default/p`; one without Get is older than 1.34.

    asked: the methods that were called. refusals: how many calls are refused first, since they are too many at once.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.socket = self.directory / "pod-resources/kubelet.sock"
        self.socket.parent.mkdir(parents=True, exist_ok=True)
        self.pods = [wire.PodResources(name="p", namespace="default")]
        self.has_get = True
        self.refusals = 0
        self.asked: list[str] = []

    def container(self, name: str = "main", **more: Any) -> None:
        """One more container in the pod."""
        self.pods[0].containers.add(name=name, **more)

    def gives(self, resource: str, *identifiers: str, container: str = "main") -> None:
        """By a device plugin."""
        devices = [wire.ContainerDevices(resource_name=resource, device_ids=[each]) for each in identifiers]
        self.container(container, devices=devices)

    def gives_by_claim(self, *names: str, container: str = "main") -> None:
        """By a DRA driver, which says the CDI names."""
        named = [wire.CDIDevice(name=name) for name in names]
        devices = [wire.ClaimResource(cdi_devices=named, driver_name="d", pool_name="node", device_name="a-1")]
        claim = wire.DynamicResource(claim_name="c", claim_namespace="default", claim_resources=devices)
        self.container(container, dynamic_resources=[claim])

    async def get(self, request: wire.GetPodResourcesRequest) -> wire.GetPodResourcesResponse:
        self._call("Get")
        for pod in self.pods:
            if (pod.name, pod.namespace) == (request.pod_name, request.pod_namespace):
                return wire.GetPodResourcesResponse(pod_resources=pod)
        raise Refused(f"pod {request.pod_name} in namespace {request.pod_namespace} not found", Status.UNKNOWN)

    async def list(self, request: wire.ListPodResourcesRequest) -> wire.ListPodResourcesResponse:
        self._call("List")
        return wire.ListPodResourcesResponse(pod_resources=self.pods)

    def _call(self, method: str) -> None:
        self.asked.append(method)
        if self.refusals:
            self.refusals -= 1
            raise Refused("rejected by rate limit", Status.RESOURCE_EXHAUSTED)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """From its start to its end."""
        started, ended = threading.Event(), threading.Event()
        thread = threading.Thread(target=self._serve, args=(started, ended))
        thread.start()
        try:
            assert started.wait(LIMIT)
            yield
        finally:
            ended.set()
            thread.join(LIMIT)

    def _serve(self, started: threading.Event, ended: threading.Event) -> None:
        async def run() -> None:
            methods = {f"{LISTER}/List": unary(wire.ListPodResourcesRequest, wire.ListPodResourcesResponse, self.list)}
            if self.has_get:
                methods[f"{LISTER}/Get"] = unary(wire.GetPodResourcesRequest, wire.GetPodResourcesResponse, self.get)
            async with served(str(self.socket), methods):
                started.set()
                while not ended.is_set():
                    await asyncio.sleep(0.01)

        asyncio.run(run())
