"""The front ends of a node together, with what they tell the cluster besides."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import yaml

from cdi_runc.inventory.ending import end
from cdi_runc.kubernetes import events
from cdi_runc.kubernetes.node import Node
from tests.inventory.conftest import Host
from tests.kubernetes.cluster import ApiServer
from tests.kubernetes.kubelet import LIMIT, Kubelet, until
from tests.kubernetes.plugin_watcher import PluginWatcher

GPU = "vendor.com/gpu"


class Scene:
    """A host with a device, its kubelet, and its cluster."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.directory = host.root / "k"
        self.kubelet = Kubelet(self.directory)
        self.watcher = PluginWatcher(self.directory)
        self.api = ApiServer()
        self.said: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The kubelet and the cluster, from their start to their end."""
        async with self.api.running(), self.kubelet.running(), self.watcher.running():
            yield

    @asynccontextmanager
    async def node(self, how: str = "both", kubeconfig: bool = True) -> AsyncIterator[Node]:
        """Our process, from its start to its end; nothing is done before that end."""
        path = self.host.root / "kubeconfig"
        path.write_text(yaml.safe_dump(self._kubeconfig()))
        options = argparse.Namespace(
            how=how,
            kubelet_dir=str(self.directory),
            host_root=str(self.host.root),
            kubeconfig=str(path) if kubeconfig else None,
            node_name="node-1",
            listen=None,
        )
        node = Node(options, ["/etc/cdi"], self.said.append)
        serving = asyncio.create_task(node.serve())
        try:
            yield node
        finally:
            await asyncio.wait_for(end([serving]), LIMIT)

    def _kubeconfig(self) -> object:
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.api.port}"}}
        context = {"name": "c", "context": {"cluster": "c"}}
        return {"current-context": "c", "contexts": [context], "clusters": [cluster]}


@pytest.fixture
def scene(host: Host, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(events, "SPREAD", 0.0)
    host.node("g0")
    host.spec("gpu.json", {"0": ["g0"]})
    return Scene(host)


@pytest.mark.parametrize("how", ["device-plugin", "dra", "both"])
def test_what_is_wrong_with_a_spec_is_an_event_and_no_obstacle(scene: Scene, how: str) -> None:
    (scene.host.specs / "bad.json").write_text("{")

    async def run() -> None:
        async with scene.running(), scene.node(how) as node:
            await until(lambda: scene.api.events and not node.missing())
            [event] = scene.api.events.values()
            assert event["reason"] == "SpecRefused"
            assert event["message"].startswith("/etc/cdi/bad.json:1")

    asyncio.run(run())


def test_a_kind_that_cannot_be_a_resource_is_an_event_with_its_file(scene: Scene) -> None:
    scene.host.spec("own.json", {"0": ["g0"]}, kind="a.kubernetes.io/x")

    async def run() -> None:
        async with scene.running(), scene.node("device-plugin") as node:
            await until(lambda: scene.api.events and not node.missing())
            [event] = scene.api.events.values()
            assert event["reason"] == "KindNotOffered"
            assert event["message"].startswith("a.kubernetes.io/x: names of Kubernetes itself")
            assert event["message"].endswith("(/etc/cdi/own.json)")
            assert event["message"] in scene.said

    asyncio.run(run())


def test_without_a_cluster_there_is_the_log(scene: Scene) -> None:
    (scene.host.specs / "bad.json").write_text("{")

    async def run() -> None:
        async with scene.kubelet.running(), scene.node("device-plugin", kubeconfig=False):
            await until(lambda: scene.kubelet.healthy(GPU) == ["0"])

    asyncio.run(run())
    assert [line for line in scene.said if "bad.json" in line]
    assert not [line for line in scene.said if "event" in line]


def test_a_cluster_that_is_away_is_no_obstacle_for_device_plugins(scene: Scene) -> None:
    (scene.host.specs / "bad.json").write_text("{")

    async def run() -> None:
        async with scene.kubelet.running(), scene.node("device-plugin"):
            await until(lambda: scene.kubelet.healthy(GPU) == ["0"])
            await until(lambda: [line for line in scene.said if line.startswith("no event about this node can be")])

    asyncio.run(run())
