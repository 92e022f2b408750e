"""What changes in an OCI config, as JSON patches (RFC 6902), each change with the edits that it comes from.

Knows data and container edits; the edits are made by the shim's own code, and nothing here writes a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from cdi_runc.host.places import in_user_namespace
from cdi_runc.shim.outcome import outcome

Operation = dict[str, Any]  # as in RFC 6902; one that takes something away has it, besides, under `was`


@dataclass(frozen=True)
class Step:
    """What one group of edits changes: the spec file's own (`device` is '') or a device's of that file."""

    spec: str
    device: str
    operations: Sequence[Operation]

    @property
    def provenance(self) -> str:
        """Where the edits come from, in words."""
        if not self.spec:
            return "cdi-runc itself"
        return f"{self.device}, {self.spec}" if self.device else f"every device of {self.spec}"


def steps(config: dict[str, Any], groups: Sequence[tuple[str, Any]], files: dict[str, str]) -> list[Step]:
    """What each group (source and edits, from `injection.resolve`) changes in the config, one after the other.

    `files` has the spec file of each device. The config stays as it is. Raises InjectionError.
    """
    outcome(config, groups, in_user_namespace)  # all or nothing: if one fails, none is shown
    found = []
    before = config
    for number, (whose, _) in enumerate(groups, 1):
        after = outcome(config, groups[:number], in_user_namespace)
        operations = list(patch(before, after))
        if operations:
            device = whose if whose in files else ""
            found.append(Step(files.get(whose, whose), device, operations))
        before = after
    return found


def patch(before: Any, after: Any, pointer: str = "") -> Iterator[Operation]:
    """The operations that make `after` of `before`, to be made in their order.

    >>> list(patch({"a": [1]}, {"a": [1, 2]}))
    [{'op': 'add', 'path': '/a/1', 'value': 2}]
    """
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            place = f"{pointer}/{_escaped(key)}"
            if key not in after:
                yield {"op": "remove", "path": place, "was": before[key]}
            elif key not in before:
                yield {"op": "add", "path": place, "value": after[key]}
            else:
                yield from patch(before[key], after[key], place)
    elif isinstance(before, (list, tuple)) and isinstance(after, (list, tuple)):
        yield from _list_patch(before, after, pointer)
    elif before != after or type(before) is not type(after):
        yield {"op": "replace", "path": pointer, "value": after, "was": before}


def diff_lines(operation: Operation) -> Iterator[tuple[str, str]]:
    """An operation as people read it: a sign (+, -) and the value at its place, items of lists in one line.

    >>> list(diff_lines({"op": "add", "path": "/process", "value": {"env": ["A=1"]}}))
    [('+', 'process.env[0]: "A=1"')]
    """
    *outer, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
    where = "".join(f".{part}" for part in outer).removeprefix(".")
    for sign, field in (("-", "was"), ("+", "value")):
        if field in operation:
            item = f"{where}[{last}]: {json.dumps(operation[field])}"
            lines = [item] if last.isdigit() else _leaves(f"{where}.{last}".removeprefix("."), operation[field])
            yield from ((sign, line) for line in lines)


def _leaves(where: str, value: Any) -> Iterator[str]:
    """A line for every value in an object, and for every item of its lists."""
    if isinstance(value, dict) and value:
        for key in value:
            yield from _leaves(f"{where}.{key}", value[key])
    elif isinstance(value, list) and value:
        yield from (f"{where}[{place}]: {json.dumps(item)}" for place, item in enumerate(value))
    else:
        yield f"{where}: {json.dumps(value)}"


def _list_patch(before: Sequence[Any], after: Sequence[Any], pointer: str) -> Iterator[Operation]:
    old, new = ([json.dumps(item, sort_keys=True) for item in items] for items in (before, after))
    shift = 0  # between a place in `before` and the same in the list as the operations so far have left it
    for tag, start, end, new_start, new_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        for item in before[start:end]:
            yield {"op": "remove", "path": f"{pointer}/{start + shift}", "was": item}
        for place, item in enumerate(after[new_start:new_end]):
            yield {"op": "add", "path": f"{pointer}/{start + shift + place}", "value": item}
        shift += (new_end - new_start) - (end - start)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
