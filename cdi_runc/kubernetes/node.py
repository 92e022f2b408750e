"""What cdi-node runs: one stock, the front ends that were asked for, and what it tells probes."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator

from cdi_runc.inventory.ending import end
from cdi_runc.inventory.stock import Stock
from cdi_runc.inventory.tree import Tree
from cdi_runc.kubernetes import metrics
from cdi_runc.kubernetes.api import Cluster
from cdi_runc.kubernetes.credentials import Credentials, has_account, of_account, of_kubeconfig
from cdi_runc.kubernetes.device_plugins import DevicePlugins
from cdi_runc.kubernetes.dra import Driver
from cdi_runc.kubernetes.events import KIND_NOT_OFFERED, SPEC_REFUSED, Events
from cdi_runc.kubernetes.exposition import Sample
from cdi_runc.kubernetes.turn import turn

LOCK = "plugins/cdi-runc/lock"  # below the kubelet's directory


class Node:
    """The front ends of one node."""

    def __init__(self, options: argparse.Namespace, spec_dirs: Iterable[str], say: Callable[[str], None]) -> None:
        self.options = options
        self.spec_dirs = tuple(spec_dirs)
        self.say = say
        self.stock: Stock | None = None
        self.cluster: Cluster | None = None  # device plugins need none
        if options.how != "device-plugin" or options.kubeconfig or has_account():
            self.cluster = Cluster(self._credentials)
        self.events = Events(self.cluster, options.node_name, say) if self.cluster else None
        self.plugins: DevicePlugins | None = None
        if options.how != "dra":
            self.plugins = DevicePlugins(options.kubelet_dir, say, self._refuse)
        self.driver: Driver | None = None
        if self.cluster and options.how != "device-plugin":
            self.driver = Driver(self.cluster, options.node_name, options.kubelet_dir, say)

    async def serve(self) -> None:
        """Serve until cancelled. Raises OSError where that is impossible."""
        self.stock = Stock(self.spec_dirs, Tree(self.options.host_root))
        async with contextlib.AsyncExitStack() as stack:
            if self.options.listen:
                await stack.enter_async_context(metrics.told(self.options.listen, self.missing, self.samples))
            jobs = [self.stock.keep(), self._tell_faults(self.stock)]
            if self.plugins:
                jobs.append(self._serve_plugins(self.stock, self.plugins))
            if self.driver:
                jobs.append(self.driver.serve(self.stock))
            if self.events:
                jobs.append(self.events.keep())
            await _together(jobs)

    async def withdraw(self) -> None:
        """Take back all that was offered, before the end."""
        if self.plugins:
            await self.plugins.withdraw()
        if self.driver:
            await self.driver.withdraw()

    def missing(self) -> str:
        """What the cluster does not have of us yet; '' when it has all."""
        if self.stock is None:
            return "the specs are not read yet"
        if self.plugins and not self.plugins.ready:
            return "not all device plugins are registered with the kubelet"
        if self.driver and not self.driver.ready:
            return "the driver is not registered with the kubelet, or its slices are not published"
        return ""

    def samples(self) -> Iterator[Sample]:
        """For Prometheus."""
        if self.stock:
            yield from metrics.of_inventory(self.stock.inventory)
        if self.plugins:
            yield from self.plugins.samples()
        if self.driver:
            yield from self.driver.samples()
        if self.cluster:
            yield "cdi_api_requests_total", {}, self.cluster.calls
        if self.events:
            yield "cdi_events_written_total", {}, self.events.written

    def _credentials(self) -> Credentials:
        return of_kubeconfig(self.options.kubeconfig) if self.options.kubeconfig else of_account()

    async def _serve_plugins(self, stock: Stock, plugins: DevicePlugins) -> None:
        async with turn(os.path.join(self.options.kubelet_dir, LOCK), self.say):
            await plugins.serve(stock)

    async def _tell_faults(self, stock: Stock) -> None:
        """Say what is wrong with spec files, when it is new."""
        before: set[str] = set()
        async for inventory in stock.follow():
            faults = set(inventory.faults.values())
            for fault in sorted(faults - before):
                self.say(fault)
            before = faults
            if self.events:
                self.events.now(SPEC_REFUSED, faults)

    def _refuse(self, kinds: Iterable[str]) -> None:
        if self.events:
            self.events.now(KIND_NOT_OFFERED, kinds)


async def _together(jobs: Iterable[object]) -> None:
    """Run all until one fails or we are cancelled, and end all of them then."""
    tasks = [asyncio.ensure_future(job) for job in jobs]  # type: ignore[call-overload]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        await end(tasks)
