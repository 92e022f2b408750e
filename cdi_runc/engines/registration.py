"""Register cdi-runc with an engine and take it back: the part that is the same for every engine.

An engine's `plan` says what is to stand where. Here it is put into the files, written through the journal, confirmed by
the engine itself, and kept as a record from which `disable` puts back what was there. Knows no engine by name.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from cdi_runc.engines import journal, monitors, records, values
from cdi_runc.engines.engine import Engine, EngineError, FilePlan, Found, Runtimes, Wish
from cdi_runc.engines.journal import Change
from cdi_runc.engines.records import FileRecord, Registration


@dataclass(frozen=True)
class Outcome:
    """What a call changed, or would change in a dry run, and what it has to say, a line each."""

    changes: Sequence[Change]
    said: Sequence[str] = ()

    def diff(self) -> str:
        """The changes as a unified diff."""
        lines: list[str] = []
        for change in self.changes:
            before, after = ((text or "").splitlines(keepends=True) for text in (change.before, change.after))
            from_, to = (change.path if text is not None else "/dev/null" for text in (change.before, change.after))
            lines += difflib.unified_diff(before, after, from_, to)
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def enable(
    engine: Engine,
    found: Found,
    wish: Wish,
    scripts: Sequence[FilePlan] = (),
    *,
    directory: str,
    force: bool = False,
    dry_run: bool = False,
    reload: bool = False,
) -> Outcome:
    """Make `wish` true in the engine's files; a second time changes nothing, and an engine that has read it isn't told.

    `scripts` are files of our own that belong to it. Raises EngineError, with everything as it was.
    """
    reload = reload and found.running is not False
    with _reading() if dry_run else journal.locked(directory) as said:
        others = records.registrations(directory)
        mine = _pop(others, found, wish.runtime)
        known = engine.runtimes(found)
        _refuse_taken(known, wish, mine, force)
        planned = [_planned(plan, mine) for plan in [*scripts, *engine.plan(found, wish, _without(known, mine))]]
        files = [file for file, _ in planned]
        changes = [*(change for _, change in planned), *_left_over(mine, files)]
        changes = [change for change in changes if change.before != change.after]
        record = Registration(
            engine=found.name,
            config=found.config,
            explicit=found.explicit,
            runtime=wish.runtime,
            path=wish.path,
            wraps=wish.wraps,
            default=wish.default,
            unread=bool(found.running) and not reload,
            files=files,
        )
        if dry_run or (mine and not changes and not (reload and mine["unread"])):
            return Outcome(changes, said)
        everything = [*changes, records.change_of(directory, [*others, record])]
        _commit(engine, found, directory, everything, known, wish, reload)
        return Outcome(changes, said)


def disable(
    engine: Engine,
    found: Found | None,
    record: Registration,
    *,
    directory: str,
    force: bool = False,
    dry_run: bool = False,
    reload: bool = False,
) -> Outcome:
    """Take a registration back; `found` is None where the engine itself is gone. Raises as `enable` does."""
    reload = reload and found is not None and found.running is not False
    with _reading() if dry_run else journal.locked(directory) as said:
        others = [other for other in records.registrations(directory) if records.key(other) != records.key(record)]
        if not force:
            _refuse_needed(engine, found, record)
        record = copy.deepcopy(record)
        records.bequeath(record, others)
        if found and reload and not dry_run and engine.PARTING:
            _part(engine, found, record, others, directory)
        changes = [records.taken_back(file) for file in record["files"]]
        changes = [change for change in changes if change.before != change.after]
        if dry_run:
            return Outcome(changes, said)
        everything = [*changes, records.change_of(directory, others)]
        if found is None:
            journal.commit(directory, everything, lambda: None)
        else:
            _commit(engine, found, directory, everything, engine.runtimes(found), None, reload, gone=record["runtime"])
        return Outcome(changes, said)


def _part(engine: Engine, found: Found, record: Registration, others: Sequence[Registration], directory: str) -> None:
    """Have the running engine forget us while the files still say so outright.

    The files are then as this registration left them, so whatever happens next, `disable` knows how to go on.
    """
    changes = []
    for file in record["files"]:
        if file["syntax"] == "text" or (now := journal.read(file["path"])) is None:
            continue
        file["before"] = records.base(file, now)
        plan = FilePlan(file["path"], file["syntax"], engine.PARTING)
        file["after"], _ = values.apply(plan, file["before"] or file["start"])
        changes.append(journal.change_of(file["path"], file["after"]))
    changes.append(records.change_of(directory, [*others, record]))
    journal.commit(directory, changes, lambda: engine.reload(found, None))


@contextmanager
def _reading() -> Iterator[list[str]]:
    """In place of the lock where nothing will be written."""
    yield []


def _refuse_taken(known: Runtimes, wish: Wish, mine: Registration | None, force: bool) -> None:
    handler = known.handlers.get(wish.runtime)
    if handler and not mine and not force and handler["path"] != wish.path:
        raise EngineError(
            f"the name {wish.runtime} is taken by {handler['path'] or 'another'}: use --runtime-name, or --force"
        )


def _refuse_needed(engine: Engine, found: Found | None, record: Registration) -> None:
    def some(ids: Sequence[str]) -> str:
        return ", ".join(ids[:5]) + (" ..." if len(ids) > 5 else "")

    if in_use := monitors.using([record["path"]], engine.mine):
        raise EngineError(f"running containers use {record['runtime']} ({some(in_use)}): stop them, or --force")
    if found and (kept := engine.kept(found, record["runtime"])):
        raise EngineError(
            f"{found.name} has pods of {record['runtime']} ({some(kept)}), which it could not remove any more:"
            " delete them first, or --force"
        )


def _planned(plan: FilePlan, mine: Registration | None) -> tuple[FileRecord, Change]:
    path = journal.followed(plan.path)
    now = journal.read(path)
    old = next((file for file in mine["files"] if file["path"] == path), None) if mine else None
    base = records.base(old, now) if old and now is not None else now
    try:
        after, undos = values.apply(plan, plan.start if base is None else base)
    except EngineError as fault:
        raise EngineError(f"{path}: {fault}") from None
    change = journal.change_of(path, after, plan.mode)
    record = FileRecord(
        path=path,
        syntax=plan.syntax,
        start=plan.start,
        before=base,
        after=after,
        mode=change.mode,
        owner=list(change.owner) if change.owner else None,
        made=old["made"] if old else list(change.made),
        undos=undos,
    )
    return record, change


def _left_over(mine: Registration | None, files: Sequence[FileRecord]) -> list[Change]:
    """What has to be taken back of files that an earlier registration of the name had and this one hasn't."""
    kept = {file["path"] for file in files}
    return [records.taken_back(file) for file in mine["files"] if file["path"] not in kept] if mine else []


