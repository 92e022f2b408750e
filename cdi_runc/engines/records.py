"""What is registered: a record for each, with what was in every file before, and how to take it out again.

The records are plain data, kept as JSON beside the journal. Knows no engine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict, cast

from cdi_runc.engines import journal, values
from cdi_runc.engines.engine import EngineError
from cdi_runc.engines.journal import Change


class FileRecord(TypedDict):
    """One file that a registration changed."""

    path: str
    syntax: Literal["json", "toml", "text"]
    start: str
    before: str | None
    after: str
    mode: int
    owner: list[int] | None
    made: list[str]
    undos: list[values.Undo]


class Registration(TypedDict):
    """cdi-runc under one name in one engine's config; or the engine's own CDI, turned on by us (`native`)."""

    engine: str
    config: str
    explicit: bool
    runtime: str  # "" if native
    path: str  # "" if native
    wraps: str
    default: bool
    native: bool
    unread: bool  # written while the engine ran, and it hasn't been told
    files: list[FileRecord]


# What a record must have, and of which type. A later version may have written more.
_RECORD = {"engine": str, "config": str, "runtime": str, "path": str, "files": list}
_FILE = {"path": str, "syntax": str, "after": str, "undos": list}
_UNDO = {"keys": list, "value": object, "how": str, "had": bool, "parents": int}


def registrations(directory: str, engine: str | None = None) -> list[Registration]:
    """What is registered, all engines or one; raises EngineError for a damaged file."""
    path = _path(directory)
    text = journal.read(path)
    if text is None:
        return []
    try:
        records = [_record(entry) for entry in _list_of(json.loads(text))]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise EngineError(
            f"{path} is damaged, so nobody knows what `engine enable` wrote: take cdi-runc out of the engines' files by"
            " hand (cdictl engine list names them), then remove this file"
        ) from None
    return [record for record in records if engine in (None, record["engine"])]


def _record(entry: object) -> Registration:
    """A record as it was read, with what an older version did not write."""
    record: Any = {"explicit": False, "wraps": "", "default": False, "native": False, "unread": False}
    record |= _checked(entry, _RECORD)
    record["files"] = [_file(file) for file in record["files"]]
    return cast("Registration", record)


def _file(entry: object) -> FileRecord:
    file: Any = {"start": "", "before": None, "mode": 0o644, "owner": None, "made": []} | _checked(entry, _FILE)
    file["undos"] = [{"old": None, "header": False} | _checked(undo, _UNDO) for undo in file["undos"]]
    return cast("FileRecord", file)


def _checked(entry: object, types: Mapping[str, type]) -> dict[str, object]:
    if not isinstance(entry, dict) or not all(isinstance(entry[name], kind) for name, kind in types.items()):
        raise TypeError(entry)
    return entry


def _list_of(data: object) -> list[object]:
    if not isinstance(data, list):
        raise TypeError(data)
    return data


def key(record: Registration) -> tuple[str, str, str]:
    """What tells one registration from another."""
    return record["engine"], record["config"], record["runtime"]


def _path(directory: str) -> str:
    return os.path.join(directory, "registrations.json")


def change_of(directory: str, records: Sequence[Registration]) -> Change:
    """The change that makes these the registrations."""
    text = json.dumps(records, indent=1) + "\n" if records else None
    return journal.change_of(_path(directory), text, 0o600)


def state(file: FileRecord, others: Sequence[Registration] = ()) -> str:
    """The state of a registration's file: "as we left it", "changed since", "taken out", "gone".

    `others` are registrations that may have changed the same file later.
    """
    now = journal.read(file["path"])
    if now is None:
        return "gone"
    if now == file["after"] or any(now == each["after"] for other in others for each in other["files"]):
        return "as we left it"
    return "taken out" if without(file, now) == now else "changed since"


def taken_back(file: FileRecord) -> Change:
    """The change that makes a file what it would be without the registration."""
    now = journal.read(file["path"])
    change = journal.change_of(file["path"], None if now is None else without(file, now))
    return Change(change.path, change.before, change.after, change.mode, change.owner, tuple(file["made"]))


def without(file: FileRecord, now: str) -> str | None:
    """The text without what the registration put in: the very bytes from before, unless someone has edited it since."""
    if now == file["after"]:
        return file["before"]
    try:
        rest = values.take_out(file["syntax"], now, file["undos"])
        ours = file["before"] is None and (rest == file["start"] or values.is_empty(file["syntax"], rest))
    except EngineError as fault:
        raise EngineError(f"{file['path']}: {fault}") from None
    return None if ours else rest


def hand_on(record: Registration, others: Sequence[Registration]) -> None:
    """Give other registrations what they need of this one.

    A value that is there for the sake of others stays as long as one needs it, and so does a table that was made for
    this one. If another registration would one day restore a value of this one (the default runtime), it gets the value
    from before this one. The last registration below a folder removes the folder.
    """
    for file in record["files"]:
        for later in (later for other in others for later in other["files"]):
            shared_folders = [folder for folder in file["made"] if later["path"].startswith(f"{folder}/")]
            later["made"] = shared_folders + [folder for folder in later["made"] if folder not in shared_folders]
        for later in (later for other in others for later in other["files"] if later["path"] == file["path"]):
            _hand_on_values(file, later)


def _hand_on_values(file: FileRecord, later: FileRecord) -> None:
    for undo in list(file["undos"]):
        if undo["how"] == "if-absent":
            file["undos"].remove(undo)
            later["undos"].insert(0, undo)
        for other in later["undos"]:
            if other["keys"][: undo["parents"] + 1] == undo["keys"][: undo["parents"] + 1]:
                other["parents"] = min(other["parents"], undo["parents"])
            if other["keys"] == undo["keys"] and other["had"] and other["old"] == undo["value"]:
                other["had"], other["old"], other["parents"] = undo["had"], undo["old"], undo["parents"]
