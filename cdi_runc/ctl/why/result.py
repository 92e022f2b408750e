"""What a check of `cdictl doctor` finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Level = Literal["problem", "warning", "ok"]


@dataclass(frozen=True)
class Result:
    """`mend` is the command that fixes it; `fix` does the same, if that is safe to do without asking.

    `check` names the check for programs; it stays the same in all versions of cdictl.
    """

    level: Level
    topic: str
    text: str
    mend: str = ""
    fix: Callable[[], object] | None = None
    check: str = ""
