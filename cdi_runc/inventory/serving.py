"""gRPC over Unix sockets, as the node's agents speak it: plain functions served by grpclib, all in one event loop.

A method gets a request and gives an answer, or answers one after the other until the other side has enough. What it
raises as `Refused` is the text that the other side gets.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import socket
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from typing import Any

from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.protocol import H2Protocol
from grpclib.server import Server, Stream

CLOSE_TIME = 2.0  # seconds for the last answers to leave
MAX_PATH = 107  # bytes of a socket's path, unix(7): sun_path without its end

# grpclib tells of each call that the other side breaks off, which is how an agent that goes away looks to us.
logging.getLogger("grpclib").setLevel(logging.CRITICAL)


Methods = Mapping[str, Handler]  # by path: /package.Service/Method


class Refused(Exception):
    """The answer is no, for the reason that is the text. `status` is gRPC's word for it."""

    def __init__(self, reason: str, status: Status = Status.FAILED_PRECONDITION) -> None:
        self.status = status
        super().__init__(reason)


class Serialized(bytes):
    """An answer that is on the wire already. A list of 10,000 messages takes much memory, and its bytes little.

    The bytes of parts of a message, one after the other, are the bytes of the whole (protobuf.dev, "Last One Wins").
    """

    def SerializeToString(self) -> bytes:  # noqa: N802 - grpclib calls it, as it does a message's
        """The bytes."""
        return self


def unary(request: type, answer: type, function: Callable[[Any], Awaitable[Any]]) -> Handler:
    """One request, one answer."""

    async def serve(stream: Stream[Any, Any]) -> None:
        message = await stream.recv_message()
        with _refusals():
            await stream.send_message(await function(message))

    return Handler(serve, Cardinality.UNARY_UNARY, request, answer)


def streaming(request: type, answer: type, function: Callable[[Any], AsyncGenerator[Any, None]]) -> Handler:
    """One request, and answers for as long as the function gives some and the other side listens."""

    async def serve(stream: Stream[Any, Any]) -> None:
        message = await stream.recv_message()
        with _refusals():
            async with contextlib.aclosing(function(message)) as answers:
                async for each in answers:
                    await stream.send_message(each)

    return Handler(serve, Cardinality.UNARY_STREAM, request, answer)


@contextlib.asynccontextmanager
async def served(path: str, methods: Methods) -> AsyncIterator[None]:
    """Serve the methods on a new socket for as long as the context lasts; a stale socket there is replaced.

    The socket is for its owner only. Raises OSError.
    """
    server = _Server([_Service(methods)])
    await server.start(sock=_bound(path))
    own = socket_identity(path)
    try:
        yield
    finally:
        if own is not None and socket_identity(path) == own:
            os.unlink(path)
        server.close()
        # A client that reads no more must not keep us.
        closed = asyncio.ensure_future(server.wait_closed())
        try:
            await asyncio.wait([closed], timeout=CLOSE_TIME)
        finally:
            closed.cancel()


def _bound(path: str) -> socket.socket:
    if len(os.fsencode(path)) > MAX_PATH:
        raise OSError(f"{path}: the path of a socket can have {MAX_PATH} bytes: name a directory with a shorter path")
    if socket_identity(path):
        os.unlink(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # the process's, so nothing may be awaited until it is back
    try:
        bound.bind(path)
    except OSError as error:
        bound.close()
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.umask(before)
    return bound


def socket_identity(path: str) -> tuple[int, int, int] | None:
    """What tells a socket from one that was made there later; None if there is none."""
    try:
        info = os.lstat(path)
    except OSError:
        return None
    return info.st_dev, info.st_ino, info.st_ctime_ns


def socket_name(directory: str, prefix: str, name: str, end: str = ".sock") -> str:
    """A file name for a socket in a directory, readable where the path has room for it, else with a hash for the name.

    >>> socket_name("/var/lib/kubelet/device-plugins", "cdi-", "vendor.com/gpu")
    'cdi-vendor.com_gpu.sock'
    """
    room = MAX_PATH - len(os.fsencode(directory)) - 1
    readable = prefix + name.replace("/", "_") + end
    if len(os.fsencode(readable)) <= room:
        return readable
    return prefix + hashlib.sha256(name.encode()).hexdigest()[:12] + end


class _Service:
    """grpclib asks an object for its methods."""

    def __init__(self, methods: Methods) -> None:
        self._methods = methods

    def __mapping__(self) -> dict[str, Handler]:
        return dict(self._methods)


class _Server(Server):
    """grpclib's server lets connections be when it closes, since its process usually ends then; ours does not."""

    def __init__(self, handlers: Collection[_Service]) -> None:
        super().__init__(handlers)
        self._protocols: weakref.WeakSet[H2Protocol] = weakref.WeakSet()

    def _protocol_factory(self) -> H2Protocol:
        protocol = super()._protocol_factory()
        self._protocols.add(protocol)
        return protocol

    def close(self) -> None:
        super().close()
        for protocol in list(self._protocols):
            if hasattr(protocol, "processor"):  # which it has from the moment on when it is connected
                protocol.processor.close()


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except Refused as refused:
        raise GRPCError(refused.status, str(refused)) from None
    except StreamTerminatedError:
        pass  # the other side is gone, and nobody is left to tell
