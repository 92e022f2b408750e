"""RARE. One JSON line for each decision about a container that asked for a device, where the settings want it.

It never holds a container up, and never stops one: what can't be written is lost, and one warning says so.
"""

import posix
import time
from _json import encode_basestring_ascii

from cdi_runc.cdi.errors import CDIError
from cdi_runc.shim.engine_records import names
from cdi_runc.shim.errors import Denied, ShimError
from cdi_runc.shim.policy import Container
from cdi_runc.shim.requests import requested

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from cdi_runc.host.known import Known
    from cdi_runc.shim.cmdline import Call
    from cdi_runc.shim.decision import Decision
    from cdi_runc.shim.requests import Request

JOURNAL = "/run/systemd/journal/socket"
SYSLOG = "/dev/log"
_AUTHPRIV_INFO = 10 * 8 + 6
_S_IFMT, _S_IFREG, _S_IFIFO = 0o170000, 0o100000, 0o010000


def record(
    call: "Call",
    config: "Mapping[str, Any]",
    known: "Known",
    runtime: str,
    decided: "Decision | Exception",
    warn: "Callable[[str], None]",
    given: "Sequence[Request]" = (),
) -> None:
    """Write down what was decided for the container of this config: the decision, or why there is none.

    given: the devices that the kubelet gave to it."""
    target = known.settings["audit"]
    try:
        asked = [*_asked(config, known), *given] if isinstance(decided, Exception) else decided.requests
        if asked or isinstance(decided, Exception):
            _write(target, as_json(_entry(call, config, known, runtime, decided, asked)))
    except Exception as fault:  # whatever it is, no container may miss its start because of it
        reason = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
        warn(f"a line for audit: {target} is lost: {reason}")


def as_json(value: object) -> str:
    """A text, number, list or dict as JSON. To import json would take longer than all the rest.

    >>> as_json({"a": ["b", 1, True]})
    '{"a":["b",1,true]}'
    """
    if isinstance(value, dict):
        return "{" + ",".join(f"{as_json(str(key))}:{as_json(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(as_json, value)) + "]"
    if isinstance(value, (bool, int, float)):
        return str(value).lower()
    return encode_basestring_ascii(str(value))


def _asked(config: "Mapping[str, Any]", known: "Known") -> "list[Any]":
    try:
        return requested(config, known.settings["requests"])
    except (CDIError, ShimError):
        return []  # it is the requests that are wrong


def _entry(
    call: "Call",
    config: "Mapping[str, Any]",
    known: "Known",
    runtime: str,
    decided: "Decision | Exception",
    asked: "list[Any]",
) -> "dict[str, object]":
    container = Container(config, call.command or "", runtime, call.config or "")
    entry: dict[str, object] = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "container": call.container or "",
    }
    entry |= {what: container.named(what) for what in ("engine", "namespace", "pod", "image", "command", "runtime")}
    entry["name"] = container.named("container")
    if not entry["name"]:
        entry["name"], image = names(container.named("engine"), call.container or "", config, call.config or "")
        entry["image"] = entry["image"] or image
    entry["requests"] = [{"device": each.name, "through": each.through, "where": each.where} for each in asked]
    hashes = known.settings.get("hashes") or {}
    if isinstance(decided, Exception):
        files = {found[0] for each in asked if (found := known.find(each.name))}
        entry |= {
            "allowed": False,
            "reason": str(decided),
            "devices": [],
            "rules": {decided.device: decided.place} if isinstance(decided, Denied) else {},
            "specs": {path: hashes.get(path, "") for path in sorted(files)},
            "edits": [],
        }
    else:
        entry |= {
            "allowed": not decided.refused,
            "reason": decided.reason,
            "devices": [request.name for request in decided.requests if request not in decided.refused],
            "rules": {name: rule["place"] for name, rule in decided.rules.items()},
            "specs": {whose: hashes.get(whose, "") for whose, _ in decided.groups if whose.startswith("/")},
            "edits": sorted({kind for _, edits in decided.groups for kind, value in edits.items() if value}),
        }
    entry["cpu_ms"] = time.process_time_ns() // 10000 / 100
    entry["ms"] = _elapsed()
    return entry


def _elapsed() -> int:
    """Milliseconds since this process was started, in steps of the kernel's clock ticks (10 ms)."""
    try:
        descriptor = posix.open("/proc/self/stat", posix.O_RDONLY | posix.O_CLOEXEC)
        fields = posix.read(descriptor, 4096).rpartition(b")")[2].split()
        posix.close(descriptor)
        ticks = posix.sysconf("SC_CLK_TCK")
        return max(0, time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000 - int(fields[19]) * 1000 // ticks)
    except (OSError, ValueError, IndexError):
        return 0


def _write(target: str, line: str) -> None:
    """Write a line to `file:PATH`, `journal` or `syslog`. Raises OSError where that would take a while, or fails."""
    if target == "journal":
        _send(JOURNAL, f"SYSLOG_IDENTIFIER=cdi-runc\nPRIORITY=6\nMESSAGE={line}\n")
    elif target == "syslog":
        _send(SYSLOG, f"<{_AUTHPRIV_INFO}>cdi-runc: {line}")
    else:
        _append(target.removeprefix("file:"), f"{line}\n".encode())


def _append(path: str, line: bytes) -> None:
    flags = posix.O_WRONLY | posix.O_APPEND | posix.O_CREAT | posix.O_NONBLOCK | posix.O_NOCTTY
    descriptor = posix.open(path, flags | posix.O_NOFOLLOW | posix.O_CLOEXEC, 0o600)
    try:
        if posix.fstat(descriptor).st_mode & _S_IFMT not in (_S_IFREG, _S_IFIFO):
            raise OSError(0, "it is neither a file nor a pipe")
        if posix.write(descriptor, line) < len(line):
            raise OSError(0, "it is full")
    finally:
        posix.close(descriptor)


def _send(path: str, message: str) -> None:
    import _socket

    socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
    try:
        socket.connect(path)
        socket.send(message.encode())
    finally:
        socket.close()
