"""A call of gRPC by hand: against grpclib's server, and against servers that keep to no rule."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RequestReceived, StreamEnded
from hypothesis import given
from hypothesis import strategies as st

from cdi_runc.host import places
from cdi_runc.kubernetes.wire import podresources_pb2 as wire
from cdi_runc.shim.kubelet import call as calling
from cdi_runc.shim.kubelet.call import NoAnswer, Refused, answer, call
from cdi_runc.shim.kubelet.headers import encoded
from tests.kubernetes.pod_resources import LISTER, Kubelet
from tests.processes import ending

LIMIT = 20.0
SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
STREAM = 1


@pytest.fixture
def directory() -> Iterator[Path]:
    """With a path that a socket's may begin with."""
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def frame(kind: int, flags: int, payload: bytes = b"", stream: int = STREAM) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def headers(flags: int = 0x4, **named: str) -> bytes:
    return frame(1, flags, encoded([(name.replace("_", "-"), text) for name, text in named.items()]))


def message(text: bytes) -> bytes:
    return b"\0" + len(text).to_bytes(4, "big") + text


STATUS = frame(1, 0x4, b"\x88")  # 200, of the table
TRAILERS = headers(0x5, grpc_status="0")
BODY = frame(0, 0, message(b"hello"))


def said(script: bytes) -> tuple[bytes, bytes]:
    """The answer in these bytes of a server, and what we write meanwhile."""
    written = bytearray()

    def read(size: int) -> bytes:
        nonlocal script
        if size > len(script):
            raise NoAnswer("the end", again=True)
        data, script = script[:size], script[size:]
        return data

    return answer(read, written.extend), bytes(written)


@pytest.mark.parametrize(
    "script",
    [
        STATUS + BODY + TRAILERS,
        headers(0x4, content_type="application/grpc") + STATUS + BODY + TRAILERS,
        STATUS + frame(0, 0x8, b"\x03" + message(b"hello") + b"\0\0\0") + TRAILERS,  # padded
        STATUS + frame(0, 0, message(b"hello")[:3]) + frame(0, 0, message(b"hello")[3:]) + frame(0, 0) + TRAILERS,
        frame(1, 0x2C, b"\x01\0\0\0\0\x10\x88\0") + BODY + TRAILERS,  # with a priority, and padded
        frame(1, 0, b"") + frame(9, 0, b"\x88") + frame(9, 0x4, b"\x20\x3f\xe1\x1f") + BODY + TRAILERS,  # in pieces
        STATUS + frame(8, 0, bytes(4)) + BODY + frame(2, 0, bytes(5)) + frame(99, 7, b"new") + TRAILERS,
        STATUS + frame(7, 0, b"\x7f\xff\xff\xff\0\0\0\0", 0) + BODY + frame(7, 0, b"\0\0\0\x01\0\0\0\0", 0) + TRAILERS,
    ],
)
def test_answers_in_all_forms(script: bytes) -> None:
    assert said(SETTINGS + script) == (b"hello", frame(4, 1, stream=0))


def test_a_ping_is_answered() -> None:
    pings = frame(6, 0, b"12345678", 0) + frame(6, 1, b"87654321", 0) + frame(4, 1, stream=0)
    written = said(SETTINGS + pings + STATUS + BODY + TRAILERS)[1]
    assert written == frame(4, 1, stream=0) + frame(6, 1, b"12345678", 0)


