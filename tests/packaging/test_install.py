"""`make install` where something is missing: one line that says what to do, and nothing written."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]


def install(environ: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    env = {"PATH": "/usr/bin:/bin", **environ}
    return subprocess.run([TREE / "packaging/install"], env=env, capture_output=True, text=True, timeout=60)


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("variable", ["PYTHON", "BUILD_PYTHON"])
def test_a_staged_installation_names_the_packages_that_it_needs(tmp_path: Path, variable: str) -> None:
    bare = script(tmp_path / "python3", f'exec {sys.executable} -S "$@"')
    done = install({"DESTDIR": str(tmp_path / "root"), variable: bare})
    assert done.returncode == 1
    assert done.stderr.startswith(f"install: {bare} needs these packages of the distribution: python3-click ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("variable", ["PYTHON", "BUILD_PYTHON"])
def test_a_python_that_is_too_old_is_named(tmp_path: Path, variable: str) -> None:
    old = script(tmp_path / "python3", "exit 1")
    done = install({"DESTDIR": str(tmp_path / "root"), variable: old})
    assert (done.returncode, done.stderr) == (
        1,
        f"install: {old} is no Python 3.10 or newer: install one, or name one: make install "
        "BUILD_PYTHON=/path/to/python3\n",
    )
    assert not (tmp_path / "root").exists()