def _commit(
    engine: Engine,
    found: Found,
    directory: str,
    changes: Sequence[Change],
    known: Runtimes,
    wish: Wish | None,
    reload: bool,
    gone: str | None = None,
) -> None:
    """Write the changes and let the engine confirm them; one that choked on them gets the old files to read."""

    def confirm() -> None:
        _confirm(known, engine.runtimes(found), wish, gone)
        if reload:
            engine.reload(found, wish.runtime if wish else None)

    try:
        journal.commit(directory, changes, confirm)
    except EngineError as fault:
        if reload and not engine.PARTING:  # one that reads its files as it runs keeps the old settings by itself
            try:
                engine.reload(found, None)
            except EngineError:
                pass  # it never got as far as reading the new files, or says the same again
        raise EngineError(f"{fault} (nothing was changed)") from None


def _confirm(before: Runtimes, after: Runtimes, wish: Wish | None, gone: str | None) -> None:
    """What the engine reads now is what it read before, but for our own runtime and a default that was asked for."""
    name = wish.runtime if wish else gone
    others, now = ({k: v for k, v in side.handlers.items() if k != name} for side in (before, after))
    for other in others:
        if now.get(other) != others[other]:
            raise EngineError(f"the engine would lose the runtime {other} or some of its options")
    handler = after.handlers.get(name or "")
    if wish and (not handler or handler["path"] != wish.path):
        words = (handler or {}).get("fault") or "another of its config files has the last word"
        raise EngineError(f"the engine does not find {wish.runtime}: {words}")
    if wish and wish.default and after.default != wish.runtime:
        raise EngineError(f"the engine's default runtime stays {after.default}: another of its config files says so")
    if after.default != before.default and name not in (before.default, after.default):
        raise EngineError(f"the engine's default runtime would change from {before.default} to {after.default}")


def _without(known: Runtimes, mine: Registration | None) -> Runtimes:
    if not mine:
        return known
    return Runtimes(known.default, {name: how for name, how in known.handlers.items() if name != mine["runtime"]})


def _pop(others: list[Registration], found: Found, runtime: str) -> Registration | None:
    wanted = (found.name, found.config, runtime)
    mine = next((record for record in others if records.key(record) == wanted), None)
    if mine:
        others.remove(mine)
    return mine
