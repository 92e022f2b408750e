"""Findings as text: for people, in the form of a compiler's messages; for programs and CI services, in their forms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from cdi_runc import __version__
from cdi_runc.ctl.output import columns, counted, painted, printable
from cdi_runc.ctl.specs.check.file import Checked
from cdi_runc.ctl.specs.check.finding import Finding
from cdi_runc.ctl.specs.check.rules import RULES

_MARGIN = len("   100 | ")
_WIDTH = 100  # of a source line that is shown, at most; some files are a single line
_ALIKE = 3  # warnings of one rule that are shown; specs for another machine have hundreds of paths


class Folding:
    """Which warnings are shown, over all files: the first few of each rule. The rest is counted."""

    def __init__(self, limit: int | None = _ALIKE) -> None:
        self.limit = limit
        self.seen: Counter[str] = Counter()

    def shown(self, finding: Finding) -> bool:
        """Is this one to be shown? Errors always are."""
        if finding.level == "error" or self.limit is None:
            return True
        self.seen[finding.rule] += 1
        return self.seen[finding.rule] <= self.limit

    def rest(self) -> Iterator[str]:
        """What is not shown, a line for each rule."""
        for rule, number in self.seen.items():
            if self.limit is not None and number > self.limit:
                yield f"{painted('warning', 'warning')}: {number - self.limit} more of {rule}: --all shows them"


def people(checked: Checked, folding: Folding) -> Iterator[str]:
    """The findings of a file, each with the line that it is about and its rule, or that there are none."""
    lines = checked.text.decode("utf-8", "replace").split("\n") if checked.findings else []
    said = False
    for finding in checked.findings:
        if not folding.shown(finding):
            continue
        said = True
        style = "problem" if finding.level == "error" else "warning"
        rule = "" if finding.rule == "spec" else painted(f" [{finding.rule}]", "faint")
        yield f"{printable(_place(finding))}: {painted(finding.level, style)}: {printable(str(finding))}{rule}"
        if finding.line and finding.column and finding.line <= len(lines):
            yield from _pointed_at(lines[finding.line - 1], finding.line, finding.column)
    if not said:
        more = f" ({counted(len(checked.findings), 'warning')} not shown)" if checked.findings else ""
        yield f"{checked.path}: {painted('valid', 'ok')}{more}"


def total(files: Sequence[Checked]) -> str:
    """How many findings there are; '' where there are files and nothing to say."""
    if not files:
        return "no spec files to check"
    levels = [finding.level for checked in files for finding in checked.findings]
    counts = [counted(levels.count(level), level) for level in ("error", "warning") if level in levels]
    return f"{', '.join(counts)} in {counted(len(files), 'file')}" if counts else ""


def data(files: Sequence[Checked]) -> list[dict[str, Any]]:
    """For programs."""
    fields = ("level", "rule", "line", "column", "field", "message")
    return [
        {
            "path": checked.path,
            "valid": checked.valid,
            "problems": [{field: getattr(finding, field) for field in fields} for finding in checked.findings],
        }
        for checked in files
    ]


def github(finding: Finding) -> str:
    """A workflow command, which GitHub shows beside the line (docs.github.com, "Workflow commands").

    >>> github(Finding("a.yaml", "error", "spec", "is missing", "kind", 1, 2))
    '::error file=a.yaml,line=1,col=2,title=spec::kind: is missing'
    """
    where = {"file": finding.path, "line": finding.line, "col": finding.column, "title": finding.rule}
    properties = ",".join(f"{name}={_escaped(str(value), ',:')}" for name, value in where.items() if value)
    return f"::{finding.level} {properties}::{_escaped(str(finding))}"


def sarif(files: Sequence[Checked]) -> dict[str, Any]:
    """A log of the Static Analysis Results Interchange Format 2.1.0 (OASIS), for code scanning."""
    findings = [finding for checked in files for finding in checked.findings]
    rules = [
        {
            "id": name,
            "shortDescription": {"text": RULES[name].summary},
            "fullDescription": {"text": RULES[name].explanation},
        }
        for name in sorted({finding.rule for finding in findings})
    ]
    driver = {"name": "cdictl", "semanticVersion": __version__, "rules": rules}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": list(map(_result, findings))}
    return {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}


def _result(finding: Finding) -> dict[str, Any]:
    import urllib.parse

    location: dict[str, Any] = {"artifactLocation": {"uri": urllib.parse.quote(finding.path)}}
    if finding.line:
        location["region"] = {"startLine": finding.line, "startColumn": finding.column}
    return {
        "ruleId": finding.rule,
        "level": finding.level,
        "message": {"text": str(finding)},
        "locations": [{"physicalLocation": location}],
    }


def _place(finding: Finding) -> str:
    return ":".join(str(part) for part in (finding.path, finding.line, finding.column) if part)


def _pointed_at(line: str, number: int, column: int) -> Iterator[str]:
    """The line and a caret below the column. Of a long line, the part around the column. A tab is one column."""
    width = min(_WIDTH, columns() - _MARGIN)
    start = max(0, column - 1 - width // 2) if len(line) > width else 0
    shown = "".join(char if char.isprintable() else " " for char in line[start : start + width].rstrip())
    yield painted(f"{number:>6} | ", "faint") + shown
    yield painted("       | ", "faint") + " " * (column - 1 - start) + painted("^", "problem")


def _escaped(text: str, more: str = "") -> str:
    for char in "%\r\n" + more:
        text = text.replace(char, f"%{ord(char):02X}")
    return text
