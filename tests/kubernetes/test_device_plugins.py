"""Device plugins against a stand-in for the kubelet: registration, health, what is asked, and what goes wrong."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from grpclib.client import UnaryUnaryMethod
from grpclib.exceptions import GRPCError

from cdi_runc.inventory.ending import end
from cdi_runc.inventory.stock import Stock
from cdi_runc.kubernetes import device_plugins
from cdi_runc.kubernetes.device_plugins import DevicePlugins
from tests.inventory.conftest import Host
from tests.kubernetes.kubelet import LIMIT, Kubelet, until

GPU = "vendor.com/gpu"


class Node:
    """A node with a kubelet that can be started and killed."""

    def __init__(self, host: Host, old: bool = False) -> None:
        self.host = host
        self.directory = host.root / "k"
        self.kubelet = Kubelet(self.directory, old)
        self.said: list[str] = []
        self.plugins: DevicePlugins

    @asynccontextmanager
    async def plugged(self) -> AsyncIterator[DevicePlugins]:
        """Our process, from its start to SIGTERM."""
        stock = Stock(["/etc/cdi"], self.host.tree)
        plugins = DevicePlugins(str(self.directory), self.said.append)
        self.plugins = plugins
        tasks = [asyncio.create_task(stock.keep()), asyncio.create_task(plugins.serve(stock))]
        try:
            yield plugins
        finally:
            await asyncio.wait_for(end(tasks), LIMIT)


@pytest.fixture
def node(host: Host) -> Node:
    host.node("g0", "g1")
    host.spec("gpu.json", {"0": ["g0"], "1": ["g1"]})
    return Node(host)


def play(node: Node, scene: Callable[[Kubelet], Awaitable[object]]) -> None:
    """A scene with a kubelet and our process, which is ready for it."""

    async def run() -> None:
        async with node.kubelet.running(), node.plugged() as plugins:
            await until(lambda: plugins.ready and node.kubelet.capacity(GPU), "not registered")
            await scene(node.kubelet)

    asyncio.run(run())


def test_a_kind_is_a_resource_and_its_devices_are_healthy(node: Node) -> None:
    async def scene(kubelet: Kubelet) -> None:
        assert kubelet.registrations == [GPU]
        assert kubelet.healthy(GPU) == ["0", "1"]

    play(node, scene)


def test_a_container_gets_the_name_by_the_field_and_by_an_annotation(node: Node) -> None:
    async def scene(kubelet: Kubelet) -> None:
        answer = await kubelet.allocate(GPU, "1", "0")
        assert [device.name for device in answer.cdi_devices] == ["vendor.com/gpu=1", "vendor.com/gpu=0"]
        [(key, value)] = answer.annotations.items()
        assert (key, value) == ("cdi.k8s.io/cdi-runc_vendor.com-gpu", "vendor.com/gpu=1,vendor.com/gpu=0")

    play(node, scene)


def test_annotations_of_two_kinds_have_two_keys(node: Node) -> None:
    node.host.node("n")
    node.host.spec("nic.json", {"0": ["n"]}, "vendor.com/nic")

    async def scene(kubelet: Kubelet) -> None:
        await until(lambda: kubelet.capacity("vendor.com/nic"))
        keys = [
            *(await kubelet.allocate(GPU, "0")).annotations,
            *(await kubelet.allocate("vendor.com/nic", "0")).annotations,
        ]
        assert len(set(keys)) == 2

    play(node, scene)


def test_a_kubelet_of_1_20_drops_the_field_and_has_the_annotation(host: Host) -> None:
    host.node("g0")
    host.spec("gpu.json", {"0": ["g0"]})

    async def scene(kubelet: Kubelet) -> None:
        answer = await kubelet.allocate(GPU, "0")
        assert not answer.cdi_devices
        assert list(answer.annotations.values()) == ["vendor.com/gpu=0"]

    play(Node(host, old=True), scene)


@pytest.mark.parametrize(
    ("identifier", "says"),
    [
        ("7", "vendor.com/gpu has no device 7 on this node"),
        ("0::1", "vendor.com/gpu has no device 0::1 on this node"),
        ("1", "vendor.com/gpu=1 cannot be used: device node /dev/g1: No such file or directory"),
    ],
)
def test_a_device_that_cannot_be_had_is_refused_with_the_reason(identifier: str, says: str, node: Node) -> None:
    async def scene(kubelet: Kubelet) -> None:
        (node.host.root / "dev/g1").unlink()
        await until(lambda: kubelet.healthy(GPU) == ["0"])
        with pytest.raises(GRPCError) as caught:
            await kubelet.allocate(GPU, identifier)
        assert caught.value.message == says

    play(node, scene)


def test_health_goes_both_ways(node: Node) -> None:
    async def scene(kubelet: Kubelet) -> None:
        (node.host.root / "dev/g1").unlink()
        await until(lambda: kubelet.healthy(GPU) == ["0"])
        assert kubelet.capacity(GPU) == ["0", "1"]
        node.host.node("g1")
        await until(lambda: kubelet.healthy(GPU) == ["0", "1"])

    play(node, scene)


def test_a_spec_that_breaks_makes_its_devices_unhealthy(node: Node) -> None:
    async def scene(kubelet: Kubelet) -> None:
        (node.host.specs / "gpu.json").write_text("{")
        await until(lambda: kubelet.healthy(GPU) == [])
        assert kubelet.capacity(GPU) == ["0", "1"]
        with pytest.raises(GRPCError, match=r"/etc/cdi/gpu\.json:1"):
            await kubelet.allocate(GPU, "0")

    play(node, scene)


def test_a_kind_that_comes_is_registered_and_one_that_goes_leaves_an_empty_list(node: Node) -> None:
    async def scene(kubelet: Kubelet) -> None:
        node.host.node("n")
        path = node.host.spec("nic.json", {"0": ["n"]}, "vendor.com/nic")
        await until(lambda: kubelet.healthy("vendor.com/nic") == ["0"])
        path.unlink()
        await until(lambda: "vendor.com/nic" not in kubelet.endpoints)
        assert kubelet.devices["vendor.com/nic"] == {}
        assert kubelet.healthy(GPU) == ["0", "1"]
        assert not list(kubelet.directory.glob("*nic*"))

    play(node, scene)


@pytest.mark.parametrize("old", [False, True])
def test_a_restarted_kubelet_gets_everything_again(old: bool, node: Node) -> None:
    node.kubelet.old = old

    async def run() -> None:
        async with node.plugged():
            for _ in range(3):
                async with node.kubelet.running():
                    await until(lambda: node.kubelet.healthy(GPU) == ["0", "1"], str(node.said))

    asyncio.run(run())


def test_a_plugin_registers_again_when_its_socket_is_removed(node: Node) -> None:
    async def scene(kubelet: Kubelet) -> None:
        for path in kubelet.directory.glob("cdi-*"):
            path.unlink()
        await until(lambda: kubelet.registrations == [GPU, GPU])
        await until(lambda: kubelet.healthy(GPU) == ["0", "1"])

    play(node, scene)


def test_a_plugin_registers_again_when_its_stream_alone_ends(node: Node) -> None:
    """The end of an older instance's stream disconnects the newer one, for good (kubernetes#121994, #127803)."""

    async def scene(kubelet: Kubelet) -> None:
        stream = kubelet.endpoints[GPU].stream
        assert stream
        stream.cancel()
        await until(lambda: kubelet.registrations == [GPU, GPU])
        await until(lambda: kubelet.healthy(GPU) == ["0", "1"])

    play(node, scene)


