"""The front ends of a node together, with what they tell the cluster besides."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

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
    async def node(
        self, how: str = "both", kubeconfig: bool = True, label: bool = False, daemon_set: str | None = None
    ) -> AsyncIterator[Node]:
        """Our process, from its start to its end; nothing is done before that end."""
        path = self.api.kubeconfig(self.host.root / "kubeconfig")
        options = argparse.Namespace(
            how=how,
            kubelet_dir=str(self.directory),
            host_root=str(self.host.root),
            kubeconfig=str(path) if kubeconfig else None,
            node_name="node-1",
            listen=None,
            label_node=label,
            daemon_set=daemon_set,
        )
        node = Node(options, ["/etc/cdi"], self.said.append)
        serving = asyncio.create_task(node.serve())
        try:
            yield node
        finally:
            await asyncio.wait_for(end([serving]), LIMIT)


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


def test_the_label_is_there_from_the_registration_to_the_end_of_the_last(scene: Scene) -> None:
    async def run() -> None:
        async with scene.api.running(), scene.node(label=True) as first, scene.node(label=True) as second:
            await until(lambda: first.driver and first.driver.publisher.version)
            assert scene.api.label() is None  # no kubelet has taken anything yet
            async with scene.kubelet.running(), scene.watcher.running():
                await until(lambda: scene.api.label() == "ready")
                await first.leave(withdraw=False)
                assert scene.api.label() == "ready"  # an upgrade: another one is there
                await second.leave(withdraw=False)
                assert scene.api.label() is None

    asyncio.run(run())


def test_a_removal_of_the_daemon_set_leaves_nothing(scene: Scene) -> None:
    scene.api.daemon_sets["gpu/cdi-node"] = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}

    async def run() -> None:
        async with scene.running():
            async with scene.node(label=True, daemon_set="gpu/cdi-node") as node:
                await until(lambda: scene.api.label() == "ready" and scene.api.slices)
                await until(lambda: scene.kubelet.healthy(GPU) == ["0"])
                await node.leave(withdraw=False)
                assert scene.kubelet.capacity(GPU) == []  # an empty list came while we were there still
                assert (scene.api.label(), scene.api.slices) == (None, {})
                scene.api.interrupt_watches()
                (scene.host.specs / "gpu.json").touch()
                await until(lambda: scene.api.requests[-1].startswith("WATCH"))
            assert (scene.kubelet.capacity(GPU), scene.api.label(), scene.api.slices) == ([], None, {})

    asyncio.run(run())
    assert list((scene.directory / "plugins").iterdir()) == []
    assert [path for path in scene.directory.rglob("*") if path.is_socket()] == []


@pytest.mark.parametrize(
    ("daemon_set", "status"),
    [({"metadata": {}}, 200), (None, 500), (None, 503)],
    ids=["stays", "error", "away"],
)
def test_a_pod_that_is_replaced_withdraws_nothing(scene: Scene, daemon_set: object, status: int) -> None:
    if daemon_set:
        scene.api.daemon_sets["gpu/cdi-node"] = {"metadata": {}}
    else:
        scene.api.refuses["GET /apis/apps/v1/namespaces/gpu/daemonsets/cdi-node"] = status

    async def run() -> None:
        async with scene.running():
            async with scene.node(daemon_set="gpu/cdi-node") as node:
                await until(lambda: scene.api.slices and scene.kubelet.healthy(GPU) == ["0"])
                await node.leave(withdraw=False)
            assert scene.kubelet.capacity(GPU) == ["0"]
            assert len(scene.api.slices) == 1
            assert scene.kubelet.lists[GPU] == 1

    asyncio.run(run())


@pytest.mark.parametrize("status", [401, 403, 404])
def test_who_may_not_ask_any_more_is_being_removed(scene: Scene, status: int) -> None:
    scene.api.refuses["GET /apis/apps/v1/namespaces/gpu/daemonsets/cdi-node"] = status

    async def run() -> None:
        async with scene.running(), scene.node(daemon_set="gpu/cdi-node") as node:
            await until(lambda: scene.api.slices and scene.kubelet.healthy(GPU) == ["0"])
            await node.leave(withdraw=False)
            assert (scene.kubelet.capacity(GPU), scene.api.slices) == ([], {})

    asyncio.run(run())


def test_what_cannot_be_taken_back_is_said(scene: Scene) -> None:
    async def run() -> None:
        async with scene.running(), scene.node(label=True) as node:
            await until(lambda: scene.api.label() == "ready" and scene.api.slices)
            scene.api.refuses |= {"PATCH /api/v1/nodes/node-1": 403}
            scene.api.refuses |= {f"DELETE {path}": 403 for path in map(_slice, scene.api.slices)}
            await node.leave(withdraw=True)
            assert scene.kubelet.capacity(GPU) == []

    asyncio.run(run())
    assert [line for line in scene.said if "the label cdi-runc/devices stays on this node" in line]
    assert [line for line in scene.said if "the slices of this node stay until the kubelet removes them" in line]


def _slice(name: str) -> str:
    return f"/apis/resource.k8s.io/v1/resourceslices/{name}"


@pytest.mark.parametrize(
    ("label", "daemon_set", "says"),
    [(True, None, "need a cluster"), (False, "gpu/cdi-node", "need a cluster"), (False, "x", "need a cluster")],
)
def test_what_needs_a_cluster_says_so(scene: Scene, label: bool, daemon_set: str | None, says: str) -> None:
    async def run() -> None:
        async with scene.node("device-plugin", kubeconfig=False, label=label, daemon_set=daemon_set):
            pass

    with pytest.raises(ValueError, match=says):
        asyncio.run(run())
