"""Run a command, and kill it or fail it at any one of its system calls (ptrace(2)).

The calls of all its processes are counted in one row. The runtime that the shim becomes is no longer traced. To fail a
call, registers of x86-64 are written; to count and to kill needs none of them.
"""

import ctypes
import os
import platform
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

CAN_FAIL = platform.machine() == "x86_64"

_TRACEME, _CONT, _POKEUSER, _SYSCALL, _DETACH = 0, 7, 6, 24, 17
_SETOPTIONS, _GET_SYSCALL_INFO = 0x4200, 0x420E
# TRACESYSGOOD, FORK, VFORK, CLONE and EXEC; and EXITKILL: nothing stays behind if this process is killed.
_OPTIONS = 0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x100000
_EVENT_EXEC = 4
_ENTRY, _EXIT = 1, 2
_WALL = 0x40000000
_RAX, _ORIG_RAX = 10 * 8, 15 * 8
_LIMIT = 60.0  # seconds, for a process that waits for what a fault took away

# Some system calls of x86-64, for people.
_NAMES = {
    0: "read",
    3: "close",
    8: "lseek",
    9: "mmap",
    12: "brk",
    13: "rt_sigaction",
    16: "ioctl",
    17: "pread64",
    21: "access",
    22: "pipe",
    33: "dup2",
    57: "fork",
    58: "vfork",
    61: "wait4",
    262: "newfstatat",
    2: "open",
    257: "openat",
}
# Those that change something others can see.
_CHANGING = {
    1: "write",
    18: "pwrite64",
    20: "writev",
    59: "execve",
    73: "flock",
    74: "fsync",
    75: "fdatasync",
    76: "truncate",
    77: "ftruncate",
    82: "rename",
    83: "mkdir",
    84: "rmdir",
    86: "link",
    87: "unlink",
    88: "symlink",
    90: "chmod",
    91: "fchmod",
    92: "chown",
    93: "fchown",
    188: "setxattr",
    190: "fsetxattr",
    258: "mkdirat",
    263: "unlinkat",
    264: "renameat",
    265: "linkat",
    268: "fchmodat",
    316: "renameat2",
}
_OPEN, _OPENAT = 2, 257
_EXECVE, _FLOCK = 59, 73
_WRITES = (1, 20)
# rt_sigreturn, exit and exit_group, which do not return; and those that Linux never fails in a way that is tried here:
# rt_sigaction, rt_sigprocmask, getpid, umask, getuid, getgid, geteuid, getegid, getppid, gettid.
_NEVER_FAIL = {15, 60, 231, 13, 14, 39, 95, 102, 104, 107, 108, 110, 186}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


@dataclass(frozen=True)
class Call:
    """One system call: its number, whether it changes something that others can see, and whether that needs a disk."""

    number: int
    changes: bool
    needs_disk: bool

    @property
    def can_fail(self) -> bool:
        """Whether it can return an error."""
        return self.number not in _NEVER_FAIL

    def __str__(self) -> str:
        return {**_CHANGING, **_NAMES}.get(self.number, f"system call {self.number}")


@dataclass(frozen=True)
class Fault:
    """What happens at the system call `at` (from 0): SIGKILL, or the error.

    With `on`, all later calls that need the disk have the error too.
    """

    at: int
    error: int = 0
    on: bool = False


@dataclass
class Ended:
    """How a command ended: its status as a shell has it, all that it said, its calls, and where the fault came.

    hit_file: what the descriptor is of that the call has as its first argument, '' where that is none.
    """

    status: int = -1
    said: str = ""
    calls: list[Call] = field(default_factory=list)
    hit: Call | None = None
    hit_file: str = ""
    hung: bool = False


def command(words: Sequence[str], environ: Mapping[str, str]) -> Callable[[], object]:
    """What runs this command in a child's place, to be traced."""
    return lambda: os.execve(words[0], list(words), dict(environ))


def traced(
    work: Callable[[], object],
    fault: Fault | None = None,
    is_runtime: Callable[[Sequence[bytes]], bool] = lambda _: False,
) -> Ended:
    """Do the work in a child with at most one fault; without one, its calls are written down."""
    sys.stdout.flush()
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            _child(work, said.fileno())
        ended = _Trace(child, fault, is_runtime).run()
        said.seek(0)
        ended.said = said.read().decode("utf-8", "replace")
    return ended


