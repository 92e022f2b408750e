"""What the conftest.py of the whole tree promises, seen from outside: pytest runs on a few tests of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).parents[1]

SIGNALS = """
import signal, subprocess, sys
def test_signals():
    code = "import signal; print(*[n for n in signal.valid_signals() if signal.getsignal(n) == signal.SIG_IGN])"
    ignored = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60).split()
    assert set(map(int, ignored)) <= {signal.SIGPIPE, signal.SIGXFSZ}  # which Python itself ignores
    signal.raise_signal(signal.SIGINT)  # this process still ignores it
"""
FIXTURE = """
import pytest
@pytest.fixture(scope="session")
def broken():
    raise RuntimeError("the reason")
@pytest.mark.parametrize("n", range(5))
def test_it(broken, n):
    pass
"""
HANGS = """
import subprocess, time
from tests.processes import ending
def test_it():
    with ending(subprocess.Popen(["sleep", "1000"])) as child:
        child.wait(900)
def test_next():
    pass
"""


def run(directory: Path, text: str, *options: str, before: str = "") -> str:
    """What pytest prints for a file of tests."""
    test = directory / "test_it.py"
    test.write_text(text)
    (directory / "empty.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "--color=no", "-rE"]
    command += ["-c", str(directory / "empty.ini"), f"--rootdir={directory}", *options, str(test)]
    shell = ["sh", "-c", f'unset CI; {before} exec "$@"', "sh", *command]  # under CI pytest's summary is longer
    return subprocess.run(shell, cwd=TREE, capture_output=True, text=True, timeout=120, check=False).stdout


def test_children_get_the_default_handlers_of_signals_that_are_ignored(tmp_path: Path) -> None:
    said = run(tmp_path, SIGNALS, before="trap '' INT QUIT HUP TERM USR1;")
    assert "1 passed" in said


@pytest.mark.parametrize("options", [[], ["-n", "1"]], ids=["alone", "side by side"])
def test_a_shared_fixture_that_fails_says_its_reason_once(tmp_path: Path, options: list[str]) -> None:
    said = run(tmp_path, FIXTURE, *options)
    assert "5 errors" in said
    assert said.count('raise RuntimeError("the reason")') == 1
    assert said.count("the set-up fails as it does for ") == 4


def test_a_test_that_hangs_fails_and_the_next_one_runs(tmp_path: Path) -> None:
    said = run(tmp_path, HANGS, "--timeout=1")
    assert "Failed: Timeout (>1.0s) from pytest-timeout" in said
    assert "1 failed, 1 passed" in said
