"""Events of the kernel about devices, read from netlink. They need neither udev nor systemd."""

from __future__ import annotations

import errno
import select
import socket
import time
from collections.abc import Collection

QUIET = 0.5  # seconds without an event, after which a change is over
LONGEST = 5.0  # seconds after which we look, even if the events do not end

_KOBJECT_UEVENT = 15  # NETLINK_KOBJECT_UEVENT, which Python has no name for
_KERNEL_GROUP = 1
_SIZE = 1 << 16  # bytes; the kernel's limit for an event is 2 KiB


def listen() -> socket.socket:
    """A socket that gets every event. Raises OSError where the kernel does not allow it."""
    listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _KOBJECT_UEVENT)
    try:
        listener.bind((0, _KERNEL_GROUP))
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def wait(listener: socket.socket, subsystems: Collection[str], *, quiet: float = QUIET) -> None:
    """Return when there was an event of one of the subsystems, and then none for so many seconds."""
    select.select([listener], [], [])
    while not _received(listener, subsystems):
        select.select([listener], [], [])
    now = time.monotonic()
    over, longest = now + quiet, now + LONGEST
    while (left := min(over, longest) - time.monotonic()) > 0 and select.select([listener], [], [], left)[0]:
        if _received(listener, subsystems):
            over = time.monotonic() + quiet


def subsystem(event: bytes) -> str:
    """The subsystem of an event.

    >>> subsystem(b"add@/devices/x\\0ACTION=add\\0SUBSYSTEM=drm\\0SEQNUM=1\\0")
    'drm'
    """
    for field in event.split(b"\0"):
        if field.startswith(b"SUBSYSTEM="):
            return field[10:].decode("utf-8", "replace")
    return ""


def concerns(event: bytes, subsystems: Collection[str]) -> bool:
    """Whether an event is of one of the subsystems. An interface of a container is not counted: it has no driver.

    >>> concerns(b"add@/devices/virtual/net/veth1\\0SUBSYSTEM=net\\0", {"net"})
    False
    """
    name = subsystem(event)
    path = event.partition(b"\0")[0]
    return name in subsystems and not (name == "net" and b"/virtual/net/" in path and b"can" not in path)


def _received(listener: socket.socket, subsystems: Collection[str]) -> bool:
    """Whether one of the waiting events is of a subsystem; all are taken off the socket."""
    found = False
    while True:
        try:
            event, sender = listener.recvfrom(_SIZE)
        except BlockingIOError:
            return found
        except OSError as fault:
            if fault.errno != errno.ENOBUFS:
                raise
            found = True  # events were lost, perhaps ours
            continue
        # Programs can send to this group too; the kernel's own address is 0.
        if not (isinstance(sender, tuple) and sender[0]):
            found = found or concerns(event, subsystems)
