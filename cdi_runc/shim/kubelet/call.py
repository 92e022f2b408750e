"""RARE. One unary call of gRPC over a Unix socket that root listens at: HTTP/2 (RFC 9113), one connection, one stream.

By hand, since all that could do it takes longer than the whole shim: grpclib with h2 needs 65 ms for its import, grpcio
60 and a binary wheel, and the shim's Python has neither (`-I -S`, of any version). A call with one request and one
answer needs little of HTTP/2: no priorities, no pushes, no table of headers, and large windows from the start.
"""

import posix
import sys
import time

from cdi_runc.cdi.edits import S_IFMT
from cdi_runc.host import places
from cdi_runc.shim.kubelet.headers import decoded, encoded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Read = Callable[[int], bytes]  # so many bytes of the connection
    Write = Callable[[bytes], None]

MAX_MESSAGE = 16 * 1024 * 1024  # bytes of an answer: what clients of pod-resources take (podresources/constants.go)
_MAX_HEADERS = 64 * 1024
_MAX_FRAME = 16384  # which nobody may exceed unless we allow it
_WINDOW = MAX_MESSAGE + (1 << 20)  # so that the server never waits for us to widen it

# Frames and flags by the names of RFC 9113, section 6.
_DATA, _HEADERS, _RST_STREAM, _SETTINGS = 0, 1, 3, 4
_PUSH_PROMISE, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = 5, 6, 7, 8, 9
_ACK = _END_STREAM = 0x1
_END_HEADERS, _PADDED, _PRIORITY = 0x4, 0x8, 0x20
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS_HEADER_TABLE_SIZE, _SETTINGS_ENABLE_PUSH, _SETTINGS_INITIAL_WINDOW_SIZE = 1, 2, 4
_REFUSED_STREAM = 7
_STREAM = 1

_S_IFSOCK, _STICKY, _WRITABLE_BY_OTHERS = 0o140000, 0o1000, 0o022


class NoAnswer(Exception):
    """Why there is no answer, in words. `again`: whether another try may have one."""

    def __init__(self, reason: str, again: bool = False) -> None:
        self.again = again
        super().__init__(reason)


class Silence(NoAnswer):
    """The time is over."""


class _Broken(ValueError):
    """The rule of HTTP/2 or gRPC that the server breaks."""


class Refused(Exception):
    """The server's own no: its status, a number of gRPC, and its words."""

    def __init__(self, status: int, words: str) -> None:
        self.status = status
        super().__init__(words)


def call(socket: str, method: str, request: bytes, end: float) -> bytes:
    """The answer of a method, `/package.Service/Method`, to a request.

    end: until when to wait, in seconds of the monotonic clock. Raises NoAnswer and Refused.
    """
    check(socket)
    from _socket import AF_UNIX, SO_PEERCRED, SOCK_CLOEXEC, SOCK_STREAM, SOL_SOCKET, SocketType  # an extension

    connection = SocketType(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC)
    got = b""

    def read(size: int) -> bytes:
        nonlocal got
        while len(got) < size:
            connection.settimeout(_left(end))
            more = connection.recv(65536)
            if not more:
                raise NoAnswer("it closed the connection before it had answered", again=True)
            got += more
        data, got = got[:size], got[size:]
        return data

    def write(data: bytes) -> None:
        connection.settimeout(_left(end))
        connection.sendall(data)

    try:
        connection.settimeout(_left(end))
        connection.connect(socket)
        peer = connection.getsockopt(SOL_SOCKET, SO_PEERCRED, 12)  # struct ucred: pid, uid, gid
        _check_owner(int.from_bytes(peer[4:8], sys.byteorder), "the program that listens there")
        write(_opening(method, request))
        return answer(read, write)
    except TimeoutError:
        raise Silence("it does not answer in time (requests: kubelet-deadline)") from None
    except OSError as error:
        raise NoAnswer(error.strerror or str(error), again=True) from None
    finally:
        connection.close()


def answer(read: "Read", write: "Write") -> bytes:
    """The message that a server answers our one call with. Raises NoAnswer, Refused and what read and write raise."""
    try:
        headers, body = _headers_and_body(read, write)
        status = headers.get("grpc-status", "")
        if status != "0":
            if not status.isdecimal() or headers.get(":status") != "200":
                of_http = headers.get(":status", "none")[:9]
                raise NoAnswer(f"it does not speak gRPC (HTTP status {of_http})")
            raise Refused(int(status[:9]), _percent_decoded(headers.get("grpc-message", "")))
        if len(body) < 5 or body[0] or int.from_bytes(body[1:5], "big") != len(body) - 5:
            raise _Broken("a message that is not one")
    except ValueError as fault:
        raise NoAnswer(f"what it says is not gRPC: {fault}") from None
    return body[5:]


def _headers_and_body(read: "Read", write: "Write") -> tuple[dict[str, str], bytes]:
    """The headers that the server sends before and after the body, and the body. Raises ValueError as well."""
    headers: dict[str, str] = {}
    body = bytearray()
    ended, first = False, True
    while not ended:
        kind, flags, stream, payload = _frame(read)
        if first and kind != _SETTINGS:
            raise _Broken("it does not begin with its settings")
        first = False
        if stream == 0:
            _of_connection(kind, flags, payload, write)
        elif stream != _STREAM:
            raise _Broken("a frame of a stream that there is not")
        elif kind == _HEADERS:
            headers |= decoded(_block(flags, payload, read))
        elif kind == _DATA:
            body += _unpadded(flags, payload)
            if len(body) > MAX_MESSAGE + 5:
                raise NoAnswer(f"its answer is larger than {MAX_MESSAGE >> 20} MiB")
        elif kind == _RST_STREAM:
            code = int.from_bytes(payload, "big")
            raise NoAnswer(f"it broke the call off (error {code} of HTTP/2)", again=code == _REFUSED_STREAM)
        elif kind in (_PUSH_PROMISE, _CONTINUATION, _SETTINGS, _PING, _GOAWAY):
            raise _Broken("a frame out of place")
        ended = kind in (_HEADERS, _DATA) and bool(flags & _END_STREAM)
    return headers, bytes(body)


