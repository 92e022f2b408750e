"""Events about the node, between a stand-in for the API server and an inventory's faults."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from cdi_runc.inventory.ending import end
from cdi_runc.kubernetes import events
from cdi_runc.kubernetes.api import Cluster
from cdi_runc.kubernetes.events import KIND_NOT_OFFERED, SPEC_REFUSED, Events
from tests.kubernetes.cluster import ApiServer
from tests.kubernetes.kubelet import until

POST = "POST /api/v1/namespaces/default/events"
BAD, WORSE = "/etc/cdi/bad.json:1: it is not JSON", "/etc/cdi/worse.json: no kind"

Scene = Callable[[ApiServer, Events], Awaitable[object]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "SPREAD", 0.0)
    monkeypatch.setattr(events, "FIRST_PAUSE", 0.01)


def play(scene: Scene, api: ApiServer | None = None, node: str = "node-1") -> list[str]:
    """A scene with a cluster; gives what was said."""
    said: list[str] = []
    api = api or ApiServer()

    async def run() -> None:
        async with api.running():
            told = Events(Cluster(api.credentials), node, said.append)
            keeping = asyncio.ensure_future(told.keep())
            await scene(api, told)
            await end([keeping])

    asyncio.run(run())
    return said


def messages(api: ApiServer) -> list[str]:
    return sorted(event["message"] for event in api.events.values())


def test_a_fault_is_an_event_about_the_node() -> None:
    async def scene(api: ApiServer, told: Events) -> None:
        told.now(SPEC_REFUSED, [BAD])
        await until(lambda: told.written == 1)
        [event] = api.events.values()
        about = event["involvedObject"]
        assert (about["kind"], about["name"]) == ("Node", "node-1")
        assert (event["reason"], event["message"], event["type"]) == ("SpecRefused", BAD, "Warning")
        assert event["source"] == {"component": "cdi-node", "host": "node-1"}

    assert play(scene) == []


def test_the_same_fault_is_told_once_and_each_sort_for_itself() -> None:
    async def scene(api: ApiServer, told: Events) -> None:
        for faults in ([BAD], [BAD], [BAD, WORSE], [WORSE]):
            told.now(SPEC_REFUSED, faults)
            told.now(KIND_NOT_OFFERED, ["x"])
            await until(lambda: not told._waiting)
        assert messages(api) == sorted([BAD, WORSE, "x"])
        assert api.requests == [POST] * 3

    play(scene)


def test_a_fault_that_comes_again_renews_its_event() -> None:
    async def scene(api: ApiServer, told: Events) -> None:
        told.now(SPEC_REFUSED, [BAD])
        await until(lambda: told.written == 1)
        [event] = api.events.values()
        event["lastTimestamp"] = "2026-01-01T00:00:00Z"
        told.now(SPEC_REFUSED, [])
        told.now(SPEC_REFUSED, [BAD])
        await until(lambda: told.written == 2)
        assert len(api.events) == 1
        assert event["lastTimestamp"] > "2026-01-01T00:00:00Z"

    play(scene)


def test_there_is_a_limit_and_what_is_mended_meanwhile_is_not_told() -> None:
    faults = [f"/etc/cdi/{number:02}.json: bad" for number in range(50)]

    async def scene(api: ApiServer, told: Events) -> None:
        told.now(SPEC_REFUSED, faults)
        await until(lambda: told.written == events.BURST)
        for _ in range(20):
            await asyncio.sleep(0)
        assert messages(api) == faults[: events.BURST]
        told.now(SPEC_REFUSED, faults[-1:])
        assert told._waiting == {faults[-1]: SPEC_REFUSED}

    play(scene)


def test_after_a_while_there_may_be_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "REFILL", 0.01)

    async def scene(api: ApiServer, told: Events) -> None:
        told.now(SPEC_REFUSED, map(str, range(2 * events.BURST)))
        await until(lambda: told.written == 2 * events.BURST)

    play(scene)


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_what_passes_is_waited_for(status: int) -> None:
    async def scene(api: ApiServer, told: Events) -> None:
        api.refuses[POST] = status
        told.now(SPEC_REFUSED, [BAD])
        await until(lambda: len(api.requests) > 2)
        api.refuses.clear()
        await until(lambda: told.written == 1)

    [said] = play(scene)
    assert said == f"no event about this node can be written: the API server says {status}: no"


@pytest.mark.parametrize("status", [403, 404, 422])
def test_what_is_refused_is_said_once_and_not_asked_again(status: int) -> None:
    async def scene(api: ApiServer, told: Events) -> None:
        api.refuses[POST] = status
        for faults in ([BAD], [BAD, WORSE]):
            told.now(SPEC_REFUSED, faults)
            await until(lambda: not told._waiting)
        assert api.requests == [POST] * 2

    assert len(play(scene)) == 1


def test_a_node_with_the_longest_name_and_a_long_fault() -> None:
    async def scene(api: ApiServer, told: Events) -> None:
        told.now(SPEC_REFUSED, ["x" * 5000])
        await until(lambda: told.written == 1)

    play(scene, node="a." * 126 + "a")
