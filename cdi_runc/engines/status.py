"""The state of a registration: does the running engine know it, or is it only in its files?

Knows no engine by name.
"""

from __future__ import annotations

import os

from cdi_runc.engines import processes
from cdi_runc.engines.engine import Engine, EngineError, Found, Runtimes
from cdi_runc.engines.records import Registration


def verdict(engine: Engine, record: Registration) -> str:
    """What the running engine says of a registration: "knows it", or what the problem is."""
    try:
        found = engine.find(record["config"] if record["explicit"] else None)
        said = _native_in_files(engine, found) if record["native"] else _in_files(engine.runtimes(found), record)
        return said or _in_running(engine, found, record)
    except EngineError as fault:
        return str(fault)


def _in_files(known: Runtimes, record: Registration) -> str:
    """What is wrong with the files, "" if they hold the runtime."""
    name = record["runtime"]
    handler = known.handlers.get(name)
    if not handler:
        return f"does not know {name} (any more): its files do not have it"
    if handler["path"] != record["path"]:
        return f"does not know it: in its files {name} is {handler['path']}"
    if record["default"] and known.default != name:
        return f"knows it, but its default is {known.default}"
    return ""


def _native_in_files(engine: Engine, found: Found) -> str:
    return "" if engine.NATIVE.written(found) else "its own CDI is off again: its files do not turn it on"


def _in_running(engine: Engine, found: Found, record: Registration) -> str:
    if found.running is False:
        return "is not running; its files have it"
    command = engine.NATIVE.restart_command if record["native"] else engine.reload_command(found, gone=False)
    until = f" has not read its files yet: {command}" if command else " has not read its files yet"
    live = None if record["native"] else engine.live(found)
    if live is not None:
        handler = live.handlers.get(record["runtime"])
        obeys = (
            handler
            and handler["path"] == record["path"]
            and (not record["default"] or live.default == record["runtime"])
        )
        return "knows it" if obeys else until.strip()
    if record["native"] and found.running and found.cdi == "off":
        return until.strip()
    start = processes.started(found.pid) if found.pid else None
    if start is None:
        return "can't be asked whether it has read its files; they have it"
    return until.strip() if start < _changed(record) else "knows it"


def _changed(record: Registration) -> float:
    """When the last of the files was changed."""
    paths = [file["path"] for file in record["files"] if os.path.exists(file["path"])]
    return max((os.stat(path).st_mtime for path in paths), default=0)