def _of_connection(kind: int, flags: int, payload: bytes, write: "Write") -> None:
    """What a frame is answered with that is about the connection as a whole."""
    if kind in (_DATA, _HEADERS, _RST_STREAM, _PUSH_PROMISE, _CONTINUATION):
        raise _Broken("a frame without a stream")
    if kind == _SETTINGS and not flags & _ACK:
        if len(payload) % 6:
            raise _Broken("settings that are none")
        write(_framed(_SETTINGS, _ACK, 0))
    elif kind == _PING and not flags & _ACK:
        if len(payload) != 8:
            raise _Broken("a ping that is none")
        write(_framed(_PING, _ACK, 0, payload))
    elif kind == _GOAWAY and int.from_bytes(payload[:4], "big") & 0x7FFFFFFF < _STREAM:
        raise NoAnswer("it takes no calls now", again=True)


def _opening(method: str, request: bytes) -> bytes:
    """All that we say by ourselves: our settings, and the call."""
    settings = ((_SETTINGS_HEADER_TABLE_SIZE, 0), (_SETTINGS_ENABLE_PUSH, 0), (_SETTINGS_INITIAL_WINDOW_SIZE, _WINDOW))
    headers = encoded(
        [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", method),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ]
    )
    return b"".join(
        (
            _PREFACE,
            _framed(_SETTINGS, 0, 0, b"".join(_big(key, 2) + _big(value, 4) for key, value in settings)),
            _framed(_WINDOW_UPDATE, 0, 0, _big(_WINDOW, 4)),
            _framed(_HEADERS, _END_HEADERS, _STREAM, headers),
            _framed(_DATA, _END_STREAM, _STREAM, b"\0" + _big(len(request), 4) + request),
        )
    )


def _framed(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return _big(len(payload), 3) + bytes((kind, flags)) + _big(stream, 4) + payload


def _big(number: int, size: int) -> bytes:
    return number.to_bytes(size, "big")


def _frame(read: "Read") -> tuple[int, int, int, bytes]:
    """The next frame: its type, its flags, its stream and what is in it."""
    head = read(9)
    size = int.from_bytes(head[:3], "big")
    if size > _MAX_FRAME:
        raise _Broken(f"a frame of {size} bytes")
    return head[3], head[4], int.from_bytes(head[5:], "big") & 0x7FFFFFFF, read(size)


def _block(flags: int, payload: bytes, read: "Read") -> bytes:
    """A whole block of headers, of which a frame has the beginning."""
    block = _unpadded(flags, payload)
    if flags & _PRIORITY:
        block = block[5:]
    while not flags & _END_HEADERS:
        kind, flags, stream, more = _frame(read)
        block += more
        if kind != _CONTINUATION or stream != _STREAM or not more or len(block) > _MAX_HEADERS:
            raise _Broken("headers without an end")
    return block


def _unpadded(flags: int, payload: bytes) -> bytes:
    if not flags & _PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise _Broken("a frame with more padding than it has bytes")
    return payload[1 : len(payload) - payload[0]]


def _percent_decoded(text: str) -> str:
    """A text as gRPC writes it into a header: %XX for each byte that is not plain (PROTOCOL-HTTP2.md)."""
    start, *rest = text.encode("utf-8", "replace")[:2000].split(b"%")
    for part in rest:
        is_code = len(part) > 1 and not part[:2].strip(b"0123456789abcdefABCDEF")
        start += bytes((int(part[:2], 16),)) + part[2:] if is_code else b"%" + part
    return start.decode("utf-8", "replace")


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def check(socket: str) -> None:
    """Raise NoAnswer where others than root could have put the socket there."""
    try:
        directory, found = posix.stat(socket.rpartition("/")[0] or "/"), posix.lstat(socket)
    except OSError as error:
        raise NoAnswer(error.strerror or str(error), again=True) from None
    if found.st_mode & S_IFMT != _S_IFSOCK:
        raise NoAnswer("it is not a socket")
    for what, each in (("its directory", directory), ("it", found)):
        _check_owner(each.st_uid, what)
        if each.st_mode & _WRITABLE_BY_OTHERS:
            raise NoAnswer(f"others than root may write {what}")
    above = socket.rpartition("/")[0].rpartition("/")[0] if places.is_host_root() else ""
    while above:  # who may write there can put another directory in the place of the kubelet's, unless it is sticky
        each = posix.stat(above)
        _check_owner(each.st_uid, above)
        if each.st_mode & _WRITABLE_BY_OTHERS and not each.st_mode & _STICKY:
            raise NoAnswer(f"others than root may write {above}")
        above = above.rpartition("/")[0]


def _check_owner(user: int, what: str) -> None:
    if user not in (0, posix.geteuid()):
        raise NoAnswer(f"{what} belongs to the user {user}, not to root")
