"""Events about this node, for those who look at the cluster and not into our log (k8s.io/api core/v1, Event).

Nothing waits for them. Without the API server, or without the right, there is only the log.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Callable, Iterable
from urllib.parse import quote

from cdi_runc.kubernetes.api import ApiError, Cluster, NoAnswer, Object
from cdi_runc.kubernetes.pauses import pauses

SPEC_REFUSED, KIND_NOT_OFFERED = "SpecRefused", "KindNotOffered"  # reasons
NAMESPACE = "default"  # where events about what has no namespace must be
BURST = 10  # events at once,
REFILL = 60.0  # and seconds until there may be one more
SPREAD = 5.0  # seconds in which the nodes of a cluster come that got a bad spec in the same moment
FIRST_PAUSE, LAST_PAUSE = 1.0, 60.0  # seconds until a call that failed is made again
MAX_MESSAGE = 1024  # letters
_REFUSALS = range(400, 500)  # but these two, which pass:
_PASSING = (401, 429)


class Events:
    """Writes each fault once, for as long as it lasts. One that comes again renews its event."""

    def __init__(self, cluster: Cluster, node: str, say: Callable[[str], None]) -> None:
        self.cluster = cluster
        self.node = node
        self.written = 0
        self._say = say
        self._said = ""
        self._faults: dict[str, frozenset[str]] = {}  # by reason
        self._waiting: dict[str, str] = {}  # reasons of what is not written yet
        self._due = asyncio.Event()
        self._full = 0.0  # when BURST events may be written at once again

    def now(self, reason: str, faults: Iterable[str]) -> None:
        """These are all faults of that sort at this moment, a line each."""
        before, after = self._faults.get(reason, frozenset()), frozenset(faults)
        self._faults[reason] = after
        for fault in before - after:
            self._waiting.pop(fault, None)
        self._waiting.update(dict.fromkeys(sorted(after - before), reason))
        if self._waiting:
            self._due.set()

    async def keep(self) -> None:
        """Write what is new, until cancelled."""
        waits = pauses(FIRST_PAUSE, LAST_PAUSE)
        while True:
            await self._due.wait()
            await asyncio.sleep(random.uniform(0, SPREAD))
            while self._waiting:
                await self._turn()
                fault = next(iter(self._waiting), "")  # what was mended meanwhile is not told any more
                try:
                    if fault:
                        await self._write(self._waiting[fault], fault)
                except (ApiError, NoAnswer) as error:
                    self._tell(f"no event about this node can be written: {error}")
                    if not (isinstance(error, ApiError) and _is_final(error)):
                        await asyncio.sleep(next(waits))
                        continue
                else:
                    waits = pauses(FIRST_PAUSE, LAST_PAUSE)
                    self._tell("")
                self._waiting.pop(fault, None)
            self._due.clear()

    async def _turn(self) -> None:
        """Wait until the limit allows one more."""
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, self._full - now - (BURST - 1) * REFILL))
        self._full = max(self._full, asyncio.get_running_loop().time()) + REFILL

    async def _write(self, reason: str, fault: str) -> None:
        event = _event(self.node, reason, fault)
        path = f"/api/v1/namespaces/{NAMESPACE}/events"
        try:
            await self.cluster.call("POST", path, event)
        except ApiError as error:
            if error.status != 409:
                raise
            name = quote(event["metadata"]["name"])  # this fault was told before, by us or by an instance before us
            await self.cluster.call("PATCH", f"{path}/{name}", {"lastTimestamp": event["lastTimestamp"]})
        self.written += 1

    def _tell(self, text: str) -> None:
        if text and text != self._said:
            self._say(text)
        self._said = text


def _is_final(error: ApiError) -> bool:
    """Whether it would be the same if we tried again."""
    return error.status in _REFUSALS and error.status not in _PASSING


def _event(node: str, reason: str, fault: str) -> Object:
    """The event for a fault. Its name is always the same for the same fault, so that the cluster has it once."""
    digest = hashlib.sha256(f"{node} {reason} {fault}".encode()).hexdigest()[:16]
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{node[:200].rstrip('-.')}.{digest}", "namespace": NAMESPACE},
        # The node's name for its UID, as the kubelet writes it: `kubectl describe node` looks for both.
        "involvedObject": {"apiVersion": "v1", "kind": "Node", "name": node, "uid": node},
        "reason": reason,
        "message": fault[:MAX_MESSAGE],
        "type": "Warning",
        "source": {"component": "cdi-node", "host": node},
        "reportingComponent": "cdi-node",
        "reportingInstance": node,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
