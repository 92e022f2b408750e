"""The API server's REST, as far as a driver needs it: one call at a time, and watches, in our event loop.

HTTP/1.1 by h11. The client libraries that there are take threads, or more memory than all the rest of cdi-node.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any
from urllib.parse import urlencode

import h11

from cdi_runc import __version__
from cdi_runc.kubernetes.credentials import Credentials, NoCredentials

CALL_TIME = 10.0  # seconds for a call
MAX_ANSWER = 64 << 20  # bytes
_CHUNK = 1 << 16
_JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"  # RFC 7386

Object = dict[str, Any]


class ApiError(Exception):
    """The API server says no. `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(f"the API server says {status}: {message}")


class NoAnswer(Exception):
    """The API server cannot be reached, or breaks off."""


class Cluster:
    """The cluster's API. The connection stays for the next call, unless the credentials have changed."""

    def __init__(self, credentials: Callable[[], Credentials]) -> None:
        self._credentials = credentials
        self._idle: _Connection | None = None
        self.calls = 0

    async def call(
        self, method: str, path: str, body: Object | None = None, each: Callable[[Object], Object] | None = None
    ) -> Object:
        """The answer to a request; the body of a PATCH is a merge patch. Raises ApiError, and NoAnswer.

        `each` makes something else of each object in the answer, of inner ones first.
        """
        self.calls += 1
        try:
            text = await asyncio.wait_for(self._call(method, path, body), CALL_TIME)
        except (asyncio.TimeoutError, TimeoutError):
            raise NoAnswer(f"the API server does not answer in {CALL_TIME:.0f} s") from None
        except (OSError, h11.RemoteProtocolError, asyncio.IncompleteReadError) as error:
            raise NoAnswer(f"the API server cannot be reached: {getattr(error, 'strerror', None) or error}") from None
        try:
            answer: Object = json.loads(text, object_hook=each)
        except ValueError:
            raise NoAnswer("what answers is no API server") from None
        return answer

    async def watch(self, path: str, **query: str) -> AsyncGenerator[Object, None]:
        """The events of a watch until the server ends it. Raises NoAnswer, and ApiError, also for one in the stream."""
        self.calls += 1
        connection = await self._connect(self._read_credentials())
        try:
            await connection.send("GET", f"{path}?{urlencode({'watch': 'true', **query})}", None)
            status = await asyncio.wait_for(connection.status(), CALL_TIME)
            if status != 200:
                raise _error(status, await connection.rest())
            async for line in connection.lines():
                event: Object = json.loads(line)
                if event["type"] == "ERROR":
                    raise ApiError(event["object"].get("code", 500), event["object"].get("message", ""))
                yield event
        except (OSError, h11.RemoteProtocolError, asyncio.TimeoutError, ValueError) as error:
            raise NoAnswer(f"the watch broke off: {error}") from None
        finally:
            connection.close()

    def close(self) -> None:
        """Close the connection that waits for the next call."""
        if self._idle:
            self._idle.close()
            self._idle = None

    async def _call(self, method: str, path: str, body: Object | None) -> bytes:
        credentials = self._read_credentials()
        idle, self._idle = self._idle, None
        if idle and idle.credentials == credentials:
            # The server may have closed it meanwhile; a request that it never saw can be sent again.
            with contextlib.suppress(OSError, h11.RemoteProtocolError):
                return await self._on(idle, method, path, body)
        elif idle:
            idle.close()
        return await self._on(await self._connect(credentials), method, path, body)

    async def _on(self, connection: _Connection, method: str, path: str, body: Object | None) -> bytes:
        try:
            await connection.send(method, path, body)
            status = await connection.status()
            text = await connection.rest()
        except BaseException:
            connection.close()
            raise
        if status < 500 and connection.renew() and self._idle is None:
            self._idle = connection
        else:
            connection.close()
        if status >= 300:
            raise _error(status, text)
        return text

    def _read_credentials(self) -> Credentials:
        try:
            return self._credentials()
        except NoCredentials as fault:
            raise NoAnswer(str(fault)) from None

    async def _connect(self, credentials: Credentials) -> _Connection:
        try:
            reader, writer = await asyncio.open_connection(
                credentials.host, credentials.port, ssl=credentials.context(), limit=_CHUNK
            )
        except NoCredentials as fault:
            raise NoAnswer(str(fault)) from None
        except OSError as error:
            raise NoAnswer(
                f"{credentials.host}:{credentials.port} cannot be reached: {error.strerror or error}"
            ) from None
        return _Connection(credentials, reader, writer)


class _Connection:
    """One connection, with a request after the other on it."""

    def __init__(self, credentials: Credentials, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.credentials = credentials
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)

    async def send(self, method: str, path: str, body: Object | None) -> None:
        """Send a request."""
        data = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
        headers = [
            ("Host", f"{self.credentials.host}:{self.credentials.port}"),
            ("User-Agent", f"cdi-node/{__version__}"),
            ("Accept", _JSON),
            ("Content-Length", str(len(data))),
        ]
        if data:
            headers.append(("Content-Type", MERGE_PATCH if method == "PATCH" else _JSON))
        if self.credentials.token:
            headers.append(("Authorization", f"Bearer {self.credentials.token}"))
        request = self._http.send(h11.Request(method=method, target=path, headers=headers)) or b""
        content = (self._http.send(h11.Data(data=data)) or b"") if data else b""
        self._writer.write(request + content + (self._http.send(h11.EndOfMessage()) or b""))
        await self._writer.drain()

    async def status(self) -> int:
        """The status of the answer."""
        while not isinstance(event := await self._event(), h11.Response):
            if isinstance(event, h11.ConnectionClosed):
                raise ConnectionResetError("the connection was closed")
        return event.status_code

    async def rest(self) -> bytes:
        """The whole body."""
        parts = []
        size = 0
        while isinstance(event := await self._event(), h11.Data):
            parts.append(bytes(event.data))
            size += len(event.data)
            if size > MAX_ANSWER:
                raise OSError(f"the answer has more than {MAX_ANSWER >> 20} MiB")
        return b"".join(parts)

    async def lines(self) -> AsyncGenerator[bytes, None]:
        """The lines of the body, as they come."""
        rest = b""
        while isinstance(event := await self._event(), h11.Data):
            *lines, rest = (rest + bytes(event.data)).split(b"\n")
            for line in lines:
                if line:
                    yield line

    def renew(self) -> bool:
        """Whether another request can be sent."""
        try:
            self._http.start_next_cycle()
        except h11.LocalProtocolError:
            return False
        return True

    def close(self) -> None:
        """Close it."""
        self._writer.close()

    async def _event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(_CHUNK))
        return event


def _error(status: int, text: bytes) -> ApiError:
    try:
        message = json.loads(text)["message"]
    except (ValueError, KeyError, TypeError):
        message = text[:200].decode("utf-8", "replace")
    return ApiError(status, " ".join(str(message).split()))
