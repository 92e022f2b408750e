"""The DRA driver between stand-ins for the kubelet and the API server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cdi_runc.inventory.ending import end
from cdi_runc.inventory.stock import Stock
from cdi_runc.kubernetes import checkpoint, publishing
from cdi_runc.kubernetes.api import Cluster
from cdi_runc.kubernetes.dra import Driver
from cdi_runc.kubernetes.names import device_label
from tests.inventory.conftest import Host
from tests.kubernetes.cluster import ApiServer
from tests.kubernetes.kubelet import LIMIT, until
from tests.kubernetes.plugin_watcher import PluginWatcher

KIND = "vendor.com/gpu"
G0, G1, ALL = (device_label(KIND, name) for name in ("0", "1", "all"))


class Node:
    """A node, its kubelet and its cluster."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.directory = host.root / "k"
        self.kubelet = PluginWatcher(self.directory)
        self.api = ApiServer()
        self.said: list[str] = []
        self.state = self.directory / "plugins/cdi-runc/claims.json"

    @asynccontextmanager
    async def driven(self) -> AsyncIterator[Driver]:
        """Our process, from its start to SIGTERM."""
        stock = Stock(["/etc/cdi"], self.host.tree)
        driver = Driver(Cluster(self.api.credentials), "node-1", str(self.directory), self.said.append)
        tasks = [asyncio.create_task(stock.keep()), asyncio.create_task(driver.serve(stock))]
        try:
            yield driver
        finally:
            await asyncio.wait_for(end(tasks), LIMIT)


Scene = Callable[[Driver], Awaitable[object]]


@pytest.fixture
def node(host: Host, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setattr(publishing, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(publishing, "NO_API_PAUSE", 0.05)
    host.node("g0", "g1")
    host.spec("gpu.json", {"0": ["g0"], "1": ["g1"], "all": ["g0", "g1"]})
    return Node(host)


def play(node: Node, scene: Scene) -> None:
    """A scene with kubelet, cluster and our process, which is ready for it."""

    async def run() -> None:
        async with node.api.running(), node.kubelet.running(), node.driven() as driver:
            await until(lambda: driver.ready, str(node.said))
            await scene(driver)

    asyncio.run(run())


def test_the_devices_are_published_after_the_registration(node: Node) -> None:
    async def run() -> None:
        async with node.api.running(), node.driven() as driver:
            await until(lambda: list(node.kubelet.registry.glob("*")))
            assert not node.api.slices
            async with node.kubelet.running():
                await until(lambda: driver.ready)
                assert node.api.devices().keys() == {G0, G1, ALL}
                [owner] = node.api.slices["00000-cdi-runc-node-1"]["metadata"]["ownerReferences"]
                assert owner["uid"] == "node-uid"

    asyncio.run(run())


def test_a_claim_gets_the_names_of_its_devices(node: Node) -> None:
    async def scene(driver: Driver) -> None:
        claim = node.api.claim("c", G1)
        for _ in range(2):  # asked again after a failure, it says the same
            answer = await node.kubelet.prepare(claim)
            [device] = answer.claims["uid-c"].devices
            assert (device.pool_name, device.device_name, list(device.request_names)) == ("node-1", G1, ["r0"])
            assert list(device.cdi_device_ids) == ["vendor.com/gpu=1"]
        await node.kubelet.unprepare(claim)
        assert json.loads(node.state.read_text())["claims"] == {}

    play(node, scene)


@pytest.mark.parametrize("version", ["v1", "v1beta2", "v1beta1"])
def test_clusters_of_any_version(version: str, node: Node) -> None:
    node.api.versions = (version,)
    node.kubelet.knows = ("v1beta1.DRAPlugin",) if version == "v1beta1" else node.kubelet.knows

    async def scene(driver: Driver) -> None:
        device = node.api.devices()[G0]
        assert (device.get("basic") or device)["attributes"]["name"] == {"string": "0"}
        answer = await node.kubelet.prepare(node.api.claim("c", G0))
        assert not answer.claims["uid-c"].error

    play(node, scene)


def test_a_cluster_without_the_api_is_waited_for(node: Node) -> None:
    node.api.versions = ()

    async def run() -> None:
        async with node.api.running(), node.kubelet.running(), node.driven() as driver:
            await until(lambda: len(node.api.requests) > 3)
            node.api.versions = ("v1",)
            await until(lambda: driver.ready)

    asyncio.run(run())
    assert len([line for line in node.said if "has no resource.k8s.io" in line]) == 1


def claim_of_another_uid(node: Node) -> object:
    asked = {"metadata": {"namespace": "default", "name": "c", "uid": "uid-old"}}
    node.api.claim("c", G0)
    return asked


def claim_without_allocation(node: Node) -> object:
    claim = node.api.claim("c", G0)
    del claim["status"]["allocation"]
    return claim


def claim_that_is_gone(node: Node) -> object:
    return {"metadata": {"namespace": "default", "name": "c", "uid": "uid-c"}}


def claim_of_nobody(node: Node) -> object:
    claim = node.api.claim("c", G0)
    claim["status"]["reservedFor"] = []
    return claim


def claim_of_an_unknown_device(node: Node) -> object:
    return node.api.claim("c", "gpu-9-00000000")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (claim_of_another_uid, "the claim of that name is another one now"),
        (claim_without_allocation, "the claim has no allocation"),
        (claim_that_is_gone, "there is no such claim any more"),
        (claim_of_nobody, "the claim is not reserved for any pod any more"),
        (claim_of_an_unknown_device, "the device gpu-9-00000000 is not on this node any more"),
    ],
)
def test_a_claim_that_cannot_be_prepared_says_why(make: Callable[[Node], object], says: str, node: Node) -> None:
    async def scene(driver: Driver) -> None:
        answer = await node.kubelet.prepare(make(node))
        [entry] = answer.claims.values()
        assert says in entry.error

    play(node, scene)


