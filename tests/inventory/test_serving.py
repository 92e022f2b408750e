from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from grpclib.client import Channel, UnaryStreamMethod, UnaryUnaryMethod
from grpclib.exceptions import GRPCError, StreamTerminatedError

from cdi_runc.inventory.serving import MAX_PATH, Refused, served, socket_name, streaming, unary

LIMIT = 20


async def greet(request: StringValue) -> StringValue:
    if not request.value:
        raise Refused("nobody is there to greet")
    return StringValue(value=f"hello {request.value}")


class Counting:
    """A stream without an end, which knows whether it was ended."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def count(self, request: StringValue) -> AsyncGenerator[StringValue, None]:
        try:
            number = 0
            while True:
                yield StringValue(value=f"{request.value}{number}")
                number += 1
        finally:
            self.ended.set()


def scenario(path: Path, talk: Callable[[Channel, Counting], Awaitable[object]]) -> object:
    """What a client says to a server."""

    async def run() -> object:
        counting = Counting()
        methods = {
            "/t.T/Greet": unary(StringValue, StringValue, greet),
            "/t.T/Count": streaming(StringValue, StringValue, counting.count),
        }
        async with served(str(path), methods):
            channel = Channel(path=str(path))
            try:
                return await asyncio.wait_for(talk(channel, counting), LIMIT)
            finally:
                channel.close()

    return asyncio.run(run())


def test_a_question_and_its_answer(tmp_path: Path) -> None:
    async def talk(channel: Channel, counting: Counting) -> str:
        answer = await UnaryUnaryMethod(channel, "/t.T/Greet", StringValue, StringValue)(StringValue(value="you"))
        return str(answer.value)

    assert scenario(tmp_path / "s", talk) == "hello you"


def test_a_refusal_is_its_text(tmp_path: Path) -> None:
    async def talk(channel: Channel, counting: Counting) -> str:
        with pytest.raises(GRPCError) as caught:
            await UnaryUnaryMethod(channel, "/t.T/Greet", StringValue, StringValue)(StringValue())
        return str(caught.value.message)

    assert scenario(tmp_path / "s", talk) == "nobody is there to greet"


def test_a_stream_ends_when_the_other_side_goes(tmp_path: Path) -> None:
    async def talk(channel: Channel, counting: Counting) -> list[str]:
        method = UnaryStreamMethod(channel, "/t.T/Count", StringValue, StringValue)
        async with method.open() as stream:
            await stream.send_message(StringValue(value="n"), end=True)
            seen = [(await stream.recv_message()).value for _ in range(3)]  # type: ignore[union-attr]
            await stream.cancel()
        await counting.ended.wait()
        return seen

    assert scenario(tmp_path / "s", talk) == ["n0", "n1", "n2"]


def test_the_socket_is_for_its_owner_and_goes_with_the_server(tmp_path: Path) -> None:
    path = tmp_path / "s"

    async def talk(channel: Channel, counting: Counting) -> int:
        return path.stat().st_mode & 0o777

    assert scenario(path, talk) == 0o600
    assert not path.exists()


def test_the_socket_of_another_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"

    async def talk(channel: Channel, counting: Counting) -> None:
        path.unlink()
        path.write_text("another's")

    scenario(path, talk)
    assert path.read_text() == "another's"


def test_a_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with served(str(tmp_path / ("x" * MAX_PATH)), {}):
            pass

    with pytest.raises(OSError, match="a socket can have 107 bytes"):
        asyncio.run(run())


@pytest.mark.parametrize("length", [1, 20, 63, 200])
@pytest.mark.parametrize("directory", ["/var/lib/kubelet/device-plugins", "/" + 60 * "d"])
def test_names_of_sockets_fit_and_differ(directory: str, length: int) -> None:
    names = {socket_name(directory, "cdi-", f"vendor.com/{'x' * length}{end}") for end in "ab"}
    assert len(names) == 2
    assert all(len(os.path.join(directory, name)) <= MAX_PATH and "/" not in name for name in names)


def test_the_end_of_the_server_ends_its_connections(tmp_path: Path) -> None:
    """The agent may go on, in the same process; it must learn that nobody serves it any more."""

    async def run() -> None:
        path = str(tmp_path / "s")
        async with served(path, {"/t.T/Wait": streaming(StringValue, StringValue, _silent)}):
            channel = Channel(path=path)
            method = UnaryStreamMethod(channel, "/t.T/Wait", StringValue, StringValue)
            stream = await method.open().__aenter__()
            await stream.send_message(StringValue(), end=True)
            assert await asyncio.wait_for(stream.recv_message(), LIMIT)
        with pytest.raises((StreamTerminatedError, GRPCError)):
            await asyncio.wait_for(stream.recv_message(), LIMIT)
        channel.close()

    asyncio.run(run())


async def _silent(request: StringValue) -> AsyncGenerator[StringValue, None]:
    yield request
    await asyncio.Event().wait()


def test_servers_that_start_at_once_leave_the_umask_alone(tmp_path: Path) -> None:
    async def one(number: int) -> None:
        async with served(str(tmp_path / str(number)), {}):
            await asyncio.sleep(0)

    async def run() -> None:
        await asyncio.gather(*map(one, range(5)))

    before = os.umask(0o022)
    try:
        asyncio.run(run())
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
