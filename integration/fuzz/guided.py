"""`python -m integration.fuzz.guided json|spec SECONDS SEED`: texts that atheris makes, guided by the code they reach.

atheris need not be there: `pip install atheris`, on a version of Python that it has.
"""

import importlib
import importlib.util
import re
import subprocess
import sys
import time
from typing import Any

from integration.findings import Part


def part_of(target: str) -> Any:
    """The part that runs one target in a process of its own, since atheris never returns."""

    def run(part: Part) -> None:
        if importlib.util.find_spec("atheris") is None:
            part.notes.append("not tried: atheris is not installed (pip install atheris)")
            return
        seconds = max(1, int(part.until - time.monotonic()))
        command = [
            sys.executable,
            "-m",
            "integration.fuzz.guided",
            target,
            str(seconds),
            str(part.choose.getrandbits(31)),
        ]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds + 120)
        counts = re.findall(r"(?:Done|#)\s*(\d+)", done.stderr)
        part.tried = max(map(int, counts), default=0)
        part.expect(done.returncode == 0, " | ".join((done.stdout + done.stderr).splitlines()[-12:]))

    return run


def main() -> None:
    """Run one target until the time is up."""
    atheris: Any = importlib.import_module("atheris")

    target, seconds, seed = sys.argv[1:]
    with atheris.instrument_imports(include=["cdi_runc"]):
        import cdi_runc as cdi
        from integration.fuzz.configs import json_difference

    def one_json(data: bytes) -> None:
        text = data.decode("utf-8", "surrogateescape")
        difference = json_difference(text)
        if difference:
            raise AssertionError(f"{text!r}: {difference}")

    def one_spec(data: bytes) -> None:
        try:
            cdi.parse_spec(data)
        except cdi.CDIError as fault:
            if "\n" in str(fault):
                raise AssertionError(f"{data!r}: several lines: {fault}") from None

    options = [f"-max_total_time={seconds}", f"-seed={seed}", "-timeout=10", "-artifact_prefix=/tmp/cdi-runc-fuzz-"]
    atheris.Setup([sys.argv[0], *options], {"json": one_json, "spec": one_spec}[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