def test_it_waits_for_a_kubelet_that_comes_later(node: Node) -> None:
    async def run() -> None:
        async with node.plugged() as plugins:
            await until(lambda: node.said)
            assert not plugins.ready
            async with node.kubelet.running():
                await until(lambda: node.kubelet.healthy(GPU) == ["0", "1"])
                assert plugins.ready

    asyncio.run(run())
    assert len([line for line in node.said if "the kubelet is not there" in line or "No such file" in line]) == 1


def test_a_new_kubelet_that_does_not_listen_yet_is_tried_again_soon(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen with a real one: its socket is there a moment before it listens, and the pauses were long by then."""
    pauses, tries = [1000.0], [0]

    def pauses_of_one_kubelet() -> Iterator[float]:
        return itertools.repeat(pauses[0])

    async def register(self: DevicePlugins, *arguments: Any) -> None:
        tries[0] += 1
        await registers(self, *arguments)

    registers = DevicePlugins._register
    monkeypatch.setattr(device_plugins, "_pauses", pauses_of_one_kubelet)
    monkeypatch.setattr(DevicePlugins, "_register", register)
    node.kubelet.directory.mkdir(parents=True)

    async def run() -> None:
        with bound(node.kubelet.socket):
            async with node.plugged():
                await until(lambda: tries[0] == 1)
                pauses[0] = 0.01
                with bound(node.kubelet.socket):
                    await until(lambda: tries[0] >= 3, "the new one was not tried again")

    asyncio.run(run())


@contextmanager
def bound(path: Path) -> Iterator[socket.socket]:
    """A socket at which nobody listens, in the place of what was there."""
    with socket.socket(socket.AF_UNIX) as it:
        it.bind(f"{path}.new")
        os.rename(f"{path}.new", path)
        yield it


def test_a_node_without_specs_is_ready_and_offers_nothing(host: Host) -> None:
    node = Node(host)

    async def run() -> None:
        async with node.kubelet.running(), node.plugged() as plugins:
            await until(lambda: plugins.ready)
            host.node("g0")
            host.spec("gpu.json", {"0": ["g0"]})
            await until(lambda: node.kubelet.healthy(GPU) == ["0"])

    asyncio.run(run())


def test_the_end_leaves_no_socket(node: Node) -> None:
    async def scene(kubelet: Kubelet) -> None:
        assert list(kubelet.directory.glob("cdi-*"))

    play(node, scene)
    assert not list(node.kubelet.directory.glob("cdi-*"))


def test_a_withdrawal_tells_the_kubelet_first(node: Node) -> None:
    async def scene(kubelet: Kubelet) -> None:
        await node.plugins.withdraw()
        await until(lambda: kubelet.devices[GPU] == {})

    play(node, scene)


def test_all_of_two_gpus_is_not_offered_beside_them(node: Node) -> None:
    node.host.spec("gpu.json", {"0": ["g0"], "1": ["g1"], "GPU-5": ["g1"], "all": ["g0", "g1"]})

    async def scene(kubelet: Kubelet) -> None:
        assert kubelet.capacity(GPU) == ["0", "1"]

    play(node, scene)


def test_a_kind_for_claims_alone_is_no_resource(node: Node) -> None:
    node.host.spec("nic.json", {"0": ["g0"]}, "vendor.com/nic", annotations={"cdi-runc/serve": "dra"})

    async def scene(kubelet: Kubelet) -> None:
        assert kubelet.registrations == [GPU]

    play(node, scene)


def test_shares_are_devices_of_their_own(node: Node) -> None:
    node.host.spec("gpu.json", {"0": ["g0"], "1": ["g1"]}, annotations={"cdi-runc/replicas": "2"})

    async def scene(kubelet: Kubelet) -> None:
        assert kubelet.healthy(GPU) == ["0::0", "0::1", "1::0", "1::1"]
        answer = await kubelet.allocate(GPU, "0::0", "0::1")
        assert [device.name for device in answer.cdi_devices] == ["vendor.com/gpu=0"]
        assert await kubelet.prefers(GPU, 2, kubelet.healthy(GPU)) == ["0::0", "1::0"]

    play(node, scene)


@pytest.mark.parametrize(
    ("kind", "resource"),
    [
        ("Vendor_X.com/GPU", "vendor-x.com/GPU"),
        ("vendor.com/" + "c" * 64, "vendor.com/" + "c" * 54 + "-52b6419d"),
        ("v" * 60 + ".com/" + "c" * 63, "v" * 60 + ".com/" + "c" * 63),  # the socket's path is a hash
    ],
)
def test_names_that_kubernetes_has_not(kind: str, resource: str, host: Host) -> None:
    host.node("g0")
    host.spec("a.json", {"0": ["g0"]}, kind)
    node = Node(host)

    async def run() -> None:
        async with node.kubelet.running(), node.plugged():
            await until(lambda: node.kubelet.healthy(resource) == ["0"], str(node.said + node.kubelet.refusals))
            [device] = (await node.kubelet.allocate(resource, "0")).cdi_devices
            assert device.name == f"{kind}=0"

    asyncio.run(run())


def test_kinds_that_cannot_be_resources_are_named(node: Node) -> None:
    for number, kind in enumerate(["a.kubernetes.io/x", "Vendor.com/gpu"]):
        node.host.spec(f"{number}.json", {"0": ["g0"]}, kind)

    async def scene(kubelet: Kubelet) -> None:
        assert set(kubelet.registrations) == {GPU}

    play(node, scene)
    assert [line.partition(":")[0] for line in node.said if "registered" not in line] == [
        "a.kubernetes.io/x",
        "Vendor.com/gpu",
    ]


def test_a_list_that_is_too_long_is_cut_and_reported(node: Node) -> None:
    names = {f"{number:05}-{'x' * 200}": {"containerEdits": {"env": [f"N={number}"]}} for number in range(300)}
    node.host.spec("gpu.json", names, annotations={"cdi-runc/replicas": "100"})

    async def scene(kubelet: Kubelet) -> None:
        assert 10_000 < len(kubelet.healthy(GPU)) < 30_000

    play(node, scene)
    assert any("takes a list of" in line for line in node.said)


def test_a_fault_that_nobody_thought_of_ends_all(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: DevicePlugins, plugin: object, endpoint: str) -> None:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(DevicePlugins, "_register", broken)

    async def run() -> None:
        plugins = DevicePlugins(str(node.directory), node.said.append)
        async with node.kubelet.running():
            await asyncio.wait_for(plugins.serve(Stock(["/etc/cdi"], node.host.tree)), LIMIT)

    with pytest.raises(RuntimeError, match="nobody thought of this"):
        asyncio.run(run())


@pytest.mark.parametrize("error", [AttributeError("_transport"), asyncio.TimeoutError(), ConnectionResetError()])
def test_a_registration_that_fails_is_tried_again(
    error: Exception, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_plugins, "FIRST_PAUSE", 0.01)

    class Failing(UnaryUnaryMethod[Any, Any]):
        async def __call__(self, *arguments: object, **more: object) -> object:
            monkeypatch.setattr(device_plugins, "UnaryUnaryMethod", UnaryUnaryMethod)
            raise error

    monkeypatch.setattr(device_plugins, "UnaryUnaryMethod", Failing)

    async def scene(kubelet: Kubelet) -> None:
        assert kubelet.healthy(GPU) == ["0", "1"]

    play(node, scene)


@pytest.mark.parametrize("old", [False, True])
def test_nothing_is_lost_however_often_either_side_is_killed(
    old: bool, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.kubelet.old = old
    monkeypatch.setattr(device_plugins, "FIRST_PAUSE", 0.01)
    choice = random.Random(16)

    async def ours(stop: asyncio.Event) -> None:
        while not stop.is_set():
            async with node.plugged():
                await asyncio.sleep(choice.uniform(0, 0.05))

    async def run() -> None:
        stop = asyncio.Event()
        killing = asyncio.create_task(ours(stop))
        for _ in range(50):
            async with node.kubelet.running():
                await asyncio.sleep(choice.uniform(0, 0.05))
        stop.set()
        await killing
        async with node.kubelet.running(), node.plugged():
            await until(lambda: node.kubelet.healthy(GPU) == ["0", "1"])

    asyncio.run(run())
