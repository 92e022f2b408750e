import socket
import time
from collections.abc import Iterator

import pytest

from cdi_runc.generate.uevents import listen, wait

DRM = b"add@/devices/x\0ACTION=add\0SUBSYSTEM=drm\0"
OTHER = b"add@/devices/y\0ACTION=add\0SUBSYSTEM=block\0"


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A listener and what speaks to it, in the place of the kernel."""
    listener, kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.setblocking(False)
    with listener, kernel:
        yield listener, kernel


def test_many_events_are_one_change(ends: tuple[socket.socket, socket.socket]) -> None:
    listener, kernel = ends
    for _ in range(20):
        kernel.send(DRM)
    wait(listener, {"drm"}, quiet=0.01)
    with pytest.raises(BlockingIOError):
        listener.recv(100)


def test_events_about_others_are_not_waited_for(ends: tuple[socket.socket, socket.socket]) -> None:
    listener, kernel = ends
    kernel.send(OTHER)
    kernel.send(DRM)
    kernel.send(OTHER)
    start = time.monotonic()
    wait(listener, {"drm"}, quiet=0.2)
    assert time.monotonic() - start >= 0.2


def test_the_kernel_lets_us_listen() -> None:
    try:
        listen().close()
    except OSError as fault:
        pytest.skip(f"not here: {fault}")
