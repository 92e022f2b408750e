"""cdi-node as a process: its start, its signals, and what it says."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.inventory.conftest import Host
from tests.kubernetes.cluster import ApiServer
from tests.kubernetes.kubelet import LIMIT, Kubelet, until
from tests.kubernetes.plugin_watcher import PluginWatcher

GPU = "vendor.com/gpu"
PROGRAM = [sys.executable, "-c", "from cdi_runc.kubernetes.command import main; main()"]


@contextlib.asynccontextmanager
async def cdi_node(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The process, which is killed at the end if it is still there."""
    process = await asyncio.create_subprocess_exec(*PROGRAM, *arguments, stderr=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


def options(host: Host) -> list[str]:
    return [
        "device-plugin",
        f"--kubelet-dir={host.root / 'k'}",
        f"--host-root={host.root}",
        "--spec-dir=/etc/cdi",
    ]


@pytest.fixture
def kubelet(host: Host) -> Kubelet:
    host.node("g0")
    host.spec("gpu.json", {"0": ["g0"]})
    return Kubelet(host.root / "k")


def test_it_serves_until_it_is_told_to_end(host: Host, kubelet: Kubelet) -> None:
    async def run() -> int:
        async with kubelet.running(), cdi_node(*options(host)) as process:
            await until(lambda: kubelet.healthy(GPU) == ["0"])
            process.send_signal(signal.SIGTERM)
            status = await asyncio.wait_for(process.wait(), LIMIT)
            await until(lambda: kubelet.healthy(GPU) == [])
            assert kubelet.capacity(GPU) == ["0"]  # another instance may come
            return status

    assert asyncio.run(run()) == 0


def test_a_withdrawal_leaves_an_empty_list(host: Host, kubelet: Kubelet) -> None:
    async def run() -> int:
        async with kubelet.running(), cdi_node(*options(host)) as process:
            await until(lambda: kubelet.healthy(GPU) == ["0"])
            process.send_signal(signal.SIGUSR1)
            status = await asyncio.wait_for(process.wait(), LIMIT)
            await until(lambda: GPU not in kubelet.endpoints)
            assert kubelet.capacity(GPU) == []
            return status

    assert asyncio.run(run()) == 0
    assert [path.name for path in kubelet.directory.iterdir() if path.name.startswith("cdi-")] == []


def test_of_two_instances_one_serves_and_the_other_takes_over(host: Host, kubelet: Kubelet) -> None:
    async def run() -> None:
        async with kubelet.running(), cdi_node(*options(host)) as first:
            await until(lambda: kubelet.healthy(GPU) == ["0"])
            async with cdi_node(*options(host)) as second:
                assert second.stderr
                assert b"another cdi-node serves this node" in await asyncio.wait_for(second.stderr.readline(), LIMIT)
                assert kubelet.registrations == [GPU]
                first.kill()
                await until(lambda: kubelet.registrations == [GPU, GPU] and kubelet.healthy(GPU) == ["0"])

    asyncio.run(run())


def test_probes_and_prometheus_are_answered(host: Host, kubelet: Kubelet) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def get(path: str) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), LIMIT)
        writer.close()
        return answer.decode()

    async def run() -> None:
        async with cdi_node(*options(host), f"--listen=127.0.0.1:{port}") as process:
            assert process.stderr
            await asyncio.wait_for(process.stderr.readline(), LIMIT)  # that there is no kubelet
            assert (await get("/readyz")).startswith("HTTP/1.1 503")
            assert (await get("/healthz")).startswith("HTTP/1.1 200")
            async with kubelet.running():
                await until(lambda: kubelet.healthy(GPU) == ["0"])
                while not (await get("/readyz")).startswith("HTTP/1.1 200"):
                    await asyncio.sleep(0.01)
                await kubelet.allocate(GPU, "0")
                samples = await get("/metrics")
                assert 'cdi_devices{kind="vendor.com/gpu",health="healthy"} 1\n' in samples
                assert 'cdi_plugin_allocations_total{resource="vendor.com/gpu"} 1\n' in samples
            assert (await get("/")).startswith("HTTP/1.1 404")

    asyncio.run(run())


@pytest.mark.parametrize("removed", [False, True])
def test_at_sigterm_all_goes_with_its_daemon_set_and_nothing_without(
    host: Host, kubelet: Kubelet, tmp_path: Path, removed: bool
) -> None:
    api, watcher = ApiServer(), PluginWatcher(host.root / "k")
    api.daemon_sets["gpu/cdi-node"] = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"} if removed else {}}

    async def run() -> str:
        async with api.running(), kubelet.running(), watcher.running():
            config = api.kubeconfig(tmp_path / "config")
            more = ("--node-name=node-1", f"--kubeconfig={config}", "--label-node", "--daemon-set=gpu/cdi-node")
            async with cdi_node("both", *options(host)[1:], *more) as process:
                await until(lambda: api.label() == "ready")
                process.terminate()
                said = (await asyncio.wait_for(process.communicate(), LIMIT))[1].decode()
            assert process.returncode == 0
            assert api.label() is None
            assert (kubelet.capacity(GPU), len(api.slices)) == (([], 0) if removed else (["0"], 1))
            return said

    assert ("all devices are withdrawn" in asyncio.run(run())) == removed
    assert [path for path in (host.root / "k").rglob("*") if path.is_socket()] == []


def test_specs_with_faults_are_named_once(host: Host, kubelet: Kubelet) -> None:
    (host.specs / "bad.json").write_text("{")

    async def run() -> str:
        async with kubelet.running(), cdi_node(*options(host)) as process:
            await until(lambda: kubelet.healthy(GPU) == ["0"])
            process.terminate()
            return (await process.communicate())[1].decode()

    assert asyncio.run(run()).count("cdi-node: /etc/cdi/bad.json:1") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "the following arguments are required: how"),
        (["dvice-plugin"], "invalid choice"),
        (["device-plugin", "--listen=x:y"], "invalid literal"),
        (["device-plugin", "--kubelet-dir=/proc/none"], "/proc/none"),
        (["device-plugin", "--label-node"], "need a cluster: --kubeconfig"),
        (["dra", "--daemon-set=cdi-node"], "'cdi-node' is not NAMESPACE/NAME of a DaemonSet"),
    ],
)
def test_an_error_is_one_line(arguments: list[str], says: str) -> None:
    done = subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode != 0
    assert says in done.stderr.splitlines()[-1]
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_it_keeps_to_one_thread_and_little_memory(host: Host, kubelet: Kubelet) -> None:
    async def run() -> dict[str, str]:
        async with kubelet.running(), cdi_node(*options(host)) as process:
            await until(lambda: kubelet.healthy(GPU) == ["0"])
            status = Path(f"/proc/{process.pid}/status").read_text()
            return dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)

    status = asyncio.run(run())
    assert status["Threads"] == "1"
    assert int(status["VmRSS"].split()[0]) <= 40 * 1024
