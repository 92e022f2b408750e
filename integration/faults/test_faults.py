"""A short run finds nothing. `make faults` runs for longer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def test_a_short_run_finds_nothing() -> None:
    if os.geteuid() != 0:
        pytest.skip("a mount namespace needs root")
    command = [sys.executable, "-m", "integration.faults", "--seconds", "24", "--seed", "1"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
