"""The rules by which `cdictl validate` finds something: their names, which stay the same, and what they mean."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cdi_runc.ctl.specs.check.finding import Level, rule_of
from cdi_runc.ctl.specs.check.host import HOST
from cdi_runc.ctl.specs.check.practice import PRACTICE
from cdi_runc.ctl.specs.check.text import TEXT


@dataclass(frozen=True)
class Rule:
    """A rule. `level` is what its findings are unless an option raises it; `always`: they can't be ignored."""

    name: str
    level: Level
    explanation: str
    always: bool = False

    @property
    def summary(self) -> str:
        """The explanation's first sentence."""
        return self.explanation.partition(". ")[0].partition(".\n")[0].rstrip(".") + "."


_OTHERS = (
    Rule(
        "spec",
        "error",
        "The file is not a spec: it is not YAML, or it breaks a rule of SPEC.md or the schema. No engine uses it.",
        always=True,
    ),
    Rule("unreadable", "error", "The file or directory cannot be read.", always=True),
    Rule(
        "conflict",
        "error",
        "Two files of one directory define the same device. Nobody can have it, not from other directories either.",
        always=True,
    ),
    Rule(
        "too-new",
        "error",
        "The engine that --for names does not know the version of the spec. It refuses the whole file.",
    ),
    Rule(
        "never-read",
        "warning",
        "Engines read only files whose names end in .yaml or .json, in lower case. They read no directory that is in a "
        "spec directory.",
    ),
    Rule(
        "writable-by-all",
        "warning",
        "Anyone may write to the file or directory. A hook in a spec runs as root, so anyone can become root.",
    ),
)


_CHECKS: tuple[Callable[..., Any], ...] = (*PRACTICE, *HOST, *TEXT)


def _of_check(check: Callable[..., Any]) -> Rule:
    return Rule(rule_of(check), "warning", inspect.getdoc(check) or "")


RULES = {
    rule.name: rule for rule in sorted((*_OTHERS, *(_of_check(check) for check in _CHECKS)), key=lambda rule: rule.name)
}
