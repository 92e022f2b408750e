import math
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from cdi_runc.generate import uevents
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


class Kernel:
    """Events that come at their times, for a clock that moves only while somebody waits."""

    def __init__(self, speaker: socket.socket, events: list[tuple[float, bytes]]) -> None:
        self.speaker, self.events, self.now = speaker, [*events], 0.0

    def monotonic(self) -> float:
        return self.now

    def select(self, listeners: list[socket.socket], _: object, __: object, timeout: float = math.inf) -> Any:
        """Wait for the next event, or for the end of the timeout."""
        if not self.events or self.events[0][0] > self.now + timeout:
            assert timeout < math.inf, "waits for ever"
            self.now += timeout
            return [], [], []
        at, event = self.events.pop(0)
        self.now = max(self.now, at)
        self.speaker.send(event)
        return listeners, [], []


@pytest.mark.parametrize(
    ("events", "over"),
    [
        ([(0, DRM)], 0.5),
        ([(0, DRM), (0.25, DRM)], 0.75),
        ([(0, DRM), (0.25, DRM), (0.625, DRM), (2, DRM)], 1.125),
        ([(0, OTHER), (1, DRM)], 1.5),
        ([(0, DRM), (0.25, OTHER)], 0.5),
        ([(0, DRM), (0.25, OTHER), (0.375, DRM)], 0.875),
        ([(number / 4, DRM) for number in range(100)], 5),
    ],
    ids=["one", "two", "several", "others before", "another in the quiet", "both in the quiet", "no end of them"],
)
def test_a_change_is_over_half_a_second_after_its_last_event(
    ends: tuple[socket.socket, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
    events: list[tuple[float, bytes]],
    over: float,
) -> None:
    listener, speaker = ends
    kernel = Kernel(speaker, events)
    monkeypatch.setattr(uevents, "time", kernel)
    monkeypatch.setattr(uevents, "select", kernel)
    wait(listener, {"drm"})
    assert kernel.now == over


def test_the_kernel_lets_us_listen() -> None:
    try:
        listen().close()
    except OSError as fault:
        pytest.skip(f"not here: {fault}")
