"""OCI hooks run for a container that has no OCI runtime (runtime-spec config.md, "POSIX-platform Hooks")."""

import _signal  # type: ignore[import-not-found]
import posix
import time

from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.jsontext import Document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_SIGKILL = 9
_KEPT = 500  # bytes of what a failing hook said


def state(name: str, status: str, pid: int, bundle: str) -> str:
    """The container's state as a hook gets it on standard input."""
    document = Document("{}")
    document.value = {"ociVersion": "1.0.2", "id": name, "status": status, "pid": pid, "bundle": bundle}
    return document.text()


def run(stage: str, hooks: "Sequence[dict[str, Any]]", state: str) -> None:
    """Run the hooks of a stage one after another. ShimError, with its last words, for the first that fails."""
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGCHLD])  # _wait waits for this signal
    try:
        for hook in hooks:
            status, words = _run(hook, state, mask)
            if status:
                raise ShimError(f"hook {stage} {hook['path']}: {status}{words and f': {words}'}")
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)


def script(hooks: "Sequence[dict[str, Any]]", state: str) -> str:
    """A program for sh that runs hooks in the container, where there is nothing of ours. It can't set their argv[0]."""
    lines = ["#!/bin/sh", "set -e"]
    for hook in hooks:
        words = ["env", "-i", *(hook.get("env") or ()), hook["path"], *(hook.get("args") or ())[1:]]
        lines.append(f"printf %s {_quoted(state)} | {' '.join(map(_quoted, words))}")
    return "\n".join([*lines, ""])


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def _run(hook: "dict[str, Any]", state: str, mask: "set[int]") -> tuple[str, str]:
    """Why a hook failed, or '', and what it said last. mask: the signals that the hook starts with blocked."""
    given, give = posix.pipe()
    heard, hear = posix.pipe()
    environ = {name: value for name, _, value in (entry.partition("=") for entry in hook.get("env") or ())}
    try:
        child = posix.posix_spawn(
            hook["path"],
            hook.get("args") or [hook["path"]],
            environ,
            file_actions=[
                (posix.POSIX_SPAWN_DUP2, given, 0),
                (posix.POSIX_SPAWN_DUP2, hear, 1),
                (posix.POSIX_SPAWN_DUP2, hear, 2),
            ],
            setsigmask=mask,
        )
    except OSError as error:
        return f"can't be executed: {error.strerror}", ""
    finally:
        posix.close(given)
        posix.close(hear)
    posix.set_blocking(give, False)
    posix.set_blocking(heard, False)
    try:
        posix.write(give, state.encode())  # a pipe holds it all
    except OSError:
        pass  # a hook need not read it
    posix.close(give)
    status, words = _wait(child, heard, hook.get("timeout"))
    posix.close(heard)
    return status, " ".join(words.decode("utf-8", "replace").split())


def _wait(child: int, heard: int, timeout: "float | None") -> tuple[str, bytes]:
    """Wait for the hook, not for what it leaves behind."""
    deadline = time.monotonic() + timeout if timeout else None
    words, pause, status = b"", 0.0005, ""
    while True:
        words = _read(heard, words)
        found, result = posix.waitpid(child, posix.WNOHANG)
        if found:
            code = posix.waitstatus_to_exitcode(result)
            status = status or (code and (f"exit status {code}" if code > 0 else f"killed by signal {-code}")) or ""
            return status, _read(heard, words)
        if deadline and time.monotonic() > deadline and not status:
            status = f"not done after {timeout} s"
            posix.kill(child, _SIGKILL)
        _signal.sigtimedwait([_signal.SIGCHLD], pause)
        pause = min(pause * 1.5, 0.02)


def _read(heard: int, words: bytes) -> bytes:
    try:
        while chunk := posix.read(heard, 1 << 16):
            words = (words + chunk)[-_KEPT:]
    except BlockingIOError:
        pass
    return words
