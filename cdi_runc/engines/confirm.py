"""Is a change of an engine's files right? What the engine itself says before and after the change decides.

Knows no engine by name and no file.
"""

from __future__ import annotations

import re

from cdi_runc.engines import monitors
from cdi_runc.engines.engine import Engine, EngineError, Found, NewRuntime, Runtimes
from cdi_runc.engines.records import Registration

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def require_name(name: str) -> None:
    """Refuse a name that no engine accepts for a runtime, or that users could not type."""
    if not _NAME.fullmatch(name):
        raise EngineError(
            f"--runtime-name {name!r} is not a runtime's name: use letters, digits, dots, dashes and underscores"
        )


def require_free(known: Runtimes, new: NewRuntime) -> None:
    """Refuse a name that another runtime has."""
    handler = known.handlers.get(new.name)
    if handler and handler["path"] != new.path:
        taken = f"the name {new.name} is taken by {handler['path'] or 'another runtime'}"
        raise EngineError(f"{taken}: use another --runtime-name, or --force to replace it until `disable`")


def require_unused(engine: Engine, found: Found | None, record: Registration) -> None:
    """Refuse to remove what running containers, or pods that are kept, still need."""
    if in_use := monitors.using([record["path"]], engine.owns_monitor):
        raise EngineError(f"running containers use {record['runtime']} ({_some(in_use)}): stop them, or --force")
    if found and (pods := engine.pods_of(found, record["runtime"])):
        raise EngineError(
            f"{found.name} has pods of {record['runtime']} ({_some(pods)}), which it could not remove any more:"
            " delete them first, or --force"
        )


def require_added(before: Runtimes, after: Runtimes, new: NewRuntime) -> None:
    """Refuse a change after which the engine does not find the new runtime, or has lost something else."""
    _require_others(before, after, new.name)
    handler = after.handlers.get(new.name)
    if not handler or handler["path"] != new.path:
        words = (handler or {}).get("fault") or "another of its config files overrides it"
        raise EngineError(f"the engine does not find {new.name}: {words}")
    if new.default and after.default != new.name:
        raise EngineError(f"the engine's default runtime stays {after.default}: another of its config files says so")


def require_gone(before: Runtimes, after: Runtimes, record: Registration) -> None:
    """Refuse a change after which the engine still has our runtime, though we put it there, or has lost another."""
    name = record["runtime"]
    _require_others(before, after, name)
    handler = after.handlers.get(name)
    if handler and handler["path"] == record["path"] and any(file["undos"] for file in record["files"]):
        raise EngineError(
            f"the engine still has the runtime {name}: someone has moved it, or has it in another file; take it out"
            " there, then repeat this"
        )


def _require_others(before: Runtimes, after: Runtimes, name: str) -> None:
    for other, handler in before.handlers.items():
        if other != name and after.handlers.get(other) != handler:
            raise EngineError(f"the engine would lose the runtime {other} or some of its options")
    if after.default != before.default and name not in (before.default, after.default):
        raise EngineError(f"the engine's default runtime would change from {before.default} to {after.default}")


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:5]) + (" ..." if len(ids) > 5 else "")
