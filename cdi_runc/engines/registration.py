"""Register cdi-runc with an engine and take it back: the part that is the same for every engine.

An engine's `plan` says what its files are to hold. Here that is put into the files, written through the journal,
confirmed by the engine itself, and kept as a record from which `disable` puts back what was there. Knows no engine by
name.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from cdi_runc.engines import confirm, journal, records, values
from cdi_runc.engines.engine import Engine, EngineError, FilePlan, Found, NewRuntime, Runtimes
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
    new: NewRuntime,
    scripts: Sequence[FilePlan] = (),
    *,
    directory: str,
    force: bool = False,
    dry_run: bool = False,
    reload: bool = False,
) -> Outcome:
    """Put `new` into the engine's files; a second time changes nothing, and an engine that has read it isn't told.

    `scripts` are files of our own that belong to it. Raises EngineError, with everything as it was.
    """
    confirm.require_name(new.name)
    reload = reload and found.running is not False
    with _reading() if dry_run else journal.locked(directory) as said:
        others = records.registrations(directory)
        earlier = _pop(others, found, new.name)
        known = engine.runtimes(found)
        plans = [*scripts, *engine.plan(found, new, _without(known, earlier))]
        if not earlier and not force:
            confirm.require_free(known, new)
        changes, files = _planned(plans, earlier)
        record = Registration(
            engine=found.name,
            config=found.config,
            explicit=found.explicit,
            runtime=new.name,
            path=new.path,
            wraps=new.wraps,
            default=new.default,
            native=False,
            unread=bool(found.running) and not reload,
            files=files,
        )
        if dry_run or (earlier and not changes and not (reload and earlier["unread"])):
            return Outcome(changes, said)

        def check() -> None:
            confirm.require_added(known, engine.runtimes(found), new)
            if reload:
                engine.reload(found, new.name)

        _commit(
            directory,
            [*changes, records.change_of(directory, [*others, record])],
            check,
            _rereading(engine, found, reload),
        )
        return Outcome(changes, said)


def enable_native(
    engine: Engine, found: Found, *, directory: str, dry_run: bool = False, reload: bool = False
) -> Outcome:
    """Turn the engine's own CDI on. Raises EngineError, with everything as it was, also where it has none."""
    native = engine.NATIVE
    reload = reload and bool(found.running)
    with _reading() if dry_run else journal.locked(directory) as said:
        others = records.registrations(directory)
        earlier = _pop(others, found, "")
        if found.cdi == "no":
            since = f"{found.name} has it since {native.since}" if native.since else f"{found.name} has none"
            raise EngineError(f"{found.name} {found.version} has no CDI of its own ({since}): leave --native out")
        if native.plan is None or (native.written(found) and not earlier):
            return Outcome([], said)
        changes, files = _planned(native.plan(found), earlier)
        record = Registration(
            engine=found.name,
            config=found.config,
            explicit=found.explicit,
            runtime="",
            path="",
            wraps="",
            default=False,
            native=True,
            unread=bool(found.running) and not reload,
            files=files,
        )
        if dry_run or (earlier and not changes and not (reload and earlier["unread"])):
            return Outcome(changes, said)
        known = engine.runtimes(found)

        def check() -> None:
            if engine.runtimes(found) != known:
                raise EngineError("the engine would lose a runtime or some of its options")
            if not native.written(found):
                raise EngineError(f"{found.name}'s own CDI stays off: another of its config files overrides it")
            if restart := _restarting(engine, found, reload):
                restart()

        _commit(
            directory,
            [*changes, records.change_of(directory, [*others, record])],
            check,
            _restarting(engine, found, reload),
        )
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
    """Take a registration back; `found` is None where the engine itself is gone. Raises as `enable` does.

    With `force`, neither containers that use it nor the engine's own doubts stop it; the doubts are reported.
    """
    reload = reload and found is not None and found.running is not False
    with _reading() if dry_run else journal.locked(directory) as said:
        others = [other for other in records.registrations(directory) if records.key(other) != records.key(record)]
        if not force and not record["native"]:
            confirm.require_unused(engine, found, record)
        record = copy.deepcopy(record)
        records.hand_on(record, others)
        if found and reload and not dry_run and engine.TO_FORGET and not record["native"]:
            _forget(engine, found, record, others, directory)
        changes = [records.taken_back(file) for file in record["files"]]
        changes = [change for change in changes if change.before != change.after]
        if dry_run:
            return Outcome(changes, said)
        doubts: list[str] = []
        check = _gone_check(engine, found, record, reload, doubts if force else None)
        everything = [*changes, records.change_of(directory, others)]
        if found is None:
            journal.commit(directory, everything, check)
        else:
            again = (_restarting if record["native"] else _rereading)(engine, found, reload)
            _commit(directory, everything, check, again)
        return Outcome(changes, [*said, *doubts])


