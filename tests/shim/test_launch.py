"""Our own options, and what is said where they cannot be obeyed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cdi_runc.shim.launch import Launch
from tests.shim.conftest import START, bundle

BOOT = [sys.executable, "-I", "-S", str(START / "boot.py"), sys.executable, "/x/cdi-runc", *[""] * 5]


def test_a_full_standard_output_is_told_in_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*BOOT, "--cdi-version"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "cdi-runc: nothing can be written to standard output: No space left on device\n"


def test_a_relative_config_needs_a_working_directory(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    command = ["sh", "-c", 'rmdir "$PWD"; exec "$@"', "sh", *BOOT, "--cdi-config=x.yaml", "state", "id"]
    done = subprocess.run(command, cwd=gone, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("cdi-runc: --cdi-config=x.yaml: there is no working directory")
    assert done.stderr.count("\n") == 1


def test_a_path_is_written_out_where_a_terminal_would_obey_it(tmp_path: Path) -> None:
    asks = bundle(tmp_path / "\x1b[31mred", annotations={"cdi.k8s.io/x": "vendor.com/gpu=none"})
    config = tmp_path / "\x1b]0;c.yaml"
    config.write_text("nonsense")
    command = [*BOOT, f"--cdi-config={config}", "--cdi-runtime=/bin/true", "create", "--bundle", str(asks), "id"]
    environ = {"XDG_RUNTIME_DIR": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("cdi-runc: ")
    assert "\\x1b" in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("probe", ["1", ""])
def test_a_variable_makes_no_call_vanish(tmp_path: Path, probe: str) -> None:
    plain = bundle(tmp_path / "plain")
    runtime = tmp_path / "runtime"
    runtime.write_text("#!/bin/sh\necho ran\n")
    runtime.chmod(0o755)
    environ = {"XDG_RUNTIME_DIR": str(tmp_path), "CDI_RUNC_PROBE": probe}
    command = [*BOOT, f"--cdi-runtime={runtime}", "create", "--bundle", str(plain), "id"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")


def test_the_shell_s_own_path_counts_where_the_caller_has_none() -> None:
    assert Launch(["boot.py", "", "/x/cdi-runc", "", "/from/sh", "", "", "", "state"]).default_path == "/from/sh"