@pytest.mark.parametrize(("first", "second"), [(G0, G0), (ALL, G1), (G1, ALL)])
def test_a_device_of_another_claim_is_refused(first: str, second: str, node: Node) -> None:
    async def scene(driver: Driver) -> None:
        a, b = node.api.claim("a", first), node.api.claim("b", second)
        assert not (await node.kubelet.prepare(a)).claims["uid-a"].error
        assert "the claim default/a has" in (await node.kubelet.prepare(b)).claims["uid-b"].error
        await node.kubelet.unprepare(a)
        assert not (await node.kubelet.prepare(b)).claims["uid-b"].error

    play(node, scene)


def test_admins_and_sharers_may_have_what_another_has(node: Node) -> None:
    others: dict[str, dict[str, Any]] = {"b": {"adminAccess": True}, "c": {"shareID": "s2"}}

    async def scene(driver: Driver) -> None:
        await node.kubelet.prepare(node.api.claim("a", G0, shareID="s1"))
        for name, more in others.items():
            answer = await node.kubelet.prepare(node.api.claim(name, G0, **more))
            assert not answer.claims[f"uid-{name}"].error
            assert answer.claims[f"uid-{name}"].devices[0].share_id == more.get("shareID", "")

    play(node, scene)


def test_claims_outlive_the_process_but_no_reboot(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with node.api.running(), node.kubelet.running():
            async with node.driven() as driver:
                await until(lambda: driver.ready)
                await node.kubelet.prepare(node.api.claim("a", G0))
            async with node.driven() as driver:
                await until(lambda: driver.ready)
                answer = await node.kubelet.prepare(node.api.claim("b", G0))
                assert "the claim default/a has" in answer.claims["uid-b"].error
                monkeypatch.setattr(checkpoint, "boot_id", lambda: "another")
                assert not (await node.kubelet.prepare(node.api.claim("b", G0))).claims["uid-b"].error

    asyncio.run(run())


def test_claims_that_are_gone_are_forgotten(node: Node) -> None:
    async def scene(driver: Driver) -> None:
        for name, device in {"a": G0, "b": G1}.items():
            await node.kubelet.prepare(node.api.claim(name, device))
        del node.api.claims["default", "a"]
        node.api.claim("b", G1, uid="another")
        await driver.sweep()
        assert json.loads(node.state.read_text())["claims"] == {}

    play(node, scene)


def test_an_unknown_claim_is_unprepared_as_well(node: Node) -> None:
    async def scene(driver: Driver) -> None:
        answer = await node.kubelet.unprepare(node.api.claim("never-seen", G0))
        assert not answer.claims["uid-never-seen"].error

    play(node, scene)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"claims": {}}', "\x00" * 4096])