def _gone_check(
    engine: Engine, found: Found | None, record: Registration, reload: bool, doubts: list[str] | None
) -> Callable[[], None]:
    """What must be true after `disable`. If there is a list `doubts`, the engine's complaints go there."""

    def asked() -> Runtimes | None:
        try:
            return engine.runtimes(found) if found else None
        except EngineError as fault:
            if doubts is None:
                raise
            doubts.append(str(fault))
            return None

    before = asked()

    def check() -> None:
        after = asked()
        try:
            if before and after:
                confirm.require_gone(before, after, record)
        except EngineError as fault:
            if doubts is None:
                raise
            doubts.append(str(fault))
        if found and reload:
            _reload_without(engine, found, record)

    return check


def _reload_without(engine: Engine, found: Found, record: Registration) -> None:
    if not record["native"]:
        engine.reload(found, None)
    elif restart := _restarting(engine, found, True):
        restart()


def _rereading(engine: Engine, found: Found, reload: bool) -> Callable[[], None] | None:
    """An engine that reads its files while it runs keeps its old settings if it refuses the new ones."""
    return (lambda: engine.reload(found, None)) if reload and not engine.TO_FORGET else None


def _restarting(engine: Engine, found: Found, reload: bool) -> Callable[[], None] | None:
    """An engine reads the setting of its own CDI only when it starts."""
    restart = engine.NATIVE.restart
    return (lambda: restart(found)) if reload and restart else None


def _forget(engine: Engine, found: Found, record: Registration, others: Sequence[Registration], directory: str) -> None:
    """Have the running engine forget us, by files that for a moment name what it has without us.

    The files are then as this registration left them, so whatever happens next, `disable` knows how to go on.
    """
    changes = []
    for file in record["files"]:
        if file["syntax"] == "text" or (now := journal.read(file["path"])) is None:
            continue
        file["before"] = records.without(file, now)
        plan = FilePlan(file["path"], file["syntax"], engine.TO_FORGET)
        file["after"], _ = values.apply(plan, file["before"] or file["start"])
        changes.append(journal.change_of(file["path"], file["after"]))
    changes.append(records.change_of(directory, [*others, record]))
    journal.commit(directory, changes, lambda: engine.reload(found, None))


@contextmanager
def _reading() -> Iterator[list[str]]:
    """In place of the lock where nothing will be written."""
    yield []


def _planned(plans: Sequence[FilePlan], earlier: Registration | None) -> tuple[list[Change], list[FileRecord]]:
    """What changes in the files, also in those that only the earlier registration has; and the files' records."""
    planned = [_planned_file(plan, earlier) for plan in plans]
    files = [file for file, _ in planned]
    kept = {file["path"] for file in files}
    left_over = [file for file in earlier["files"] if file["path"] not in kept] if earlier else []
    changes = [*(change for _, change in planned), *map(records.taken_back, left_over)]
    return [change for change in changes if change.before != change.after], files


def _planned_file(plan: FilePlan, earlier: Registration | None) -> tuple[FileRecord, Change]:
    path = journal.link_target(plan.path)
    now = journal.read(path)
    old = next((file for file in earlier["files"] if file["path"] == path), None) if earlier else None
    before = records.without(old, now) if old and now is not None else now
    try:
        after, undos = values.apply(plan, plan.start if before is None else before)
    except EngineError as fault:
        raise EngineError(f"{path}: {fault}") from None
    change = journal.change_of(path, after, plan.mode)
    record = FileRecord(
        path=path,
        syntax=plan.syntax,
        start=plan.start,
        before=before,
        after=after,
        mode=change.mode,
        owner=list(change.owner) if change.owner else None,
        made=old["made"] if old else list(change.made),
        undos=undos,
    )
    return record, change


def _commit(
    directory: str, changes: Sequence[Change], check: Callable[[], None], again: Callable[[], None] | None
) -> None:
    """Write the changes and let the engine confirm them. If it refuses them, `again` makes it read the old files."""
    try:
        journal.commit(directory, changes, check)
    except journal.NotRestored:
        raise
    except EngineError as fault:
        if again:
            try:
                again()
            except EngineError:
                pass  # it did not read the new files, or says the same again
        raise EngineError(f"{fault} (nothing was changed)") from None


def _without(known: Runtimes, earlier: Registration | None) -> Runtimes:
    if not earlier:
        return known
    return Runtimes(known.default, {name: how for name, how in known.handlers.items() if name != earlier["runtime"]})


def _pop(others: list[Registration], found: Found, runtime: str) -> Registration | None:
    """Take the registration of that name out of the list."""
    wanted = (found.name, found.config, runtime)
    earlier = next((record for record in others if records.key(record) == wanted), None)
    if earlier:
        others.remove(earlier)
    return earlier