def _child(work: Callable[[], object], said: int) -> NoReturn:
    status = 127
    try:
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(said, 1)
        os.dup2(said, 2)
        _libc.ptrace(_TRACEME, 0, None, None)
        os.kill(os.getpid(), signal.SIGSTOP)
        work()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _ptrace(request: int, pid: int, address: int = 0, data: int = 0) -> bool:
    return bool(_libc.ptrace(request, pid, address, data) >= 0)


class _Trace:
    """The tracer of one run."""

    def __init__(self, child: int, fault: Fault | None, is_runtime: Callable[[Sequence[bytes]], bool]) -> None:
        self._child, self._fault, self._is_runtime = child, fault, is_runtime
        self._known: set[int] = set()
        self._failing: dict[int, int] = {}  # a process whose call fails, and the error
        self._released: set[int] = set()
        self._count = 0
        self._resume = _SYSCALL
        self._info = ctypes.create_string_buffer(88)
        self._ended = Ended()

    def run(self) -> Ended:
        until = time.monotonic() + _LIMIT
        signal.signal(signal.SIGALRM, lambda *_: self._end_all())
        signal.alarm(int(_LIMIT))
        try:
            while True:
                try:
                    pid, status = os.waitpid(-1, _WALL)
                except ChildProcessError:
                    return self._ended
                if os.WIFSTOPPED(status):
                    self._stopped(pid, status >> 8)
                else:
                    self._known.discard(pid)
                    if pid == self._child:
                        self._ended.status = os.waitstatus_to_exitcode(status)
                        if self._ended.status < 0:
                            self._ended.status = 128 - self._ended.status
                self._ended.hung |= time.monotonic() > until
        finally:
            signal.alarm(0)

    def _end_all(self) -> None:
        self._ended.hung = True
        for pid in self._known:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def _stopped(self, pid: int, what: int) -> None:
        number, event = what & 0xFF, what >> 8
        if pid not in self._known:
            self._known.add(pid)
            if pid == self._child:
                _ptrace(_SETOPTIONS, pid, 0, _OPTIONS)
            _ptrace(self._resume, pid, 0, 0 if number == signal.SIGSTOP or event else number)
            return
        if event == _EVENT_EXEC and self._became_the_runtime(pid):
            _ptrace(_DETACH, pid)
            return
        if number == signal.SIGTRAP | 0x80:
            self._at_call(pid)
            return
        _ptrace(self._resume, pid, 0, 0 if event else number)

    def _became_the_runtime(self, pid: int) -> bool:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                return self._is_runtime(file.read().split(b"\0"))
        except OSError:
            return False

    def _at_call(self, pid: int) -> None:
        _ptrace(_GET_SYSCALL_INFO, pid, 88, ctypes.addressof(self._info))
        kind = self._info.raw[0]
        if kind == _EXIT and pid in self._failing:
            _ptrace(_POKEUSER, pid, _RAX, (1 << 64) - self._failing.pop(pid))
            if self._fault and not self._fault.on:
                self._resume = _CONT
        if kind != _ENTRY:
            _ptrace(self._resume, pid)
            return
        number, *arguments = struct.unpack_from("<7Q", self._info.raw, 24)
        changes = _changes(number, arguments)
        to_people = number in _WRITES and arguments[0] in (1, 2)
        call = Call(number, changes, changes and number not in (_EXECVE, _FLOCK) and not to_people)
        at, self._count = self._count, self._count + 1
        if self._fault is None:
            self._ended.calls.append(call)
        elif at >= self._fault.at and call.needs_disk if self._fault.on else at == self._fault.at:
            self._strike(pid, call, arguments[0], self._fault)
        _ptrace(self._resume, pid)

    def _strike(self, pid: int, call: Call, descriptor: int, fault: Fault) -> None:
        if self._ended.hit is None:
            self._ended.hit = call
            try:
                self._ended.hit_file = os.readlink(f"/proc/{pid}/fd/{descriptor}")
            except OSError:
                pass
        if not fault.error:
            os.kill(pid, signal.SIGKILL)
            self._resume = _CONT
        elif call.can_fail and CAN_FAIL:
            _ptrace(_POKEUSER, pid, _ORIG_RAX, (1 << 64) - 1)
            self._failing[pid] = fault.error


def _changes(number: int, arguments: Sequence[int]) -> bool:
    if not CAN_FAIL:  # these are the numbers of x86-64
        return False
    if number in (_OPEN, _OPENAT):
        flags = arguments[2] if number == _OPENAT else arguments[1]
        return bool(flags & os.O_CREAT)
    return number in _CHANGING
