"""A short run finds nothing. `make fuzz` runs for longer."""

import subprocess
import sys
from pathlib import Path


def test_a_short_run_finds_nothing() -> None:
    command = [sys.executable, "-m", "integration.fuzz", "--seconds", "15", "--seed", "1"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