def test_a_corrupt_checkpoint_is_kept_aside_and_made_again_from_the_cluster(text: str, node: Node) -> None:
    async def scene(driver: Driver) -> None:
        await node.kubelet.prepare(node.api.claim("a", G0))
        node.state.write_text(text)
        answer = await node.kubelet.prepare(node.api.claim("b", G0))
        assert "the claim default/a has" in answer.claims["uid-b"].error
        [aside] = node.state.parent.glob("claims.json.corrupt-*")
        assert aside.read_text() == text
        assert any(str(aside) in line for line in node.said)

    play(node, scene)


def test_a_state_that_cannot_be_written_is_an_error_of_the_claim(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(driver: Driver) -> None:
        full = node.state.with_name("claims.json.new")
        full.symlink_to("/dev/full")
        answer = await node.kubelet.prepare(node.api.claim("a", G0))
        assert "No space left" in answer.claims["uid-a"].error
        full.unlink()
        assert not (await node.kubelet.prepare(node.api.claim("a", G0))).claims["uid-a"].error

    play(node, scene)


def test_slices_come_back_when_the_kubelet_deletes_them(node: Node) -> None:
    async def scene(driver: Driver) -> None:
        for _ in range(3):
            node.api.kubelet_starts()
            await until(lambda: node.api.devices().keys() == {G0, G1, ALL})

    play(node, scene)


@pytest.mark.parametrize("trouble", [ApiServer.interrupt_watches, ApiServer.compact])
def test_slices_come_back_after_a_watch_that_broke(trouble: Callable[[ApiServer], None], node: Node) -> None:
    async def scene(driver: Driver) -> None:
        trouble(node.api)
        node.api.kubelet_starts()
        await until(lambda: node.api.devices().keys() == {G0, G1, ALL})

    play(node, scene)


def test_a_conflict_is_tried_again(node: Node) -> None:
    async def scene(driver: Driver) -> None:
        node.api.conflicts = 2
        (node.host.root / "dev/g1").unlink()
        await until(lambda: "taints" in node.api.devices().get(G1, {}))

    play(node, scene)


def test_each_change_is_a_generation_of_its_own(node: Node) -> None:
    async def scene(driver: Driver) -> None:
        def generations() -> set[int]:
            return {each["spec"]["pool"]["generation"] for each in node.api.slices.values()}

        assert generations() == {1}
        (node.host.root / "dev/g1").unlink()
        await until(lambda: generations() == {2})
        (node.host.specs / "gpu.json").unlink()
        await until(lambda: not node.api.devices() and generations() == {3})
        assert len(node.api.slices) == 1  # one without devices rather than none

    play(node, scene)


def test_nothing_is_written_while_nothing_changes(node: Node) -> None:
    async def run() -> None:
        async with node.api.running(), node.kubelet.running():
            for _ in range(2):
                async with node.driven() as driver:
                    await until(lambda: driver.ready)
                    await until(lambda: any(each.startswith("WATCH") for each in node.api.requests))
            assert {each["spec"]["pool"]["generation"] for each in node.api.slices.values()} == {1}

    asyncio.run(run())


def test_an_unplugged_device_is_tainted_so_that_its_pods_go(node: Node) -> None:
    async def scene(driver: Driver) -> None:
        (node.host.root / "dev/g1").unlink()
        await until(lambda: "taints" in node.api.devices().get(G1, {}))
        assert [taint["effect"] for taint in node.api.devices()[G1]["taints"]] == ["NoExecute"]
        node.host.node("g1")
        await until(lambda: "taints" not in node.api.devices().get(G1, {"taints": []}))

    play(node, scene)


def test_without_taints_and_counters_what_needs_them_is_left_out(node: Node) -> None:
    node.api.drops = frozenset({"taints", "consumesCounters"})

    async def scene(driver: Driver) -> None:
        assert node.api.devices().keys() == {G0, G1}
        (node.host.root / "dev/g1").unlink()
        await until(lambda: node.api.devices().keys() == {G0})

    play(node, scene)


def test_an_expired_token_is_read_again(node: Node) -> None:
    async def scene(driver: Driver) -> None:
        credentials = node.api.credentials
        old = credentials()
        driver.cluster._credentials = lambda: old
        node.api.token = "new"
        node.api.interrupt_watches()
        node.api.kubelet_starts()
        await until(lambda: any("401" in line for line in node.said))
        driver.cluster._credentials = credentials
        await until(lambda: node.api.devices().keys() == {G0, G1, ALL})

    play(node, scene)


def test_the_health_of_devices_is_told_with_the_reason(node: Node) -> None:
    async def scene(driver: Driver) -> None:
        health = node.kubelet.health()
        assert {name for name, (state, _) in (await health.__anext__()).items() if state == 1} == {G0, G1, ALL}
        (node.host.root / "dev/g1").unlink()
        now = await asyncio.wait_for(health.__anext__(), LIMIT)
        assert now[G0] == (1, "")
        assert now[G1] == (2, "device node /dev/g1: No such file or directory")

    play(node, scene)


def test_a_second_instance_takes_over_without_a_gap(node: Node) -> None:
    async def run() -> None:
        async with node.api.running(), node.kubelet.running():
            async with node.driven() as first:
                await until(lambda: first.ready)
                await node.kubelet.prepare(node.api.claim("a", G0))
                async with node.driven() as second:
                    await until(lambda: second.ready and len(node.kubelet.plugins) == 2)
                    answer = await node.kubelet.prepare(node.api.claim("b", G0))
                    assert "the claim default/a has" in answer.claims["uid-b"].error
            assert node.api.devices().keys() == {G0, G1, ALL}  # a rollout deletes nothing

    asyncio.run(run())
    assert list(node.kubelet.registry.glob("*")) == []


def test_sockets_of_an_instance_that_was_killed_are_removed(node: Node) -> None:
    import socket

    node.kubelet.registry.mkdir(parents=True)
    stale = node.kubelet.registry / "cdi-runc-0123-reg.sock"
    other = node.kubelet.registry / "other.example.com-reg.sock"
    for path in (stale, other):
        with socket.socket(socket.AF_UNIX) as killed:
            killed.bind(str(path))

    async def scene(driver: Driver) -> None:
        assert not stale.exists()
        assert other.exists()

    play(node, scene)


def test_a_withdrawal_deletes_the_slices(node: Node) -> None:
    async def scene(driver: Driver) -> None:
        await driver.withdraw()
        assert not node.api.slices

    play(node, scene)


@pytest.mark.parametrize("is_in_use", [True, False])
def test_claims_stay_written_down_while_pods_have_them(node: Node, is_in_use: bool) -> None:
    async def scene(driver: Driver) -> None:
        claim = node.api.claim("a", G0)
        await node.kubelet.prepare(claim)
        if not is_in_use:
            await node.kubelet.unprepare(claim)
        driver.tidy()
        assert node.state.exists() == is_in_use
        assert not node.state.with_name("claims.json.lock").exists()

    play(node, scene)


def test_a_kubelet_that_refuses_is_heard(node: Node) -> None:
    node.kubelet.refuse = "not this one"

    async def run() -> None:
        async with node.api.running(), node.kubelet.running(), node.driven() as driver:
            await until(lambda: node.said)
            assert not driver.ready

    asyncio.run(run())
    assert any("the kubelet does not take the driver: not this one" in line for line in node.said)
    assert not node.api.slices
