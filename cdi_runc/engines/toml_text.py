"""The layout of TOML text: where each table and each value is, so that an editor can cut and join there.

It reads only text that a TOML parser has accepted, so it looks for ends and checks nothing (https://toml.io/en/v1.0.0).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

Keys = tuple[str, ...]

_SPACE = re.compile(r"[ \t]*")
_BETWEEN = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_REST_OF_LINE = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\r?\n|$)")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'',
    re.DOTALL,
)
_PLAIN = re.compile(r"[^,\]}#\r\n]*")


@dataclass(frozen=True)
class Statement:
    """`key = value`. `keys` is its whole path; `end` is after the line, comment included."""

    keys: Keys
    start: int
    value: int
    value_end: int
    end: int


@dataclass(frozen=True)
class Section:
    """What follows one `[header]`, up to the next; the first section of a text has no header.

    `array`: it is, or is in, an item of an array of tables. `start` is where the header's line starts, `body` where
    that line ends, and `end` is after the last line with something of the section.
    """

    keys: Keys
    array: bool
    start: int
    body: int
    statements: tuple[Statement, ...]

    @property
    def end(self) -> int:
        """After the last statement, or after the header. The comments that follow belong to what comes next."""
        return self.statements[-1].end if self.statements else self.body


def sections(text: str) -> list[Section]:
    """All sections, in the order of the text.

    >>> [section.keys for section in sections('a = 1\\n[b."c.d"]\\ne = [2, 3]\\n')]
    [(), ('b', 'c.d')]
    """
    found: list[Section] = []
    arrays: set[Keys] = set()
    keys: Keys = ()
    start = body = 0
    at = _skip(_BETWEEN, text, 0)
    while True:
        statements: list[Statement] = []
        while at < len(text) and text[at] != "[":
            statement = _statement(text, at, keys)
            statements.append(statement)
            at = _skip(_BETWEEN, text, statement.end)
        in_array = any(keys[: len(array)] == array for array in arrays)
        found.append(Section(keys, in_array, start, body, tuple(statements)))
        if at >= len(text):
            return found
        start = at - len(_line_before(text, at))
        brackets = 2 if text.startswith("[[", at) else 1
        keys, at = _keys(text, at + brackets)
        if brackets == 2:
            arrays.add(keys)
        body = _skip(_REST_OF_LINE, text, _skip(_SPACE, text, at) + brackets)
        at = _skip(_BETWEEN, text, body)


def items(text: str, at: int) -> list[tuple[int, int]]:
    """Start and end of each item of the array whose bracket is at `at`."""
    return _array(text, at)[0]


def _statement(text: str, at: int, table: Keys) -> Statement:
    keys, end = _keys(text, at)
    value = _skip(_SPACE, text, _skip(_SPACE, text, end) + 1)
    value_end = _value_end(text, value)
    return Statement((*table, *keys), at - len(_line_before(text, at)), value, value_end, _line_end(text, value_end))


def _keys(text: str, at: int) -> tuple[Keys, int]:
    """A dotted key, and where it ends."""
    keys = []
    while True:
        at = _skip(_SPACE, text, at)
        if text[at] in "\"'":
            end = _skip(_STRING, text, at)
            keys.append(_unquoted(text[at:end]))
        else:
            end = _skip(_BARE_KEY, text, at)
            keys.append(text[at:end])
        at = _skip(_SPACE, text, end)
        if text[at : at + 1] != ".":
            return tuple(keys), end
        at += 1


def _unquoted(key: str) -> str:
    if key[0] == "'" or "\\" not in key:
        return key[1:-1]
    return re.sub(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", _escaped, key[1:-1])


def _escaped(match: re.Match[str]) -> str:
    word = match[1]
    return {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}.get(word) or (
        chr(int(word[1:], 16)) if len(word) > 1 else word
    )


def _value_end(text: str, at: int) -> int:
    if text[at] in "\"'":
        return _skip(_STRING, text, at)
    if text[at] == "[":
        return _array(text, at)[1]
    if text[at] == "{":
        return _table_end(text, at)
    end = _skip(_PLAIN, text, at)
    return at + len(text[at:end].rstrip())


def _array(text: str, at: int) -> tuple[list[tuple[int, int]], int]:
    """The items of an array, and where it ends."""
    found = []
    at = _skip(_BETWEEN, text, at + 1)
    while text[at] != "]":
        found.append((at, _value_end(text, at)))
        at = _skip_comma(text, found[-1][1])
    return found, at + 1


def _table_end(text: str, at: int) -> int:
    """After an inline table."""
    at = _skip(_BETWEEN, text, at + 1)
    while text[at] != "}":
        _, end = _keys(text, at)
        end = _value_end(text, _skip(_SPACE, text, _skip(_SPACE, text, end) + 1))
        at = _skip_comma(text, end)
    return at + 1


def _skip_comma(text: str, at: int) -> int:
    """Where the next item or the closing bracket is."""
    at = _skip(_BETWEEN, text, at)
    return _skip(_BETWEEN, text, at + 1) if text[at] == "," else at


def _line_before(text: str, at: int) -> str:
    return text[text.rfind("\n", 0, at) + 1 : at]


def _line_end(text: str, at: int) -> int:
    return _skip(_REST_OF_LINE, text, at)


def _skip(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at
