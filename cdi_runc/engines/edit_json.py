"""Set and remove values in JSON text, leaving every other byte as it was: order, indentation, odd spacing, numbers.

Knows nothing of engines. Values are found by their place in the text, and the text is cut and joined there.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from cdi_runc.engines.engine import EngineError, Value

_decode = json.JSONDecoder().raw_decode
_SPACE = re.compile(r"[ \t\r\n]*")
_INDENT = re.compile(r"\n([ \t]+)\S")


@dataclass(frozen=True)
class _Member:
    key: str
    start: int  # of the name
    value: int  # where the value starts
    end: int


def parse(text: str) -> dict[str, object]:
    r"""Read a config file's text; an empty file holds nothing, which is what Docker makes of it too.

    >>> parse('{"a": 1}'), parse(" ")
    ({'a': 1}, {})
    >>> parse('{\n "a": }')
    Traceback (most recent call last):
    cdi_runc.engines.engine.EngineError: line 2, column 7: Expecting value
    """
    if not text.strip():
        return {}
    try:
        data = json.loads(text)
    except json.JSONDecodeError as fault:
        raise EngineError(f"line {fault.lineno}, column {fault.colno}: {fault.msg}") from None
    except RecursionError:
        raise EngineError("nested too deep") from None
    if not isinstance(data, dict):
        raise EngineError("line 1: the file must hold a JSON object")
    return data


def put(text: str, keys: tuple[str, ...], value: Value) -> str:
    r"""Set the value at `keys`, making the objects on the way there.

    >>> print(put('{\n    "debug": true\n}\n', ("runtimes", "x"), {"path": "/x"}))
    {
        "debug": true,
        "runtimes": {
            "x": {
                "path": "/x"
            }
        }
    }
    <BLANKLINE>
    >>> put('{"a":1}', ("a",), 2)
    '{"a":2}'
    """
    if not text.strip():
        text = "{}\n"
    at = _skip(text, 0)
    for depth, key in enumerate(keys):
        found = _last(_members(text, at), key)
        if found is None:
            for missing in reversed(keys[depth + 1 :]):
                value = {missing: value}
            return _insert(text, at, key, value)
        if depth == len(keys) - 1:
            one_line = "\n" not in text[found.value : found.end]
            new = json.dumps(value) if one_line else _dump(text, value, _line_indent(text, found.start))
            return text[: found.value] + new + text[found.end :]
        at = found.value
        if text[at] != "{":
            raise EngineError(f"line {text.count(chr(10), 0, at) + 1}: {key!r} must be an object")
    return text


def remove(text: str, keys: tuple[str, ...]) -> str:
    r"""Take out the member at `keys`, with the comma that goes with it; nothing there is fine.

    >>> remove('{\n  "a": 1,\n  "b": 2\n}', ("b",))
    '{\n  "a": 1\n}'
    >>> remove('{"a": {"b": 1}}', ("a", "b"))
    '{"a": {}}'
    """
    at = _skip(text, 0)
    for depth, key in enumerate(keys):
        if text[at : at + 1] != "{":
            return text
        members = _members(text, at)
        found = _last(members, key)
        if found is None:
            return text
        if depth < len(keys) - 1:
            at = found.value
            continue
        place = members.index(found)
        if place > 0:
            return text[: members[place - 1].end] + text[found.end :]
        if len(members) > 1:
            return text[: found.start] + text[members[1].start :]
        return text[: at + 1] + text[_skip(text, found.end) :]
    return text


def _members(text: str, at: int) -> list[_Member]:
    """The members of the object whose brace is at `at`; the text is known to be valid."""
    members = []
    at = _skip(text, at + 1)
    while text[at] != "}":
        key, end = _decode(text, at)
        value = _skip(text, _skip(text, end) + 1)
        _, end = _decode(text, value)
        members.append(_Member(key, at, value, end))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return members


def _insert(text: str, at: int, key: str, value: Value) -> str:
    members = _members(text, at)
    if members and "\n" not in text[at : members[0].start]:
        return text[: members[-1].end] + f", {json.dumps(key)}: {json.dumps(value)}" + text[members[-1].end :]
    outer = _line_indent(text, at)
    inner = _line_indent(text, members[0].start) if members else outer + _unit(text)
    end = _line_end(text)
    member = f"{end}{inner}{json.dumps(key)}: {_dump(text, value, inner)}"
    if members:
        return text[: members[-1].end] + "," + member + text[members[-1].end :]
    return text[: at + 1] + member + f"{end}{outer}" + text[_skip(text, at + 1) :]


def _dump(text: str, value: Value, indent: str) -> str:
    return json.dumps(value, indent=_unit(text), ensure_ascii=False).replace("\n", _line_end(text) + indent)


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _unit(text: str) -> str:
    """One step of indentation, as the first indented line has it."""
    indented = _INDENT.search(text)
    return indented.group(1) if indented else "    "


def _line_indent(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _last(members: list[_Member], key: str) -> _Member | None:
    """If a key is given twice, the last one counts, as in Go's encoding/json and Python's json."""
    return next((member for member in reversed(members) if member.key == key), None)


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
