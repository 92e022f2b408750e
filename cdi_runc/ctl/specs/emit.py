"""Plain data as YAML or JSON text. Knows no files, and no spec."""

from __future__ import annotations

import json
import re
from typing import Any

from cdi_runc.cdi._scalars import resolve
from cdi_runc.cdi.writing import json_text

# Texts that YAML 1.1 and 1.2 alike take for texts without quotes: paths, NAME=VALUE, words; but not its booleans.
_PLAIN = re.compile(r"[A-Za-z/](?:[\w./=:@+-]*[\w./=@+-])?", re.ASCII)
_STAYS_PLAIN = re.compile(r"[\w/][\w./=@+-]*", re.ASCII)
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))


def yaml_text(data: dict[str, Any]) -> str:
    """Data as YAML of two columns a level, with lists indented."""
    return "".join(f"{line}\n" for key, value in data.items() for line in entry_lines(key, value, 0, 2))


def entry_lines(key: str, value: Any, column: int, offset: int) -> list[str]:
    """The lines of a mapping's entry. `offset` is how much further right than the key a list's dashes are.

    >>> entry_lines("env", ["A=1", "B=y n"], 2, 0)
    ['  env:', '  - A=1', '  - "B=y n"']
    """
    head = f"{' ' * column}{scalar(key)}:"
    if not value or not isinstance(value, (list, dict)):
        return [f"{head} {flow(value)}"]
    if isinstance(value, dict):
        return [head, *(line for name, inner in value.items() for line in entry_lines(name, inner, column + 2, offset))]
    return [head, *(line for item in value for line in item_lines(item, column + offset, offset))]


def item_lines(value: Any, column: int, offset: int) -> list[str]:
    """The lines of a list's item, whose dash is in this column.

    >>> item_lines({"path": "/dev/a", "uid": 0}, 0, 0)
    ['- path: /dev/a', '  uid: 0']
    """
    dash = f"{' ' * column}- "
    if not isinstance(value, dict) or not value:
        return [dash + flow(value)]
    lines = [line for key, inner in value.items() for line in entry_lines(key, inner, column + 2, offset)]
    return [dash + lines[0][column + 2 :], *lines[1:]]


def flow(value: Any) -> str:
    """Data in one line.

    >>> flow({"path": "/dev/a", "options": ["ro", "no"]})
    '{path: /dev/a, options: [ro, "no"]}'
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def scalar(value: Any) -> str:
    """A text, with quotes if anybody could read it as something else; or a number or boolean."""
    if not isinstance(value, str):
        return json.dumps(value)
    plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
    return value if plain else json_text(value)


def scalar_like(old: str, value: Any) -> str:
    """The same, written as the scalar that it takes the place of: with its quotes, or octal.

    >>> scalar_like("'a'", "b"), scalar_like("0.5.0", "0.6.0"), scalar_like("0660", 0o600), scalar_like("a", "no")
    ("'b'", '0.6.0', '0600', '"no"')
    """
    if isinstance(value, str):
        if old.startswith("'") and value.isprintable():
            return "'" + value.replace("'", "''") + "'"
        if old[:1] not in ("'", '"') and _STAYS_PLAIN.fullmatch(value) and resolve(value) == value:
            return value if value.lower() not in _WORDS else scalar(value)
        return json_text(value) if old.startswith('"') else scalar(value)
    octal = re.match(r"0o?(?=[0-7])", old)
    return f"{octal[0]}{value:o}" if octal and type(value) is int else scalar(value)


def json_lines(value: Any, unit: int, indent: str) -> str:
    """Data as JSON whose lines after the first begin with the indent; all in one line where the unit is 0."""
    text = json_text(value, indent=unit or None)
    return text.replace("\n", "\n" + indent)