@pytest.mark.parametrize(
    ("script", "reason", "again"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not gRPC: a frame of", False),
        (BODY, "begin with its settings", False),
        (SETTINGS, "the end", True),
        (SETTINGS + b"\0\0\xff\0\0\0\0\0\x01", "the end", True),
        (SETTINGS + b"\xff\xff\xff\0\0\0\0\0\x01", "a frame of 16777215 bytes", False),
        (SETTINGS + STATUS + frame(3, 0, b"\0\0\0\x07"), "broke the call off (error 7", True),
        (SETTINGS + STATUS + frame(3, 0, b"\0\0\0\x02"), "broke the call off (error 2", False),
        (SETTINGS + frame(7, 0, bytes(8), 0), "takes no calls now", True),
        (SETTINGS + frame(4, 0, b"abc", 0), "settings that are none", False),
        (SETTINGS + frame(6, 0, b"abc", 0), "a ping that is none", False),
        (SETTINGS + frame(0, 0, b"abc", 0), "without a stream", False),
        (SETTINGS + frame(0, 0, b"abc", 3), "a stream that there is not", False),
        (SETTINGS + frame(5, 4, bytes(4)), "out of place", False),
        (SETTINGS + frame(0, 8, b"\x09abc"), "more padding", False),
        (SETTINGS + frame(0, 8), "more padding", False),
        (SETTINGS + frame(1, 0, b"\x88") + BODY, "headers without an end", False),
        (SETTINGS + frame(1, 0, b"\x88") + frame(9, 0, bytes(16384)) * 5, "headers without an end", False),
        (SETTINGS + frame(1, 4, b"\xbe"), "a table that there is not", False),
        (SETTINGS + STATUS + frame(0, 1, message(b"hello")), "does not speak gRPC (HTTP status 200)", False),
        (SETTINGS + frame(1, 5, b"\x8d"), "does not speak gRPC (HTTP status 404)", False),
        (SETTINGS + frame(1, 5), "does not speak gRPC (HTTP status none)", False),
        (SETTINGS + STATUS + headers(5, grpc_status="zero"), "does not speak gRPC", False),
        (SETTINGS + STATUS + TRAILERS, "a message that is not one", False),
        (SETTINGS + STATUS + frame(0, 0, b"\x01\0\0\0\0") + TRAILERS, "a message that is not one", False),
        (SETTINGS + STATUS + frame(0, 0, b"\0\0\0\0\x09abc") + TRAILERS, "a message that is not one", False),
        (SETTINGS + STATUS + frame(0, 0, bytes(16384)) * 1025, "larger than 16 MiB", False),
    ],
)
def test_why_there_is_no_answer(script: bytes, reason: str, again: bool) -> None:
    with pytest.raises(NoAnswer) as raised:
        said(script)
    assert reason in str(raised.value)
    assert raised.value.again is again


def test_a_refusal_has_the_servers_words() -> None:
    with pytest.raises(Refused) as raised:
        said(SETTINGS + STATUS + headers(5, grpc_status="12", grpc_message="no %C3%BC%2 100%"))
    assert (raised.value.status, str(raised.value)) == (12, "no ü%2 100%")


@given(st.binary(max_size=200), st.integers(0, 400), st.booleans())
def test_no_bytes_do_more_than_be_wrong(noise: bytes, place: int, replace: bool) -> None:
    script = SETTINGS + STATUS + BODY + frame(6, 0, b"12345678", 0) + TRAILERS
    place = min(place, len(script))
    for each in (SETTINGS + noise, script[:place] + noise + script[place + len(noise) * replace :]):
        try:
            said(each)
        except (NoAnswer, Refused):
            pass


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, 255), st.binary(max_size=40), st.sampled_from([0, 1, 2]))))
def test_no_frames_do_more_than_be_wrong(frames: list[tuple[int, int, bytes, int]]) -> None:
    try:
        said(SETTINGS + b"".join(frame(*each) for each in frames))
    except (NoAnswer, Refused):
        pass


def test_small_and_large_answers_of_grpclibs_server(directory: Path) -> None:
    kubelet = Kubelet(directory)
    with kubelet.serving():
        for containers in (0, 1, 3000, 100_000):
            kubelet.pods = [wire.PodResources(name="p")]
            kubelet.pods[0].containers.extend(wire.ContainerResources(name="c" * 100) for _ in range(containers))
            expected = wire.ListPodResourcesResponse(pod_resources=kubelet.pods).SerializeToString()
            assert call(str(kubelet.socket), f"{LISTER}/List", b"", time.monotonic() + LIMIT) == expected


def test_a_method_that_is_not_there(directory: Path) -> None:
    kubelet = Kubelet(directory)
    with kubelet.serving(), pytest.raises(Refused) as raised:
        call(str(kubelet.socket), f"{LISTER}/Nothing", b"", time.monotonic() + LIMIT)
    assert raised.value.status == 12


