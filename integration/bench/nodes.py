"""`python -m integration.bench.nodes [--program "PYTHON SCRIPT"]`: what cdi-node costs, and how fast it is.

Against the stand-ins for kubelet and API server of the tests, so only our own part is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cdi_runc.kubernetes.names import device_label
from tests.inventory.conftest import Host
from tests.kubernetes.cluster import ApiServer
from tests.kubernetes.kubelet import Kubelet, until
from tests.kubernetes.plugin_watcher import PluginWatcher

KIND = "vendor.com/gpu"
REST = 130.0  # seconds of doing nothing, to see what that costs: longer than from one look without a sign to the next
SETTLED = 10.0  # seconds before that: the watch of our own changes has the slices compared once more

Row = tuple[str, float, float | None]  # what, how much, the most that is wanted


class Node:
    """A node with so many devices, its stand-ins, and the program that is measured."""

    def __init__(self, root: Path, devices: int, program: list[str]) -> None:
        self.host = Host(root)
        self.program = program
        self.api = ApiServer()
        self.kubelet = Kubelet(root / "k")
        self.watcher = PluginWatcher(root / "k")
        self.names = [f"{number:05}" for number in range(devices)]
        self.host.node(*self.names)
        self.host.spec("gpu.json", {name: [name] for name in self.names}, KIND)

    @asynccontextmanager
    async def running(self, how: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """The program, until the end of the context."""
        config = self.host.root / "kubeconfig"
        config.write_text(json.dumps(kubeconfig(self.api.port)))
        process = await asyncio.create_subprocess_exec(
            *self.program, how, f"--kubelet-dir={self.host.root / 'k'}", "--node-name=node-1",
            f"--kubeconfig={config}", "--spec-dir=/etc/cdi", f"--host-root={self.host.root}",
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def kubeconfig(port: int) -> dict[str, Any]:
    """For the stand-in."""
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
    }


def memory(process: asyncio.subprocess.Process) -> float:
    """MiB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def processor(process: asyncio.subprocess.Process) -> float:
    """Milliseconds so far, of its only thread."""
    return int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[0]) / 1e6


async def median_ms(call: Callable[[int], Awaitable[object]], times: int) -> float:
    """The median of so many calls."""
    took = []
    for number in range(times):
        started = time.perf_counter()
        await call(number)
        took.append(1000 * (time.perf_counter() - started))
    return statistics.median(took)


async def measure(root: Path, devices: int, program: list[str], most: float | None, rest: float) -> AsyncIterator[Row]:
    """All figures with so many devices of one kind. `most` is of the memory; without it, nothing has a limit."""
    node = Node(root, devices, program)
    times = min(devices, 200)
    async with node.api.running(), node.kubelet.running(), node.watcher.running():
        started = time.perf_counter()
        async with node.running("both") as process:
            await until(lambda: len(node.kubelet.healthy(KIND)) == devices)
            yield f"{devices} devices: start to allocatable, s", time.perf_counter() - started, most and 1.5
            yield f"{devices} devices: CPU of that, s", processor(process) / 1000, None
            await until(lambda: len(node.api.devices()) == devices)
            yield f"{devices} devices: start to claimable, s", time.perf_counter() - started, None
            yield (
                f"{devices} devices: Allocate, ms",
                await median_ms(lambda number: node.kubelet.allocate(KIND, node.names[number]), times),
                10,
            )

            async def prepare(number: int) -> None:
                claim = node.api.claim(f"c{number}", device_label(KIND, node.names[number]))
                answer = await node.watcher.prepare(claim)
                assert not answer.claims[f"uid-c{number}"].error

            yield f"{devices} devices: Prepare, ms", await median_ms(prepare, times), 10
            started = time.perf_counter()
            node.host.spec("gpu.json", {name: [name] for name in (*node.names, "more")}, KIND)
            await until(lambda: len(node.kubelet.capacity(KIND)) == devices + 1)
            yield f"{devices} devices: spec change to the kubelet, s", time.perf_counter() - started, most and 1
            await until(lambda: len(node.api.devices()) == devices + 1)
            health = node.watcher.health()
            assert len(await health.__anext__()) == devices + 1
            yield f"{devices} devices: memory of both, MiB", memory(process), most
            await asyncio.sleep(SETTLED)
            before = processor(process)
            await asyncio.sleep(rest)
            yield f"{devices} devices: CPU at rest, ms a second", (processor(process) - before) / rest, 1
            await health.aclose()


async def kills(root: Path, program: list[str], times: int) -> Row:
    """How often the devices were not all there again, after so many random kills of program and kubelet."""
    node = Node(root, 4, program)
    choice = random.Random(1)
    lost = 0
    async with node.api.running():
        for _ in range(times // 20):
            async with node.kubelet.running(), node.running("device-plugin"):
                await asyncio.sleep(choice.uniform(0, 0.3))  # the program is killed
            async with node.running("device-plugin"):
                for _ in range(18):
                    async with node.kubelet.running():
                        await asyncio.sleep(choice.uniform(0, 0.05))  # the kubelet is killed
                async with node.kubelet.running():
                    try:
                        await until(lambda: len(node.kubelet.healthy(KIND)) == 4)
                    except AssertionError:
                        lost += 1
    return f"lost after {times} kills", lost, 0


async def run(options: argparse.Namespace) -> int:
    """Print all; how many figures are too high."""
    program = shlex.split(options.program) if options.program else [sys.executable, "-m", "cdi_runc.kubernetes"]
    high = 0
    for devices, most in ((1, 40), (1000, 40), (10_000, 60), (50_000, None)):
        if devices <= options.devices:
            with tempfile.TemporaryDirectory() as root:
                async for row in measure(Path(root), devices, program, most, options.rest):
                    high += show(row)
    with tempfile.TemporaryDirectory() as root:
        high += show(await kills(Path(root), program, options.kills))
    return high


def show(row: Row) -> bool:
    """Print a figure; whether it is too high."""
    what, much, most = row
    print(f"{what:50} {much:10.2f}{f'  (at most {most:g})' if most is not None else ''}", flush=True)
    return most is not None and much > most


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", help="the command to measure, instead of this tree's cdi-node")
    parser.add_argument("--devices", type=int, default=50_000, help="no more than so many")
    parser.add_argument("--rest", type=float, default=REST, help="seconds of doing nothing")
    parser.add_argument("--kills", type=int, default=1000)
    sys.exit(asyncio.run(run(parser.parse_args())) > 0)
