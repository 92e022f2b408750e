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
from cdi_runc.kubernetes.api import ApiError, Cluster, NoAnswer
from cdi_runc.kubernetes.credentials import Credentials, has_account, of_account, of_kubeconfig
from cdi_runc.kubernetes.device_plugins import DevicePlugins
from cdi_runc.kubernetes.dra import Driver
from cdi_runc.kubernetes.events import KIND_NOT_OFFERED, SPEC_REFUSED, Events
from cdi_runc.kubernetes.exposition import Sample
from cdi_runc.kubernetes.label import LABEL, Label
from cdi_runc.kubernetes.removal import daemon_set_path, goes_on
from cdi_runc.kubernetes.turn import removing, turn

LOCK, LABEL_LOCK = "plugins/cdi-runc/lock", "plugins/cdi-runc/label.lock"  # below the kubelet's directory
LEAVE_TIME = 20.0  # seconds for taking back what we offered; a pod is killed after 30


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
        elif options.label_node or options.daemon_set:
            raise ValueError("--label-node and --daemon-set need a cluster: --kubeconfig, or a pod's service account")
        self._withdrawn = False
        self._moved = asyncio.Event()  # set when what is missing may have become something else
        self.events = Events(self.cluster, options.node_name, say) if self.cluster else None
        self.plugins: DevicePlugins | None = None
        if options.how != "dra":
            self.plugins = DevicePlugins(options.kubelet_dir, say, self._refuse, self._moved.set)
        self.driver: Driver | None = None
        if self.cluster and options.how != "device-plugin":
            self.driver = Driver(self.cluster, options.node_name, options.kubelet_dir, say, self._moved.set)
        self.label: Label | None = None
        if self.cluster and options.label_node:
            self.label = Label(self.cluster, options.node_name, os.path.join(options.kubelet_dir, LABEL_LOCK), say)
        self.daemon_set = daemon_set_path(options.daemon_set) if options.daemon_set else ""

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
            if self.label:
                jobs.append(self.label.keep(self.missing, self._moved))
            try:
                await _together(jobs)
            finally:
                if self._withdrawn:
                    with contextlib.suppress(OSError):
                        self._tidy()

    async def leave(self, withdraw: bool) -> None:
        """What has to be done before the end, as far as it can be done in time.

        All that was offered is taken back where somebody wants that, or where this pod's DaemonSet is being removed.
        """
        try:
            await asyncio.wait_for(self._leave(withdraw), LEAVE_TIME)
        except (asyncio.TimeoutError, TimeoutError):
            self.say(f"not all is taken back after {LEAVE_TIME:.0f} s; the kubelet removes it later")

    async def _leave(self, withdraw: bool) -> None:
        if self.cluster and self.daemon_set and not withdraw:
            withdraw = not await goes_on(self.cluster, self.daemon_set)
        if self.label:
            try:
                await self.label.leave()
            except (ApiError, NoAnswer) as error:
                self.say(f"the label {LABEL} stays on this node: {error}")
        if withdraw and self.plugins:
            await self.plugins.withdraw()
        if withdraw and self.driver:
            await self.driver.withdraw()
        if withdraw:
            self._withdrawn = True
            self.say("all devices are withdrawn")

    def _tidy(self) -> None:
        """Remove what is below the kubelet's directory and of no use any more. Raises OSError."""
        if self.driver:
            self.driver.tidy()
        for name in (LOCK, LABEL_LOCK):
            with removing(os.path.join(self.options.kubelet_dir, name)):
                pass
        os.rmdir(os.path.join(self.options.kubelet_dir, os.path.dirname(LOCK)))

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
