"""Remove one installation of cdi-runc from every engine of the host, before it is uninstalled.

Without cdi-runc, an engine could not even stop the containers that run with it. Another installation's registrations
are not touched, and neither is an engine's own CDI: that works without us. Knows no engine by name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence

from cdi_runc.engines import journal, launcher, records
from cdi_runc.engines.engine import EngineError
from cdi_runc.engines.records import Registration

Run = Callable[[Sequence[str]], object]


def withdraw(folder: str, directory: str, restart: bool, run: Run = subprocess.run) -> str:
    """Take the launchers in `folder` out of the engines; says what is in the way of their removal, "" if nothing is.

    `directory` has the records, and is removed if nothing is left in it. `restart`: the engines shall read their files
    at once. `run` runs a command of cdictl.
    """
    try:
        for line in journal.recover_pending(directory):
            print(line, flush=True)
        for record in _ours(folder, directory):
            where = ["--config", record["config"]] if record["explicit"] else []
            command = ["disable", record["engine"], "--runtime-name", record["runtime"], *where]
            run([os.path.join(folder, "cdictl"), "engine", *command, *(["--restart"] if restart else [])])
        if _ours(folder, directory):
            return "not removed, since an engine still needs it"
        if os.path.lexists(journal.pending_path(directory)):
            return f"not removed, since a file is not as it was before: see {journal.pending_path(directory)}"
        left = records.registrations(directory)
        for record in left:
            if record["native"]:
                print(f"{record['engine']}: its own CDI stays on, it works without cdi-runc", flush=True)
        if not left:
            shutil.rmtree(directory, ignore_errors=True)
    except EngineError as fault:
        return f"not removed: {fault}"
    return ""


def _ours(folder: str, directory: str) -> list[Registration]:
    found = records.registrations(directory)
    return [record for record in found if not record["native"] and _is_in(folder, record["path"])]


def _is_in(folder: str, path: str) -> bool:
    """Does this path, or the script of ours at this path, lead to a launcher in the folder?"""
    target = launcher.behind_script(path) or path
    return os.path.realpath(os.path.dirname(target)) == os.path.realpath(folder)
