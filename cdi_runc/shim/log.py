"""RARE. The shim's words to the person at the engine: on standard error, and in the runtime's log in its format.

Docker and containerd show their users the last error of the log, Podman shows standard error. What a log is called and
looks like is the runtime's: `dialect` is its name. If the log can't be written, that is not an error.
"""

import posix
import time
from _json import encode_basestring_ascii

from cdi_runc.host.snapshot import is_ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cdi_runc.shim.cmdline import Call

# Enough for anything that someone will read; an annotation's value may have a megabyte.
MAX_LENGTH = 1000


def tell(level: str, message: str, call: "Call | None", dialect: str, more: str = "") -> None:
    """Say in one line why there will be no container (`error`), or put into the log alone what one should know though
    there is (`warning`), or what only we want to know (`debug`, of any length).

    call: the command line, which names the log, where it was read so far. more: what the line ends with, however long
    the message is.
    """
    line = "cdi-runc: " + _printable(" ".join(message.split()))
    if len(line) > MAX_LENGTH and level != "debug":
        line = line[: MAX_LENGTH - 4] + " ..."
    line += more
    if level == "error":
        _write(2, line + "\n")
    target = call.log if call else None
    if not target:
        return
    if dialect == "crun":
        kind, _, rest = target.partition(":")
        if kind in ("journald", "syslog"):
            to_syslog(level, line)
            return
        target = rest if kind == "file" else target
        if not target.startswith("/") and call and call.bundle:
            target = f"{call.bundle}/{target}"  # crun opens it from there
    try:
        # A FIFO that nobody reads must not hold us up.
        descriptor = posix.open(
            target, posix.O_WRONLY | posix.O_APPEND | posix.O_CREAT | posix.O_NONBLOCK | posix.O_NOCTTY, 0o644
        )
    except OSError:
        return
    _write(descriptor, _formatted(level, line, (call and call.log_format) or "text", dialect))
    posix.close(descriptor)


def remember(message: str, call: "Call | None", directory: str) -> bool:
    """Keep in the state directory why there was no container, for `cdictl explain last`: engines remove its bundle.

    Whether it could be kept.
    """
    bundle = (call and call.bundle) or ""
    try:
        if not is_ours(posix.lstat(directory)):
            return False
        where = bundle if bundle.startswith("/") else f"{posix.getcwd()}/{bundle}".rstrip("/")
        words = (f'"{key}":{encode_basestring_ascii(text)}' for key, text in (("bundle", where), ("message", message)))
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC
        descriptor = posix.open(f"{directory}/refused", flags, 0o600)
        _write(descriptor, f'{{"time":{time.time_ns() // 10**9},{",".join(words)}}}\n')
        posix.close(descriptor)
    except OSError:
        return False  # cdictl then has less to tell, and that is all
    return True


def _formatted(level: str, line: str, log_format: str, dialect: str) -> str:
    """A line as the runtime itself would write it: runc and youki in the manner of logrus, crun in its own."""
    now = time.gmtime()
    if log_format == "json":
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", now)
        return f'{{"level":{encode_basestring_ascii(level)},"msg":{encode_basestring_ascii(line)},"time":"{stamp}"}}\n'
    if dialect == "crun":
        return f"{time.strftime('%Y-%m-%dT%H:%M:%S', now)}.{time.time_ns() // 1000 % 1000000:06}Z: {line}\n"
    return f'time="{time.strftime("%Y-%m-%dT%H:%M:%SZ", now)}" level={level} msg={encode_basestring_ascii(line)}\n'


def _printable(text: str) -> str:
    """The text with control characters written out, such as an ESC in a path, which a terminal would obey."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _write(descriptor: int, text: str) -> None:
    try:
        posix.write(descriptor, text.encode("utf-8", "backslashreplace"))
    except OSError:
        pass


def to_syslog(level: str, line: str) -> None:
    """A line for the journal."""
    import syslog

    syslog.openlog("cdi-runc")
    syslog.syslog(syslog.LOG_ERR if level == "error" else syslog.LOG_WARNING, line)
    syslog.closelog()
