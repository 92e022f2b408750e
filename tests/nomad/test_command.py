"""cdi-nomad as a process, with a stand-in for Nomad's agent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from grpclib.exceptions import GRPCError

from cdi_runc.nomad.wire import device_pb2 as wire
from cdi_runc.nomad.wire import process_pb2 as process
from tests.nomad.agent import LIMIT, environment, packed, program, started, until
from tests.nomad.conftest import Node

NULL = {"deviceNodes": [{"path": "/dev/null"}]}


def test_the_three_starts_of_an_agent_end_in_a_task_with_a_device(node: Node) -> None:
    node.spec("gpu.json", {"0": NULL})

    async def run() -> None:
        async with started(node.settings, node.temporary) as first:
            info = await first.info()
            assert (info.type, list(info.plugin_api_versions), info.name) == (3, ["v0.1.0"], "cdi-nomad")
            schema = await first.schema()
            types = {name: each.attr.type for name, each in schema.spec.object.attributes.items()}
            assert types == {"mode": "string", "spec_dirs": "list(string)"}
            assert await first.kill() == 0
        async with started(node.settings, node.temporary) as second:
            await second.set_config(node.config())
            assert await second.kill() == 0
            assert second.log == []
        async with started(node.settings, node.temporary) as third:
            await third.set_config(node.config())
            async with (
                third.fingerprints() as lists,
                third.stream("Stats", wire.StatsRequest(), wire.StatsResponse) as figures,
            ):
                assert await anext(lists) == {"vendor.com/gpu=0": ""}
                assert await anext(figures) == wire.StatsResponse()
                given = await third.reserve("vendor.com/gpu=0")
                assert [(each.host_path, each.task_path) for each in given.mounts] == [
                    ("/dev/null", "/var/run/cdi-devices/vendor.com/gpu/0")
                ]
                assert await third.kill() == 0  # with streams that are open
        assert list(node.temporary.iterdir()) == []

    asyncio.run(run())


def test_the_health_check_of_go_plugin_is_answered(node: Node) -> None:
    async def run() -> int:
        async with started(node.settings, node.temporary) as plugin:
            request = process.HealthCheckRequest(service="plugin")
            answer = await plugin.call("/grpc.health.v1.Health/Check", request, process.HealthCheckResponse)
            return int(answer.status)

    assert asyncio.run(run()) == 1


def test_a_change_comes_on_the_stream_that_is_open(node: Node) -> None:
    paths = {f"vendor.com/gpu=g{number}": node.pipe(f"g{number}") for number in range(2)}
    node.spec("gpu.json", {name.partition("=")[2]: {"deviceNodes": [{"path": path}]} for name, path in paths.items()})

    async def run() -> None:
        async with started(node.settings, node.temporary) as plugin:
            await plugin.set_config(node.config())
            async with plugin.fingerprints() as lists:
                seen = dict.fromkeys(paths, "")
                assert await anext(lists) == seen
                for name, path in paths.items():
                    os.unlink(path)
                    with pytest.raises(GRPCError, match=f"{name} cannot be used: device node"):
                        await plugin.reserve(name)  # at once, before any watch has told
                    seen[name] = f"device node {path}: No such file or directory"
                    assert await anext(lists) == seen
                node.spec("gpu.json", {"1": NULL})
                assert await anext(lists) == {"vendor.com/gpu=1": ""}
                with pytest.raises(GRPCError, match=r"vendor\.com/gpu=g0: there is no such device on this node"):
                    await plugin.reserve("vendor.com/gpu=g0")
                (node.specs / "gpu.json").unlink()
                node.specs.rmdir()
                assert await anext(lists) == {}

    asyncio.run(run())


def test_a_second_agent_asks_anew_when_the_first_stream_has_ended(node: Node) -> None:
    node.spec("gpu.json", {"0": NULL})

    async def run() -> None:
        async with started(node.settings, node.temporary) as plugin:
            await plugin.set_config(node.config())
            for _ in range(3):
                async with plugin.fingerprints() as lists:
                    assert await anext(lists) == {"vendor.com/gpu=0": ""}

    asyncio.run(run())


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["vendor.com/gpu=9"], "vendor.com/gpu=9: there is no such device on this node"),
        (["nonsense"], "nonsense: there is no such device on this node"),
        ([""], ": there is no such device on this node"),
        (["vendor.com/gpu=0", "vendor.com/gpu=0"], "vendor.com/gpu=0 is asked for twice"),
    ],
)
def test_a_refusal_is_the_text_for_the_events_of_the_task(node: Node, names: list[str], says: str) -> None:
    node.spec("gpu.json", {"0": NULL})

    async def run() -> str:
        async with started(node.settings, node.temporary) as plugin:
            await plugin.set_config(node.config())
            with pytest.raises(GRPCError) as refused:
                await plugin.reserve(*names)
            return str(refused.value.message)

    assert asyncio.run(run()) == says


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (packed({"mode": "both"}), "mode is 'both' in the plugin's configuration"),
        (packed({"mode": 1}), "mode is 1 in the plugin's configuration"),
        (packed({"spec_dirs": "/etc/cdi"}), "spec_dirs is '/etc/cdi'"),
        (packed({"spec_dirs": ["etc/cdi"]}), "spec_dirs has 'etc/cdi'"),
        (packed({"dirs": []}), "unknown 'dirs'"),
        (packed("name"), "'name', not a block"),
        (b"\xc1", "no MessagePack"),
        (b"\x81\xa4mo", "it ends too early"),
    ],
)
def test_a_bad_configuration_means_no_devices_and_an_agent_that_starts(node: Node, config: bytes, says: str) -> None:
    async def run() -> None:
        async with started(node.settings, node.temporary) as plugin:
            await plugin.set_config(config)
            async with plugin.fingerprints() as lists:
                assert await anext(lists) == {}
            await plugin.until_logged(says, "error")
            with pytest.raises(GRPCError, match="configuration of cdi-nomad is bad"):
                await plugin.reserve("vendor.com/gpu=0")
            assert await plugin.kill() == 0

    asyncio.run(run())


def test_settings_of_cdi_runc_with_a_fault_mean_no_devices(node: Node) -> None:
    node.settings.write_text("requests: 7\n")
    node.spec("gpu.json", {"0": NULL})

    async def run() -> None:
        async with started(node.settings, node.temporary) as plugin:
            await plugin.set_config(node.config())
            async with plugin.fingerprints() as lists:
                assert await anext(lists) == {}
            await plugin.until_logged(str(node.settings), "error")

    asyncio.run(run())


def test_without_requests_by_mounts_a_device_is_unhealthy_in_mode_name(node: Node) -> None:
    node.settings.write_text("")
    node.spec("gpu.json", {"0": NULL})

    async def run() -> None:
        async with started(node.settings, node.temporary) as plugin:
            await plugin.set_config(node.config())
            async with plugin.fingerprints() as lists:
                assert "`requests: mounts:`" in (await anext(lists))["vendor.com/gpu=0"]
            await plugin.set_config(node.config("edits"))
            async with plugin.fingerprints() as lists:
                assert await anext(lists) == {"vendor.com/gpu=0": ""}

    asyncio.run(run())


def test_bad_specs_mean_fewer_devices_and_a_line_in_the_log(node: Node) -> None:
    node.spec("gpu.json", {"0": NULL})
    (node.specs / "bad.json").write_text("{")

    async def run() -> None:
        async with started(node.settings, node.temporary) as plugin:
            await plugin.set_config(node.config())
            async with plugin.fingerprints() as lists:
                assert await anext(lists) == {"vendor.com/gpu=0": ""}
            await plugin.until_logged("bad.json:1", "error")
            assert len(plugin.log) == 1

    asyncio.run(run())


def test_it_ignores_sigint_and_ends_with_sigterm(node: Node) -> None:
    async def run() -> int:
        async with started(node.settings, node.temporary) as plugin:
            plugin.child.send_signal(signal.SIGINT)
            await plugin.info()
            plugin.child.send_signal(signal.SIGTERM)
            return await asyncio.wait_for(plugin.child.wait(), LIMIT)

    assert asyncio.run(run()) == 0
    assert list(node.temporary.iterdir()) == []


def test_it_ends_with_an_agent_that_is_killed(node: Node) -> None:
    """The agent is a Python here, which is killed while it holds the plugin's standard output."""
    agent = f"import subprocess, sys; subprocess.run({program(node.settings)!r}, stdout=subprocess.PIPE)"
    child = subprocess.Popen([program(node.settings)[0], "-c", agent], env=environment(node.temporary))
    try:

        async def run() -> None:
            await until(lambda: any(node.temporary.glob("*/s")), "no socket")
            (plugin,) = psutil.Process(child.pid).children()
            child.kill()
            await until(lambda: not plugin.is_running() or plugin.status() == psutil.STATUS_ZOMBIE, "it goes on")

        asyncio.run(run())
    finally:
        child.kill()
        child.wait(LIMIT)
    assert list(node.temporary.iterdir()) == []


