"""Our own log of LXC containers. LXC itself shows nothing of what a hook says, unless it is told to log at DEBUG."""

import posix
import time

from cdi_runc.host import places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEM_LOG = "/var/log/cdi-runc/lxc.log"
_LIMIT = 1 << 20  # bytes; then a new log begins, and the one before is kept


def log_path(environ: "Mapping[bytes, bytes]") -> str:
    """The log: the host's, or the user's own."""
    if places.is_host_root():
        return SYSTEM_LOG
    home = environ.get(b"XDG_STATE_HOME") or environ.get(b"HOME", b"") + b"/.local/state"
    return home.decode("utf-8", "surrogateescape") + "/cdi-runc/lxc.log"


def write(path: str, name: str, level: str, message: str) -> None:
    """Add a line: time, container, level and message. A log that can't be written stops no container."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = f"{stamp} {name} {level} {' '.join(message.split())}\n"
    try:
        _make_directory(path.rpartition("/")[0])
        flags = posix.O_WRONLY | posix.O_APPEND | posix.O_CREAT | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC
        descriptor = posix.open(path, flags, 0o640)
        posix.write(descriptor, line.encode("utf-8", "backslashreplace"))
        if posix.fstat(descriptor).st_size > _LIMIT:
            posix.rename(path, f"{path}.1")
        posix.close(descriptor)
    except OSError:
        pass


def lines_of(path: str, name: str) -> "list[tuple[str, str, str]]":
    """Time, level and message of each line about a container, the oldest first."""
    found = []
    for each in (f"{path}.1", path):
        try:
            with open(each, encoding="utf-8", errors="replace") as file:
                for line in file:
                    stamp, _, rest = line.rstrip("\n").partition(" ")
                    whose, _, rest = rest.partition(" ")
                    level, _, message = rest.partition(" ")
                    if whose == name:
                        found.append((stamp, level, message))
        except OSError:
            continue
    return found


def _make_directory(path: str) -> None:
    try:
        posix.mkdir(path, 0o755)
    except FileNotFoundError:
        _make_directory(path.rpartition("/")[0])
        posix.mkdir(path, 0o755)
    except FileExistsError:
        pass
