"""Processes that tests start: none of them may outlive its test, whatever happens in the test."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import AnyStr

import psutil


@contextmanager
def ending(process: "subprocess.Popen[AnyStr]") -> Iterator["subprocess.Popen[AnyStr]"]:
    """Kill `process` at the end of the block, if it still runs then.

    `with Popen(...)` waits without a limit instead, also when the block ends with an error.
    """
    try:
        yield process
    finally:
        process.kill()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        process.wait(30)


def wait_until_it_sleeps(pid: int) -> None:
    """Return when a process has started and waits for something: it sleeps, and has done nothing for 0.3 seconds."""
    process = psutil.Process(pid)
    before, quiet = 0, 0
    for _ in range(1200):
        if quiet == 6:
            return
        time.sleep(0.05)
        now = process.num_ctx_switches().voluntary
        quiet = quiet + 1 if process.status() == psutil.STATUS_SLEEPING and now == before else 0
        before = now
    raise TimeoutError(f"process {pid} does not come to rest within a minute")
