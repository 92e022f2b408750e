"""One thing to say about a spec file, and the shape of the checks that say it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from cdi_runc.cdi.versions import Path

Level = Literal["error", "warning"]

# A check takes a spec as `parse_spec` gives it, and yields where something is to be said, and what.
Remark: TypeAlias = "tuple[Path, str]"
Check: TypeAlias = Callable[[Any], Iterator[Remark]]


@dataclass(frozen=True)
class Finding:
    """`line` and `column` count from 1, None where no place is to be named; `field` is as in `devices[0].name`.

    `rule` names the kind of finding, the same in all versions of cdictl.
    """

    path: str
    level: Level
    rule: str
    message: str
    field: str = ""
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


def rule_of(check: Callable[..., Any]) -> str:
    """The name of what a check finds, which is the check's own."""
    return check.__name__.replace("_", "-")


def each_edits(spec: Any) -> Iterator[tuple[Path, Any]]:
    """The container edits of a spec, its own and each device's, with their places."""
    if "containerEdits" in spec:
        yield ("containerEdits",), spec["containerEdits"]
    for place, device in enumerate(spec["devices"]):
        yield ("devices", place, "containerEdits"), device.get("containerEdits", {})


def each_edit(spec: Any, kind: str) -> Iterator[tuple[Path, Any]]:
    """The edits of one kind (`mounts`, `env`), with their places."""
    for path, edits in each_edits(spec):
        for place, edit in enumerate(edits.get(kind, ())):
            yield (*path, kind, place), edit
