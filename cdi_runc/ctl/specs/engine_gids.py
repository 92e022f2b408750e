"""Whether the engines of this host can read a spec with additionalGids, which came with CDI 0.7.0.

An engine that cannot refuses the whole file, and says only that the device is unresolvable. To ask all engines for
their versions takes a third of a second. So root keeps the answer beside the snapshot, with the stamps of the engines'
programs and the start times of their daemons. When one of these changes, the engines are asked again.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress

from cdi_runc.cdi._files import read_file, replace_file
from cdi_runc.ctl.specs.check.releases import RELEASES, newest_known
from cdi_runc.engines import NAMES, engine, processes
from cdi_runc.engines.ask import binary
from cdi_runc.engines.engine import EngineError, NotInstalled
from cdi_runc.host import places, snapshot

_NEEDED = (0, 7, 0)
_ENGINES = [name for name in NAMES if name in RELEASES]
_PROGRAMS = ("dockerd", "docker", "podman", "containerd", "crio")
_FILE = "engine-gids.json"
_LARGEST = 1 << 16  # bytes
_ELF = b"\x7fELF"
_DIRECTIONS = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG")  # they lead the docker command to another daemon


def engines_take_gids() -> bool:
    """Whether no engine here would refuse it. An engine without CDI of its own gets its devices from cdi-runc."""
    before = _key()
    kept = _kept(before)
    if kept is not None:
        return kept
    taken, sure = _asked()
    if before and sure:
        _keep(before, taken)
    return taken


def _kept(key: str) -> bool | None:
    """The answer that is kept, None if there is none for the engines as they are now."""
    if not key or not places.is_host_root():
        return None
    path = os.path.join(places.SYSTEM_STATE, _FILE)
    try:
        if not snapshot.is_ours(os.lstat(places.SYSTEM_STATE)):
            return None
        data = json.loads(read_file(path, _LARGEST, links=False))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or not isinstance(data.get("taken"), bool):
        return None
    return data["taken"] if data.get("key") == key else None


def _keep(key: str, taken: bool) -> None:
    """Keep the answer. Without it, the next call only takes longer."""
    if not places.is_host_root():
        return
    with suppress(OSError):
        with suppress(FileExistsError):
            os.mkdir(places.SYSTEM_STATE, 0o700)
        if snapshot.is_ours(os.lstat(places.SYSTEM_STATE)):
            data = json.dumps({"key": key, "taken": taken}).encode()
            replace_file(os.path.join(places.SYSTEM_STATE, _FILE), data, mode=0o600, keep=False)


def _asked() -> tuple[bool, bool]:
    """What the engines say, and whether all of them have answered."""
    sure = True
    for name in _ENGINES:
        try:
            found = engine(name).find(None)
        except NotInstalled:
            continue
        except EngineError:
            sure = False
            continue
        known = newest_known(name, found.version) if found.version else None
        if known is not None and tuple(map(int, known.split("."))) < _NEEDED:
            return False, sure
    return True, sure


def _key() -> str:
    """What the answer depends on: the engines' programs, and their running daemons. '' if that can't be known.

    A script, or a link to another name, may start another program, whose change would not be seen.
    """
    programs = {}
    for name in _PROGRAMS:
        try:
            path = os.path.realpath(binary(name, name))
            with open(path, "rb") as file:
                if file.read(len(_ELF)) != _ELF or os.path.basename(path) != name:
                    return ""
        except NotInstalled:
            continue
        except OSError:
            return ""
        programs[path] = snapshot.stamp(path)
    directions: list[object] = [os.environ.get(name) for name in _DIRECTIONS]
    directions.append(snapshot.stamp(os.path.expanduser("~/.docker/config.json")))
    return json.dumps([RELEASES, programs, _daemons(), directions], sort_keys=True)


def _daemons() -> list[str]:
    """The processes with the names of engines, and when they were started. Containers may have such processes too."""
    found = [process for process in processes.trusted() if process.command in _PROGRAMS]
    return sorted(f"{each.command} {each.pid} {processes.started_ticks(each.pid)}" for each in found)
