"""A program is run, and what it prints is taken."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cdi_runc.host.process import output_of

TREE = Path(__file__).parents[2]
ENVIRON = {b"PATH": b"/usr/bin:/bin"}


@pytest.mark.parametrize(
    ("script", "status", "output"),
    [
        ("echo a; echo b", 0, b"a\nb\n"),
        ("echo a; echo lost >&2; exit 3", 3, b"a\n"),
        ("kill -9 $$", -signal.SIGKILL, b""),
        ("cat; echo end", 0, b"end\n"),  # nothing comes in
        ("printf %3000000d 1 | tr ' ' 0", 0, b"0" * 2_999_999 + b"1"),
        ('echo "$A:$HOME"', 0, b"b:\n"),
        ("exec 1>&-; exit 1", 1, b""),
    ],
)
def test_status_and_output(
    script: str, status: int, output: bytes, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/not/ours")
    assert output_of(["/bin/sh", "-c", script], {**ENVIRON, b"A": b"b"}) == (status, output)
    assert capfd.readouterr() == ("", "")


def test_a_program_that_is_not_there_is_an_error_and_no_descriptor_stays_open() -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(FileNotFoundError):
        output_of(["/nowhere"], {})
    output_of(["/bin/true"], {})
    assert os.listdir("/proc/self/fd") == before


def test_a_status_that_somebody_else_took_counts_as_success() -> None:
    code = (
        "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "from cdi_runc.host.process import output_of\n"
        "print(output_of(['/bin/sh', '-c', 'echo a; exit 3'], {}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=TREE, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("(0, b'a\\n')\n", "")
