"""The process that pre-start leaves behind for hooks at start-host, so that a start needs one Python less.

Two pipes in the bundle are between it and start-host's line of sh (engines/lxc.py): `go` takes the pid of the
container's init, `done` gives the answer. Without an answer, since the process is gone, start-host starts a Python.
"""

import _signal  # type: ignore[import-not-found]
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_GO, _DONE = "go", "done"
NAMES = (_GO, _DONE)

_PATIENCE = 120  # seconds; what is mounted meanwhile, and vendors' hooks, take much less


def leave(bundle: str, work: "Callable[[str], int]") -> int:
    """Fork a process that calls `work` with the pid, and answers with its exit status. Gives the process's own id.

    The answer has two lines, of which the first says that the work is begun: it must not be done twice.
    """
    for name in (_DONE, _GO):  # where there is the second, there are both
        posix.mkfifo(f"{bundle}/{name}", 0o600)
    go, done = (posix.open(f"{bundle}/{name}", posix.O_RDWR | posix.O_CLOEXEC) for name in NAMES)
    child = posix.fork()
    if child:
        posix.close(go)
        posix.close(done)
        return child
    try:
        detach()
        _signal.signal(_signal.SIGALRM, _signal.SIG_DFL)  # which ends us
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [_signal.SIGALRM])
        _signal.alarm(_PATIENCE)
        pid = posix.read(go, 32).decode().strip()
        _signal.alarm(0)
        if pid:
            posix.write(done, b"begun\n")
            posix.write(done, b"%d\n" % work(pid))
    finally:
        posix._exit(0)


def release(bundle: str) -> None:
    """End the process of a start that did not come as far."""
    try:
        descriptor = posix.open(f"{bundle}/{_GO}", posix.O_WRONLY | posix.O_NONBLOCK | posix.O_NOFOLLOW)
        posix.write(descriptor, b"\n")
        posix.close(descriptor)
    except OSError:
        pass  # there is none


def detach() -> None:
    """Become a process that LXC does not wait for: a session of its own, and no pipe of LXC's."""
    posix.setsid()
    null = posix.open("/dev/null", posix.O_RDWR)
    for descriptor in (0, 1, 2):
        posix.dup2(null, descriptor)
