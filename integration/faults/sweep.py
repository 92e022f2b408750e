"""Go through all system calls of a scenario: at each of them the process is killed, or the call fails."""

import errno
from abc import ABC, abstractmethod

from integration.faults.tracing import CAN_FAIL, Call, Ended, Fault
from integration.findings import Part

ERRORS = ("EIO", "ENOSPC", "EROFS", "EMFILE", "ENOMEM", "EINTR", "EAGAIN")
FULL = ("ENOSPC", "EROFS", "EIO")  # what stays so once it is so


class Scenario(ABC):
    """Something that is done once for each fault, on a host that is then looked at."""

    @abstractmethod
    def prepare(self) -> None:
        """Make all as it was."""

    @abstractmethod
    def run(self, fault: Fault | None) -> Ended:
        """Do it, with a fault."""

    @abstractmethod
    def judge(self, ended: Ended, fault: Fault) -> list[str]:
        """What is not as it was promised, a line each."""


def kill_everywhere(scenario: Scenario, part: Part) -> None:
    """Kill the process at each call, those that change something first."""
    calls = _calls_of(scenario)
    part.of = len(calls) - 1
    changing = sum(call.changes for call in calls)
    part.notes.append(f"{len(calls)} system calls, {changing} of them change something and come first")
    _try(scenario, part, calls, [Fault(at) for at in _order(part, calls)])


def fail_everywhere(scenario: Scenario, part: Part) -> None:
    """Let each call fail in each way; and from each change on, let the disk stay full, read-only or broken."""
    if not CAN_FAIL:
        part.notes.append("not tried: the registers of this machine are not known; it needs x86-64")
        return
    calls = _calls_of(scenario)
    faults: list[Fault] = []
    for at in _order(part, calls):
        if calls[at].can_fail:
            faults += [Fault(at, getattr(errno, name)) for name in ERRORS]
        if calls[at].needs_disk:
            faults += [Fault(at, getattr(errno, name), on=True) for name in FULL]
    part.of = len(faults)
    changing = sum(calls[fault.at].changes for fault in faults)
    if len(faults) > changing:
        rest = faults[changing:]
        part.choose.shuffle(rest)
        faults[changing:] = rest
    if part.short:
        part.choose.shuffle(faults)
    _try(scenario, part, calls, faults)


def _calls_of(scenario: Scenario) -> list[Call]:
    scenario.prepare()
    ended = scenario.run(None)
    if ended.status != 0:
        raise RuntimeError(f"it fails without a fault, status {ended.status}: {ended.said.strip()}")
    return ended.calls


def _order(part: Part, calls: list[Call]) -> list[int]:
    """The places of the calls: those that change something, then the others, both by chance.

    Without the first, which is the execve of the test, or its system call after it stopped.
    """
    order = list(range(1, len(calls)))
    part.choose.shuffle(order)
    return sorted(order, key=lambda at: not calls[at].changes)


def _try(scenario: Scenario, part: Part, calls: list[Call], faults: list[Fault]) -> None:
    missed = startup = unheard_of = 0
    for fault in faults:
        if not part.has_time():
            break
        scenario.prepare()
        ended = scenario.run(fault)
        part.tried += 1
        missed += ended.hit is None
        found = scenario.judge(ended, fault)
        if ended.hung:
            found.append("it hung")
        if _is_unheard_of(ended, fault):
            unheard_of += 1
        elif "internal error" in ended.said or _has_traceback(ended.said):
            found.append(f"it said: {' | '.join(ended.said.split(chr(10)))[-600:]}")
        elif "Traceback" in ended.said or "Fatal Python error" in ended.said:
            startup += 1
        what = errno.errorcode[fault.error] if fault.error else "killed"
        at = f"{what}{' from there on' if fault.on else ''} at call {fault.at} ({ended.hit or calls[fault.at]})"
        part.findings += [f"{at}: {line}" for line in found]
    if missed:
        part.notes.append(f"{missed} came to no such call, since processes beside each other differ from run to run")
    if unheard_of:
        part.notes.append(
            f"{unheard_of} times a file answered EAGAIN, as no file does; what was said then does not count"
        )
    if startup:
        part.notes.append(f"{startup} times Python itself could not start, and said so in its own words")


def _is_unheard_of(ended: Ended, fault: Fault) -> bool:
    """Whether a file with a path answered that it has no data yet, for which neither Python nor psutil is made."""
    return fault.error == errno.EAGAIN and str(ended.hit) == "read" and ended.hit_file.startswith("/")


def _has_traceback(said: str) -> bool:
    """Whether there is a traceback of ours: not one of Python that starts, or that could not read a module."""
    if "Traceback" not in said or "Fatal Python error" in said:
        return False
    frames = [line for line in said.splitlines() if line.startswith("  File ")]
    return bool(frames) and "/cdi_runc/" in frames[-1]