def test_a_plugin_that_is_killed_can_be_started_again(node: Node) -> None:
    node.spec("gpu.json", {"0": NULL})

    async def run() -> None:
        for _ in range(2):
            async with started(node.settings, node.temporary) as plugin:
                await plugin.set_config(node.config())
                async with plugin.fingerprints() as lists:
                    assert await anext(lists) == {"vendor.com/gpu=0": ""}
                    plugin.child.kill()
                    await plugin.child.wait()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"NOMAD_PLUGIN_MAGIC_COOKIE": ""}, "put it into the agent's plugin_dir"),
        ({"NOMAD_PLUGIN_MAGIC_COOKIE": "other"}, "put it into the agent's plugin_dir"),
        ({"PLUGIN_PROTOCOL_VERSIONS": "3,4"}, "the versions 3,4 of the plugin protocol, and this plugin speaks 2"),
    ],
)
def test_who_is_no_agent_of_ours_gets_one_line(node: Node, more: dict[str, str], says: str) -> None:
    done = subprocess.run(
        program(node.settings), env=environment(node.temporary, **more), capture_output=True, text=True, timeout=LIMIT
    )
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("cdi-nomad: ")
    assert says in line
    assert list(node.temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("redirection", "says"), [(">&-", "standard output is closed"), ("> /dev/full", "No space left on device")]
)
def test_without_standard_output_it_ends_and_leaves_nothing(node: Node, redirection: str, says: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", *program(node.settings)],
        env=environment(node.temporary),
        stderr=subprocess.PIPE,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert says in line
    assert list(node.temporary.iterdir()) == []


@pytest.mark.parametrize("name", ["none", "long" * 30])
def test_a_temporary_directory_that_is_unusable_does_not_matter(node: Node, name: str) -> None:
    """One that is not there, and one whose sockets' paths would be too long."""
    directory = node.temporary / name
    if name != "none":
        directory.mkdir()

    async def run() -> Path:
        async with started(node.settings, directory) as plugin:
            await plugin.info()
            assert await plugin.kill() == 0
            return Path(plugin.path)

    assert not asyncio.run(run()).parent.exists()
    assert list(node.temporary.glob("*/*")) == []


def test_a_thousand_devices_cost_little_memory(node: Node) -> None:
    paths = [node.pipe(f"g{number}") for number in range(1000)]
    node.spec("gpu.json", {str(number): {"deviceNodes": [{"path": path}]} for number, path in enumerate(paths)})

    async def run() -> float:
        async with started(node.settings, node.temporary) as plugin:
            await plugin.set_config(node.config())
            async with plugin.fingerprints() as lists:
                assert len(await anext(lists)) == 1000
                return psutil.Process(plugin.child.pid).memory_info().rss / (1 << 20)

    assert asyncio.run(run()) <= 45
