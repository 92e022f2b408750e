"""What `cdictl engine list` and `cdictl engine status` say of an engine and of a registration, a row each."""

from __future__ import annotations

from typing import Any

from cdi_runc.engines import engine as engine_of
from cdi_runc.engines import launcher, records
from cdi_runc.engines import status as engine_status
from cdi_runc.engines.engine import EngineError, NotInstalled


def engine_row(name: str) -> dict[str, Any] | None:
    """What `list` says of an engine, None where it isn't installed."""
    module = engine_of(name)
    row: dict[str, Any] = {"engine": name, "version": "", "binary": "", "config": "", "running": None, "cdi": ""}
    row |= {"registered": {}, "default": "", "fault": ""}
    try:
        found = module.find(None)
        row |= {"version": found.version, "binary": found.binary, "config": found.config}
        row |= {"running": found.running, "cdi": found.cdi}
        known = module.runtimes(found)
        row["registered"] = {
            runtime: str(handler["path"])
            for runtime, handler in known.handlers.items()
            if launcher.is_ours(str(handler["path"]))
        }
        row["default"] = known.default
    except NotInstalled:
        return None
    except EngineError as fault:
        row["fault"] = str(fault)
    return row


def engine_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A row of `list`, as a line of the table."""
    running = {None: "-", True: "yes", False: "no"}[row["running"]]
    registered = ", ".join(f"{name} (default)" if name == row["default"] else name for name in row["registered"])
    return row["engine"], row["version"], running, row["cdi"], registered or "-", row["config"]


def status_row(record: records.Registration, everything: list[records.Registration]) -> dict[str, Any]:
    """What `status` says of a registration; `everything` are all of them, since two may have changed one file."""
    files = [{"path": file["path"], "state": records.state(file, everything)} for file in record["files"]]
    says = engine_status.verdict(engine_of(record["engine"]), record)
    row = {key: record[key] for key in ("engine", "runtime", "path", "default", "native")}
    return {**row, "engine_says": says, "files": files}
