"""Times of whole processes, taken in turns, so that a machine that slows down slows all of them down.

Knows commands, and nothing of what they are for.
"""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

Prepare = Callable[[], object]


@dataclass
class Case:
    """A command that is run many times: its argv, what is done before each run, and what the runs took (ms)."""

    name: str
    argv: Sequence[str]
    prepare: Prepare = lambda: None
    stdin: str = os.devnull
    times: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Milliseconds."""
        return statistics.median(self.times)


def run_interleaved(cases: Sequence[Case], rounds: int) -> None:
    """Run every case once a round, after one round that isn't counted. Raises RuntimeError where one fails."""
    for number in range(rounds + 1):
        for case in cases:
            case.prepare()
            took, status = timed(case.argv, case.stdin)
            if status != 0:
                raise RuntimeError(f"{case.name}: exit status {status} of {' '.join(case.argv)}")
            if number > 0:
                case.times.append(took)


def timed(argv: Sequence[str], stdin: str = os.devnull) -> tuple[float, int]:
    """Milliseconds and exit status of a command, whose output is thrown away."""
    start = time.perf_counter()
    status = os.waitpid(spawn(argv, stdin), 0)[1]
    return (time.perf_counter() - start) * 1000, os.waitstatus_to_exitcode(status)


def spawn(argv: Sequence[str], stdin: str = os.devnull) -> int:
    """Start a command without waiting for it; its process ID."""
    files = {0: (stdin, os.O_RDONLY), 1: (os.devnull, os.O_WRONLY), 2: (os.devnull, os.O_WRONLY)}
    actions = [(os.POSIX_SPAWN_OPEN, descriptor, path, mode, 0) for descriptor, (path, mode) in files.items()]
    return os.posix_spawn(argv[0], list(argv), os.environ, file_actions=actions)
