"""The node's ResourceSlices in the cluster, kept as the inventory says.

The kubelet deletes them when it starts and when we were away for 30 seconds. So we watch, and list again whenever a
watch ends, which it does after five to ten minutes: what a watch missed is corrected then.
"""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import quote, urlencode

from cdi_runc.inventory.ending import end
from cdi_runc.inventory.inventory import Inventory
from cdi_runc.inventory.stock import Stock
from cdi_runc.kubernetes.api import ApiError, Cluster, NoAnswer, Object
from cdi_runc.kubernetes.pauses import pauses
from cdi_runc.kubernetes.slices import DRIVER, GATED, VERSIONS, dropped, same, slice_name, specs

WATCH_TIME = 300, 600  # seconds of a watch, chosen each time, so that not all nodes come at once
FIRST_PAUSE, LAST_PAUSE = 1.0, 60.0  # seconds until a call that failed is made again
NO_API_PAUSE = 60.0  # seconds until we look again whether the cluster has the API
GROUP = "resource.k8s.io"
TRIES = 5  # to write what somebody else is writing too


class Publisher:
    """Publishes for one node. `moved` is called when `published` may have become another."""

    def __init__(
        self, cluster: Cluster, node: str, say: Callable[[str], None], moved: Callable[[], None] = lambda: None
    ) -> None:
        self.cluster = cluster
        self.node = node
        self.version = ""
        self._published = False
        self._withdrawn = False
        self._writing = asyncio.Lock()
        self._say = say
        self._moved = moved
        self._told: str = ""
        self._fields = GATED
        self._owner: Object = {}
        self._due = asyncio.Event()
        self._listed = asyncio.Event()
        self._resource_version = ""

    @property
    def published(self) -> bool:
        """Whether the cluster has what the inventory says."""
        return self._published

    @published.setter
    def published(self, value: bool) -> None:
        self._published = value
        self._moved()

    async def discover(self) -> str:
        """The best version of the API that the cluster has; waits until it has one."""
        while True:
            try:
                group = await self.cluster.call("GET", f"/apis/{GROUP}")
                served = {each["version"] for each in group["versions"]}
            except ApiError as error:
                if error.status != 404:
                    await self._failed(error, random.uniform(1, 2) * LAST_PAUSE / 2)
                    continue
                served = set()
            except NoAnswer as error:
                await self._failed(error, random.uniform(FIRST_PAUSE, 10 * FIRST_PAUSE))
                continue
            self.version = next((version for version in VERSIONS if version in served), "")
            if self.version:
                return self.version
            self._tell(f"this cluster has no {GROUP}/{' or '.join(VERSIONS)}: no claims until it has")
            await asyncio.sleep(NO_API_PAUSE * random.uniform(0.75, 1.25))

    async def keep(self, stock: Stock) -> None:
        """Publish what is in stock, until cancelled."""
        following = asyncio.ensure_future(self._follow(stock))
        watching = asyncio.ensure_future(self._watch())
        waits = _pauses()
        try:
            while True:
                await self._due.wait()
                self._due.clear()
                try:
                    await self.publish(stock.inventory)
                    waits = _pauses()
                    self._told = ""
                    self._listed.set()
                except (ApiError, NoAnswer) as error:
                    self.published = False
                    await self._failed(error, next(waits))
                    self._due.set()
        finally:
            await end([following, watching])

    async def publish(self, inventory: Inventory) -> None:
        """Make the cluster's slices those of the inventory. Raises ApiError and NoAnswer."""
        for attempt in range(TRIES):
            try:
                async with self._writing:
                    while not self._withdrawn and not await self._write(inventory):
                        pass
            except ApiError as error:
                # Somebody else writes too: an instance that takes over from this one, or the kubelet, which deletes.
                if error.status not in (404, 409) or attempt == TRIES - 1:
                    raise
            else:
                self.published = not self._withdrawn
                return

    async def withdraw(self) -> None:
        """Delete the slices, and write none any more. Raises ApiError and NoAnswer."""
        self._withdrawn = True
        async with self._writing:
            for each in await self._list({}):
                await self._delete(each)
        self.published = False

    async def _write(self, inventory: Inventory) -> bool:
        """Write what differs. Whether the server kept all of it; if not, there is less to be written."""
        slices = specs(inventory, self.node, self.version, self._fields)
        wanted = {slice_name(number, self.node): spec for number, spec in enumerate(slices)}
        found = {each["metadata"]["name"]: each for each in await self._list(wanted)}
        generations = {each["generation"] for each in found.values()}
        if wanted.keys() == found.keys() and len(generations) == 1 and all(each["same"] for each in found.values()):
            return True
        generation = max(generations, default=0) + 1
        kept = True
        for name, spec in wanted.items():
            spec = {**spec, "pool": {**spec["pool"], "generation": generation}}
            answer = await self._put(name, spec, found.pop(name, None))
            lost = dropped(spec, answer["spec"])
            if lost:
                self._say(f"this cluster does not keep {', '.join(sorted(lost))}; it gets what makes sense without")
                self._fields -= lost
                return False
        for each in found.values():
            await self._delete(each)
        return kept

    async def _put(self, name: str, spec: Object, before: Object | None) -> Object:
        metadata: Object = {"name": name, "ownerReferences": [await self._own()]}
        body = {"apiVersion": f"{GROUP}/{self.version}", "kind": "ResourceSlice", "metadata": metadata, "spec": spec}
        if before is None:
            return await self.cluster.call("POST", self._path(), body)
        metadata["resourceVersion"] = before["metadata"]["resourceVersion"]
        return await self.cluster.call("PUT", self._path(name), body)

    async def _delete(self, each: Object) -> None:
        try:
            await self.cluster.call("DELETE", self._path(each["metadata"]["name"]))
        except ApiError as error:
            if error.status != 404:
                raise

    async def _list(self, wanted: Mapping[str, Object]) -> list[Object]:
        """The slices that are there, each without its devices, and whether it is as wanted."""
        path = f"{self._path()}?{urlencode({'fieldSelector': self._selector})}"
        answer = await self.cluster.call("GET", path, each=functools.partial(_compared, wanted))
        items: list[Object] = answer.get("items") or []
        self._resource_version = answer["metadata"]["resourceVersion"]
        return items

    async def _own(self) -> Object:
        """The reference to the node, with which the slices go when the node goes."""
        if not self._owner:
            node = await self.cluster.call("GET", f"/api/v1/nodes/{quote(self.node)}")
            self._owner = {"apiVersion": "v1", "kind": "Node", "name": self.node, "uid": node["metadata"]["uid"]}
        return self._owner

    async def _follow(self, stock: Stock) -> None:
        async for _ in stock.follow():
            self.published = False
            self._due.set()

    async def _watch(self) -> None:
        """Have it written again when somebody changes it, and whenever a watch ends."""
        waits = _pauses()
        while True:
            try:
                self._listed.clear()
                self._due.set()
                await self._listed.wait()
                events = self.cluster.watch(
                    self._path(),
                    fieldSelector=self._selector,
                    resourceVersion=self._resource_version,
                    timeoutSeconds=str(random.randint(*WATCH_TIME)),
                )
                async for event in events:
                    waits = _pauses()
                    if event["type"] in ("DELETED", "MODIFIED"):
                        self._due.set()
                await asyncio.sleep(
                    random.uniform(0, FIRST_PAUSE)
                )  # a server that ends watches at once is not asked at once
            except (ApiError, NoAnswer):
                # For example 410: our place in the history is gone. The list says where we are.
                await asyncio.sleep(next(waits))

    def _path(self, name: str = "") -> str:
        path = f"/apis/{GROUP}/{self.version}/resourceslices"
        return f"{path}/{quote(name)}" if name else path

    @property
    def _selector(self) -> str:
        return f"spec.nodeName={self.node},spec.driver={DRIVER}"

    async def _failed(self, error: Exception, pause: float) -> None:
        self._tell(f"{error}")
        await asyncio.sleep(pause)

    def _tell(self, text: str) -> None:
        if text != self._told:
            self._told = text
            self._say(text)


def _compared(wanted: Mapping[str, Object], each: Object) -> Object:
    """A slice of a list without its devices, since those of all slices at once take much memory; else what is given."""
    if not {"metadata", "spec"} <= each.keys():
        return each
    name = each["metadata"]["name"]
    return {
        "metadata": each["metadata"],
        "generation": each["spec"]["pool"]["generation"],
        "same": name in wanted and same(wanted[name], each["spec"]),
    }


def _pauses() -> Iterator[float]:
    return pauses(FIRST_PAUSE, LAST_PAUSE)
