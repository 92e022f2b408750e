"""Which executable to register with an engine for "cdi-runc around this runtime".

Every engine accepts a path without arguments. So what the path alone can't say (a runtime outside PATH, other settings)
goes into a two-line script of our own.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys

from cdi_runc.engines import PLUGINS, journal
from cdi_runc.engines.engine import EngineError, FilePlan, Put, Runtimes

WRAPPED = ("runc", "crun", "youki")  # for each there is a launcher of ours, cdi-NAME


def launcher(wraps: str, runtime: str, settings: str | None) -> tuple[str, list[FilePlan]]:
    """The path to register, and the script that has to be written for it, if it needs one.

    `wraps` is a runtime's name (`runc`, `crun`, `youki`) or absolute path, `runtime` the name that the engine gets,
    `settings` a config file of cdi-runc instead of the usual one. Raises EngineError if there is nothing to run.
    """
    if "/" not in wraps and not settings:
        return installed(f"cdi-{wraps}"), []
    arguments = [installed("cdi-runc" if "/" in wraps else f"cdi-{wraps}")]
    if "/" in wraps:
        if not (os.path.isabs(wraps) and os.access(wraps, os.X_OK) and os.path.isfile(wraps)):
            raise EngineError(f"{wraps} is not an executable: --wrap takes a runtime's name or its absolute path")
        arguments.append(f"--cdi-runtime={wraps}")
    if settings:
        arguments.append(f"--cdi-config={os.path.abspath(settings)}")
    path = os.path.join(journal.state_directory(), "bin", runtime)
    script = f'#!/bin/sh\nexec {shlex.join(arguments)} "$@"\n'
    return path, [FilePlan(path, "text", (Put((), script),), mode=0o755)]


def registered(engine: str, wraps: str, runtime: str, settings: str | None) -> tuple[str, list[FilePlan]]:
    """The same for an engine, which may be one that runs a plugin of ours and no runtime."""
    return (installed(PLUGINS[engine]), []) if engine in PLUGINS else launcher(wraps, runtime, settings)


def behind(wraps: str, known: Runtimes) -> str:
    """What an engine runs under the name `wraps`, if that is another file than the name leads to on PATH.

    CRI-O's packages, for one, have a runc and a crun of their own, in /usr/libexec/crio.
    """
    path, found = str(known.handlers.get(wraps, {}).get("path")), shutil.which(wraps)
    if not os.path.isabs(path) or not os.access(path, os.X_OK) or is_ours(path):
        return wraps
    return wraps if found and os.path.samefile(path, found) else path


def named_in(path: str) -> str | None:
    """The runtime that a script of ours names; None for all other launchers, and where it names none."""
    words = _script(path)
    return next((word.partition("=")[2] for word in words if word.startswith("--cdi-runtime=")), None)


def behind_script(path: str) -> str | None:
    """The launcher that a script of ours executes; None for all other files."""
    words = _script(path)
    return words[1] if words[:1] == ["exec"] and len(words) > 1 else None


def _script(path: str) -> list[str]:
    """The words of a script of ours; none for all other files."""
    text = journal.read(path) if path.startswith(os.path.join(journal.state_directory(), "bin/")) else None
    try:
        return shlex.split(text or "", comments=True)
    except ValueError:  # somebody has edited it
        return []


def installed(name: str) -> str:
    """Where the launcher `name` is: beside the cdictl that runs, or on PATH."""
    unusable = ""
    beside = os.path.dirname(os.path.abspath(sys.argv[0])), os.path.dirname(sys.executable)
    for folder in (*beside, *os.environ.get("PATH", os.defpath).split(":")):
        path = os.path.join(folder, name)
        if os.path.isabs(path) and os.path.isfile(path):
            if os.access(path, os.X_OK):
                return path
            unusable = unusable or path
    if unusable:
        raise EngineError(f"{unusable} can't be executed: chmod 755 {unusable}")
    raise EngineError(f"{name} is not installed: no such command beside cdictl or on PATH")


def is_ours(path: str) -> bool:
    """Whether a runtime's path is one of our launchers, or a script of ours around one."""
    name = os.path.basename(os.path.realpath(path))
    return name.startswith("cdi-") or path.startswith(os.path.join(journal.state_directory(), "bin/"))


def interpreters(path: str) -> list[str]:
    """The Pythons that are written into a launcher; none if it can't be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return re.findall(r"^_cdi_(?:python|full)='(/[^']+)'", file.read(), re.MULTILINE)
    except OSError:
        return []


def missing_runtime(wraps: str) -> list[str]:
    """A line of warning if the runtime to wrap is not on this host."""
    return [] if shutil.which(wraps) else [f"{wraps} is not on PATH: containers will not start until it is installed"]
