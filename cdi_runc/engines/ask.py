"""Run an engine's own command and return its output. If it fails, the error has the engine's own words."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from cdi_runc.engines.engine import EngineError, NotInstalled

_LOG_LINE = re.compile(r'^time="[^"]*" level=\w+ msg="(?P<words>.*)"$')


def binary(engine: str, *names: str) -> str:
    """The first of these commands that is on PATH (or where only root's PATH leads); raises NotInstalled."""
    places = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
    for name in names:
        path = shutil.which(name, path=places)
        if path:
            return path
    raise NotInstalled(f"{engine} is not installed: no {' or '.join(names)} on PATH")


def ask(command: Sequence[str], env: Mapping[str, str] | None = None, timeout: float = 60) -> str:
    """The command's standard output; raises EngineError with its last line of complaint if it fails.

    `env` is added to the environment; `timeout` is in seconds.
    """
    name = os.path.basename(command[0])
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **env} if env else None,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise EngineError(f"{name} did not answer within {timeout:g} s") from None
    except OSError as fault:
        raise EngineError(f"can't run {command[0]}: {fault.strerror}") from None
    if done.returncode != 0:
        words = complaint(done.stderr) or f"exit status {done.returncode}"
        raise EngineError(words if words.startswith(f"{name}: ") else f"{name}: {words}")
    return done.stdout


def complaint(text: str) -> str:
    """The line of an engine's standard error that says what is wrong, without the log format and usage hints.

    >>> complaint('time="2024" level=warning msg="a"\\ntime="2024" level=fatal msg="no such \\\\"x\\\\""')
    'no such "x"'
    >>> complaint("docker: Error response from daemon: boom.\\nSee 'docker run --help'.")
    'docker: Error response from daemon: boom.'
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("See '", "Run '"))]
    if not lines:
        return ""
    dressed = _LOG_LINE.match(lines[-1])
    return dressed["words"].replace('\\"', '"') if dressed else lines[-1]


def version(text: str) -> str:
    """The first dotted number in what a command says of itself.

    >>> version("Docker version 20.10.24+dfsg1, build 5d6db84")
    '20.10.24'
    """
    found = re.search(r"\d+(?:\.\d+)+", text)
    return found.group() if found else ""
