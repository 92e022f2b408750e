"""HOT. The real runtime: which one it is, and its start in our place, as if we had never been there."""

import _signal  # type: ignore[import-not-found]
import posix

from cdi_runc.shim.errors import RuntimeMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

# How every launcher of ours begins, wherever it was copied to.
LAUNCHER = b"#!/bin/sh\n# cdi-runc:"

# Searched where the caller has no PATH and its shell no default.
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Set for a runtime that is asked for its version, to find out whether it is us, and what we answer.
PROBE = b"CDI_RUNC_PROBE"
PROBE_ANSWER = b"cdi-runc wraps a runtime\n"

# Seconds of processor time: more than any program uses before it starts a runtime, less than a user would notice.
_SUSPICIOUS_AGE = 0.3


def is_probe(args: "Sequence[str]", environ: "Mapping[bytes, bytes]") -> bool:
    """Whether the shim asks for the version of a runtime that is the shim. All other calls are real ones."""
    return PROBE in environ and [arg for arg in args if not arg.startswith("--cdi-")] == ["--version"]


def find(wanted: str, self_path: str, environ: "Mapping[bytes, bytes]", default_path: str = "") -> str:
    """The path of the runtime `wanted`, a path or a name to look up on PATH.

    default_path: searched instead of a PATH that is not set or empty; '' is DEFAULT_PATH.
    Raises RuntimeMissing where there is none, or where it is the shim again.
    """
    searched = environ.get(b"PATH", b"").decode("utf-8", "surrogateescape") or default_path or DEFAULT_PATH
    path = wanted if "/" in wanted else _on_path(wanted, searched)
    if not path:
        raise RuntimeMissing(
            f"no runtime {wanted!r} on PATH{_why_this(wanted, self_path)}: install it, or give its path in"
            " /etc/cdi-runc/config.yaml under 'runtimes'"
        )
    if not _is_executable(path):
        raise RuntimeMissing(f"the runtime {path} is missing or can't be executed")
    if _is_shim(path, self_path) or (sum(posix.times()[:2]) > _SUSPICIOUS_AGE and _leads_to_shim(path, environ)):
        raise RuntimeMissing(
            f"the runtime {path} is cdi-runc itself: give the path of the real runtime in"
            " /etc/cdi-runc/config.yaml under 'runtimes'"
        )
    return path


def _why_this(wanted: str, self_path: str) -> str:
    """Why this runtime is looked for, where that may surprise: in a copy of our launcher, or a link to it."""
    own = self_path.rpartition("/")[2]
    if own in ("cdi-runc", "cdi-crun", "cdi-youki") or "/" in wanted:
        return ""
    return f" (the command's own name decides: cdi-NAME runs NAME, and this one is called {own})"


def execute(path: str, args: "Sequence[str]", environ: "Mapping[bytes, bytes]", ignored: int) -> "NoReturn":
    """Become the runtime, with `args` after its own path.

    ignored: the mask of signals that were ignored before Python set SIGPIPE and SIGXFSZ to be so.
    """
    for signal in (_signal.SIGPIPE, _signal.SIGXFSZ):
        if not ignored >> signal - 1 & 1:
            _signal.signal(signal, _signal.SIG_DFL)
    try:
        posix.execve(path, [path, *args], environ)
    except OSError as error:
        raise RuntimeMissing(f"the runtime {path} can't be executed: {error.strerror}") from None


def _on_path(name: str, path: str) -> str:
    for directory in path.split(":"):
        candidate = f"{directory}/{name}"
        # Never a file of the working directory, which may be anybody's.
        if directory.startswith("/") and _is_executable(candidate):
            return candidate
    return ""


def _is_executable(path: str) -> bool:
    try:
        return posix.stat(path).st_mode & 0o170000 == 0o100000 and posix.access(path, posix.X_OK, effective_ids=True)
    except OSError:
        return False


def _is_shim(path: str, self_path: str) -> bool:
    """Whether the file is this launcher, by whatever link, or a copy of it."""
    try:
        if posix.stat(path)[1:3] == posix.stat(self_path)[1:3]:  # inode and device
            return True
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return False
    try:
        return posix.read(descriptor, len(LAUNCHER)) == LAUNCHER
    finally:
        posix.close(descriptor)


def _leads_to_shim(path: str, environ: "Mapping[bytes, bytes]") -> bool:
    """Whether a runtime is a wrapper that comes back here: it is asked for its version, and we would answer.

    Asked only where this process is old for one that has come so far, as it is after some rounds of a loop.
    """
    from cdi_runc.host.process import output_of

    try:
        return output_of([path, "--version"], {**environ, PROBE: b"1"})[1] == PROBE_ANSWER
    except OSError:
        return False  # execute() says why it can't be started
