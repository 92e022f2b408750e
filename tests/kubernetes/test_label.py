"""The node's label, against a stand-in for the API server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cdi_runc.inventory.ending import end
from cdi_runc.kubernetes import label as labels
from cdi_runc.kubernetes.api import Cluster
from cdi_runc.kubernetes.label import Label
from tests.kubernetes.cluster import ApiServer
from tests.kubernetes.kubelet import until

PATCH = "PATCH /api/v1/nodes/node-1"


class Instance:
    """A process that is ready, or misses something."""

    def __init__(self, api: ApiServer, directory: Path) -> None:
        self.said: list[str] = []
        self.label = Label(Cluster(api.credentials), "node-1", str(directory / "plugins/lock"), self.said.append)
        self._missing = "all"
        self._moved = asyncio.Event()
        self.keeping = asyncio.ensure_future(self.label.keep(lambda: self._missing, self._moved))

    def ready(self, ready: bool = True) -> None:
        """From now on nothing is missing, or all."""
        self._missing = "" if ready else "all"
        self._moved.set()

    async def kill(self) -> None:
        """Ends it without its doing anything."""
        await end([self.keeping])


Scene = Callable[[ApiServer, Callable[[], Instance]], Awaitable[object]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(labels, "LOOK", 0.01)


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Scene], None]:
    """A scene with a cluster, and with instances that are killed at its end."""

    def play(scene: Scene) -> None:
        api = ApiServer()
        instances: list[Instance] = []

        def start() -> Instance:
            instances.append(Instance(api, tmp_path))
            return instances[-1]

        async def run() -> None:
            async with api.running():
                try:
                    await scene(api, start)
                finally:
                    for each in instances:
                        await each.kill()

        asyncio.run(run())

    return play


Play = Callable[[Scene], None]


def test_it_comes_with_the_registration_and_goes_with_the_end(play: Play) -> None:
    async def scene(api: ApiServer, start: Callable[[], Instance]) -> None:
        one = start()
        one.ready()
        await until(lambda: api.label() == "ready")
        one.ready()
        await one.label.leave()
        assert api.label() is None
        assert api.requests == [PATCH] * 2

    play(scene)


def test_one_that_gets_ready_while_it_leaves_writes_no_label(play: Play) -> None:
    async def scene(api: ApiServer, start: Callable[[], Instance]) -> None:
        one = start()
        await until(lambda: one.label._lock)
        await one.label.leave()
        one.ready()
        await until(lambda: not one._moved.is_set())
        async with one.label._writing:  # after it has written, if it does
            assert api.label() is None

    play(scene)


def test_a_moment_without_the_kubelet_changes_nothing_and_a_minute_does(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(api: ApiServer, start: Callable[[], Instance]) -> None:
        one = start()
        one.ready()
        await until(lambda: api.label() == "ready")
        for ready in (False, True) * 3:
            one.ready(ready)
            await asyncio.sleep(0)
        assert api.requests == [PATCH]
        monkeypatch.setattr(labels, "UNREADY_TIME", 0.01)
        one.ready(False)
        await until(lambda: api.label() is None)
        one.ready()
        await until(lambda: api.label() == "ready")

    play(scene)


def test_a_label_from_before_a_power_cut_goes_when_nothing_gets_ready(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels, "UNREADY_TIME", 0.01)

    async def scene(api: ApiServer, start: Callable[[], Instance]) -> None:
        api.nodes["node-1"]["metadata"]["labels"] = {"cdi-runc/devices": "ready", "zone": "a"}
        start()
        await until(lambda: api.label() is None)
        assert api.nodes["node-1"]["metadata"]["labels"] == {"zone": "a"}

    play(scene)


def test_the_end_of_the_old_one_does_not_take_it_from_the_new_one(play: Play) -> None:
    async def scene(api: ApiServer, start: Callable[[], Instance]) -> None:
        old = start()
        old.ready()
        await until(lambda: api.label() == "ready")
        new = start()
        await until(lambda: new.label._lock)
        await old.label.leave()
        assert api.label() == "ready"
        await old.kill()
        new.ready()
        await until(lambda: new.label.is_set)
        await new.label.leave()
        assert api.label() is None

    play(scene)


def test_one_that_comes_while_the_last_one_goes_has_the_last_word(play: Play) -> None:
    async def scene(api: ApiServer, start: Callable[[], Instance]) -> None:
        old = start()
        old.ready()
        await until(lambda: api.label() == "ready")
        leaving = asyncio.ensure_future(old.label.leave())
        new = start()
        new.ready()
        await leaving
        await until(lambda: new.label.is_set)
        assert api.label() == "ready"

    play(scene)


def test_a_cluster_that_refuses_or_is_away_is_asked_again(play: Play) -> None:
    async def scene(api: ApiServer, start: Callable[[], Instance]) -> None:
        api.refuses[PATCH] = 403
        one = start()
        one.ready()
        await until(lambda: len(api.requests) > 3)
        assert len(one.said) == 1
        assert "is not labelled cdi-runc/devices=ready: the API server says 403" in one.said[0]
        api.refuses.clear()
        await until(lambda: api.label() == "ready")

    play(scene)
