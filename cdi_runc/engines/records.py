"""What is registered: a record for each, with what stood in every file before, and how to take it out again.

The records are plain data, kept as JSON beside the journal. Knows no engine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Literal, TypedDict

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
    """cdi-runc under one name in one engine's config."""

    engine: str
    config: str
    explicit: bool
    runtime: str
    path: str
    wraps: str
    default: bool
    unread: bool  # written while the engine ran, and it hasn't been told
    files: list[FileRecord]


def registrations(directory: str, engine: str | None = None) -> list[Registration]:
    """What is registered, all engines or one."""
    text = journal.read(_path(directory))
    records: list[Registration] = json.loads(text) if text else []
    return [record for record in records if engine in (None, record["engine"])]


def key(record: Registration) -> tuple[str, str, str]:
    """What tells one registration from another."""
    return record["engine"], record["config"], record["runtime"]


def _path(directory: str) -> str:
    return os.path.join(directory, "registrations.json")


def change_of(directory: str, records: Sequence[Registration]) -> Change:
    """The change that makes these the registrations."""
    text = json.dumps(records, indent=1) + "\n" if records else None
    return journal.change_of(_path(directory), text, 0o600)


def state(file: FileRecord) -> str:
    """How a registration's file stands now: "as we left it", "changed since", "taken out", "gone"."""
    now = journal.read(file["path"])
    if now is None:
        return "gone"
    if now == file["after"]:
        return "as we left it"
    return "taken out" if base(file, now) == now else "changed since"


def taken_back(file: FileRecord) -> Change:
    """The change that makes a file what it would be without the registration."""
    now = journal.read(file["path"])
    change = journal.change_of(file["path"], None if now is None else base(file, now))
    return Change(change.path, change.before, change.after, change.mode, change.owner, tuple(file["made"]))


def base(file: FileRecord, now: str) -> str | None:
    """The text without what the registration put in: the very bytes from before, unless someone has edited it since."""
    if now == file["after"]:
        return file["before"]
    try:
        rest = values.take_out(file["syntax"], now, file["undos"])
        ours = file["before"] is None and (rest == file["start"] or values.is_empty(file["syntax"], rest))
    except EngineError as fault:
        raise EngineError(f"{file['path']}: {fault}") from None
    return None if ours else rest


def bequeath(record: Registration, others: Sequence[Registration]) -> None:
    """Hand on what other registrations rely on.

    A spare value stays as long as one needs it, and so does a table that was made for this one. Where another would one
    day restore a value that came from this one (the default runtime), it restores what was there before. A folder that
    was made for this one is the last one's to remove.
    """
    for file in record["files"]:
        for heir in (heir for other in others for heir in other["files"]):
            shared_folders = [folder for folder in file["made"] if heir["path"].startswith(f"{folder}/")]
            heir["made"] = shared_folders + [folder for folder in heir["made"] if folder not in shared_folders]
        for heir in (heir for other in others for heir in other["files"] if heir["path"] == file["path"]):
            for undo in list(file["undos"]):
                if undo["how"] == "spare":
                    file["undos"].remove(undo)
                    heir["undos"].insert(0, undo)
                for later in heir["undos"]:
                    if later["keys"][: undo["parents"] + 1] == undo["keys"][: undo["parents"] + 1]:
                        later["parents"] = min(later["parents"], undo["parents"])
                    if later["keys"] == undo["keys"] and later["had"] and later["old"] == undo["value"]:
                        later["had"], later["old"], later["parents"] = undo["had"], undo["old"], undo["parents"]