@contextmanager
def listening(path: Path, serve: Callable[[socket.socket], None] = lambda connection: None) -> Iterator[None]:
    """A server of one connection."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen()

    def accept() -> None:
        with listener, listener.accept()[0] as connection:
            serve(connection)

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield
    finally:
        with socket.socket(socket.AF_UNIX) as last:  # for a server that nobody came to
            last.connect_ex(str(path))
        thread.join(LIMIT)


def reason(path: Path, patience: float = LIMIT) -> NoAnswer:
    with pytest.raises(NoAnswer) as raised:
        call(str(path), "/x/Y", b"", time.monotonic() + patience)
    return raised.value


def drain(connection: socket.socket) -> None:
    """Read until the other side goes, and say nothing."""
    while connection.recv(4096):
        pass


def chatter(connection: socket.socket) -> None:
    """Say something all the time, and never the answer."""
    connection.sendall(SETTINGS)
    try:
        while True:
            connection.sendall(frame(6, 1, b"12345678", 0))
            time.sleep(0.001)
    except OSError:
        pass


@pytest.mark.parametrize("serve", [drain, chatter])
def test_nobody_waits_longer_than_the_deadline(directory: Path, serve: Callable[[socket.socket], None]) -> None:
    with listening(directory / "s", serve):
        assert "does not answer in time" in str(reason(directory / "s", 0.3))


def test_a_server_that_closes_at_once(directory: Path) -> None:
    with listening(directory / "s"):
        fault = reason(directory / "s")
    assert fault.again


def test_what_we_say_is_http2_and_announces_no_table_of_headers(directory: Path) -> None:
    server = H2Connection(H2Configuration(client_side=False))
    events: list[Event] = []

    def serve(connection: socket.socket) -> None:
        server.initiate_connection()
        while not any(isinstance(event, StreamEnded) for event in events):
            events.extend(server.receive_data(connection.recv(65536)))

    with listening(directory / "s", serve):
        reason(directory / "s")
    assert server.remote_settings.header_table_size == 0
    assert server.remote_settings.enable_push == 0
    [request] = [event for event in events if isinstance(event, RequestReceived)]
    assert (b":path", b"/x/Y") in [(bytes(name), bytes(text)) for name, text in request.headers or ()]
    assert b"".join(event.data or b"" for event in events if isinstance(event, DataReceived)) == b"\0\0\0\0\0"


def test_no_socket_and_nobody_listening(directory: Path) -> None:
    assert str(reason(directory / "s")) == "No such file or directory"
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(directory / "s"))
    (directory / "s").chmod(0o600)
    fault = reason(directory / "s")
    assert (str(fault), fault.again) == ("Connection refused", True)


def test_only_a_socket_that_others_cannot_have_put_there(directory: Path) -> None:
    path = directory / "s"
    path.touch()
    assert str(reason(path)) == "it is not a socket"
    path.unlink()
    with listening(path):
        (directory / "link").symlink_to(path)
        assert str(reason(directory / "link")) == "it is not a socket"
        path.chmod(0o622)
        assert str(reason(path)) == "others than root may write it"
        path.chmod(0o600)
        directory.chmod(0o777)
        assert str(reason(path)) == "others than root may write its directory"
        directory.chmod(0o700)


@pytest.mark.skipif(not places.is_host_root(), reason="only the host's root looks at the directories above")
@pytest.mark.parametrize(
    ("mode", "user", "said"), [(0o777, 0, "may write"), (0o755, 1000, "belongs to"), (0o1777, 0, "")]
)
def test_only_below_directories_that_others_cannot_replace(directory: Path, mode: int, user: int, said: str) -> None:
    path = directory / "kubelet/pod-resources/s"
    path.parent.mkdir(parents=True)
    directory.chmod(mode)
    os.chown(directory, user, 0)
    with listening(path):
        fault = reason(path)
    assert (f"{said} {directory}" if said == "may write" else said) in str(fault)
    assert bool(said) is not fault.again  # else it was asked, and closed the connection


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_only_a_socket_of_roots(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = directory / "s"
    with listening(path):
        for each in (path, directory):
            os.chown(each, 1000, 0)
            assert str(reason(path)).endswith("belongs to the user 1000, not to root")
            os.chown(each, 0, 0)
        # One that was put there while we looked: it is the listener's user that counts then.
        monkeypatch.setattr(calling, "check", lambda socket: None)
    listener = "import socket, os, sys; os.setuid(1000); s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1])"
    with foreign_listener(directory, listener) as path:
        assert str(reason(path)) == "the program that listens there belongs to the user 1000, not to root"


@contextmanager
def foreign_listener(directory: Path, program: str) -> Iterator[Path]:
    """A program that listens at a socket as it likes."""
    os.chown(directory, 1000, 0)
    path = directory / "theirs"
    argv = [sys.executable, "-c", f"{program}; s.listen(); print(flush=True); s.accept()[0].recv(1)", str(path)]
    with ending(subprocess.Popen(argv, stdout=subprocess.PIPE, cwd="/")) as process:
        assert process.stdout
        process.stdout.readline()
        yield path
    os.chown(directory, 0, 0)
