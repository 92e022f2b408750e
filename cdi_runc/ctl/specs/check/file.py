"""All checks of spec files and of directories with them, from the file system to the findings."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cdi_runc import CDIError, InvalidSpec, parse_spec, qualified_name
from cdi_runc.cdi.names import split_kind
from cdi_runc.cdi.registry import spec_files
from cdi_runc.cdi.spec import field_text, foreign_target, hidden_problem, locator, read_file
from cdi_runc.ctl.specs.check.finding import Check, Finding, Level, rule_of
from cdi_runc.ctl.specs.check.host import HOST
from cdi_runc.ctl.specs.check.practice import PRACTICE
from cdi_runc.ctl.specs.check.releases import too_new
from cdi_runc.ctl.specs.check.text import TEXT

ENDINGS = (".yaml", ".json")  # of the files that engines read


@dataclass(frozen=True)
class Wanted:
    """What is to be checked besides the standard: `host`: everything must be there now; `engines`: name and release.

    `ignored` are the rules that say nothing.
    """

    host: bool = False
    engines: Sequence[tuple[str, str]] = ()
    ignored: frozenset[str] = frozenset()


@dataclass
class Checked:
    """A file or directory with its findings. `text` is what was read, `spec` what it says, if it says anything."""

    path: str
    findings: list[Finding]
    text: bytes = b""
    spec: Any = None

    @property
    def valid(self) -> bool:
        """Whether there are no errors."""
        return all(finding.level != "error" for finding in self.findings)


def check_all(paths: Iterable[str], wanted: Wanted) -> Iterator[Checked]:
    """Each file, each directory with its files, and `-`, the standard input."""
    for path in paths:
        found = check_directory(path, wanted) if os.path.isdir(path) else [check_file(path, wanted)]
        for checked in found:
            checked.findings = [finding for finding in checked.findings if finding.rule not in wanted.ignored]
            if checked.findings or not os.path.isdir(checked.path):
                yield checked


def check_directory(directory: str, wanted: Wanted) -> Iterator[Checked]:
    """The spec files of a directory, then the directory itself."""
    findings = list(_writable_by_all(directory))
    try:
        files = [check_file(path, wanted) for path in spec_files(directory)]
    except CDIError as fault:
        files = []
        findings.append(Finding(directory, "error", "unreadable", str(fault).removeprefix(f"{directory}: ")))
    else:
        findings += _never_read_in(directory)
    _add_conflicts(files)
    yield from files
    if findings:
        yield Checked(directory, findings)


def check_file(path: str, wanted: Wanted) -> Checked:
    """One file, or the standard input as `-`: all errors, or if there are none all that deserves a warning."""
    checked = Checked(path, [])
    try:
        checked.text = sys.stdin.buffer.read() if path == "-" else read_file(path)
        checked.spec = parse_spec(checked.text)
    except InvalidSpec as fault:
        target = None if path == "-" else foreign_target(path)
        for problem in [hidden_problem(target)] if target else fault.problems:
            finding = Finding(path, "error", "spec", problem.message, problem.field, problem.line, problem.column)
            checked.findings.append(finding)
        return checked
    except OSError as fault:
        checked.findings.append(Finding(path, "error", "unreadable", f"cannot be read: {fault.strerror}"))
        return checked
    checked.findings = [*_spec_findings(checked, wanted), *_text_findings(checked)]
    checked.findings.sort(key=lambda finding: (finding.line or 0, finding.column or 0))
    if path != "-":
        checked.findings += [*_never_read(path), *_writable_by_all(path)]
    return checked


def _spec_findings(checked: Checked, wanted: Wanted) -> Iterator[Finding]:
    place = locator(checked.text)
    levels: dict[tuple[Check, ...], Level] = {PRACTICE: "warning", HOST: "error" if wanted.host else "warning"}
    for checks, level in levels.items():
        for check in checks:
            for where, message in check(checked.spec):
                yield Finding(checked.path, level, rule_of(check), message, field_text(where), *place(where))
    for engine, release in wanted.engines:
        for where, message in too_new(checked.spec, engine, release):
            yield Finding(checked.path, "error", "too-new", message, field_text(where), *place(where))


def _text_findings(checked: Checked) -> Iterator[Finding]:
    text = checked.text.decode().removeprefix("\ufeff")
    for check in TEXT:
        for where, at, message in check(checked.path, text):
            line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
            yield Finding(checked.path, "warning", rule_of(check), message, field_text(where), line, column)


def _never_read_in(directory: str) -> Iterator[Finding]:
    """Names that look like spec files but are not, and directories with specs."""
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        if os.path.isdir(path) and not os.path.islink(path):
            if any(each.endswith(ENDINGS) for each in _names(path)):
                yield Finding(
                    path, "warning", "never-read", "the specs in a directory below a spec directory are not read"
                )
        else:
            yield from _never_read(path)


def _never_read(path: str) -> Iterator[Finding]:
    if path.lower().endswith((".yml", *ENDINGS)) and not path.endswith(ENDINGS):
        yield Finding(path, "warning", "never-read", "engines read only files whose names end in .yaml or .json")


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _writable_by_all(path: str) -> Iterator[Finding]:
    """Who may write a spec may have any program run as root, by a hook."""
    mode = os.stat(path).st_mode
    if mode & stat.S_IWOTH and not (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
        yield Finding(path, "warning", "writable-by-all", f"anyone may write to it: chmod o-w {path}")


def _add_conflicts(files: Sequence[Checked]) -> None:
    """If two files of one directory define a device, no container can have it."""
    first: dict[str, str] = {}
    for checked in files:
        spec = checked.spec
        place = locator(checked.text) if spec else None
        for number, device in enumerate(spec["devices"] if spec else ()):
            name = qualified_name(*split_kind(spec["kind"]), device["name"])
            other = first.setdefault(name, checked.path)
            if other != checked.path and place:
                where = ("devices", number, "name")
                message = f"{name} is in conflict: {other} defines it too, so it can't be had"
                found = Finding(checked.path, "error", "conflict", message, field_text(where), *place(where))
                checked.findings.append(found)
