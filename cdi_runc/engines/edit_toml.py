"""Set and remove values in TOML text, leaving every other byte as it was: comments, order, layout, line ends.

Knows nothing of engines. Values are found by their place in the text (toml_text), and the text is cut and joined there.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping

from cdi_runc.engines.engine import EngineError, Value
from cdi_runc.engines.toml_text import Keys, Section, Statement, items, sections

if sys.version_info >= (3, 11):
    from tomllib import loads as _loads
else:

    def _loads(text: str) -> dict[str, object]:
        """By tomlkit. It fails with various errors at some tables in unusual order."""
        import tomlkit

        try:
            return tomlkit.parse(text).unwrap()
        except (ValueError, RecursionError):
            raise
        except Exception as fault:
            raise ValueError(f"Python before 3.11 can't read this text ({fault}) at line 1, column 1") from None


# How tomllib ends its messages, and tomlkit.
_PLACE = re.compile(
    r"(?P<words>.*?) \(?at (?:line (?P<line>\d+), (?:column|col) (?P<column>\d+)|end of (?:document|file))\)?",
    re.DOTALL,
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BLANK_LINE = re.compile(r"(?:\A|(?<=\n))[ \t]*\r?\n\Z")


def parse(text: str) -> dict[str, object]:
    r"""What a config file's text says; raises EngineError with the line where it is broken.

    >>> parse('[a]\nb = 1')
    {'a': {'b': 1}}
    """
    try:
        return _loads(text)
    except ValueError as fault:
        place = _PLACE.fullmatch(str(fault))
        line = place["line"] if place and place["line"] else text.count("\n") + 1
        column = place["column"] if place and place["column"] else 1
        raise EngineError(f"line {line}, column {column}: {place['words'] if place else fault}") from None
    except RecursionError:
        raise EngineError("nested too deep") from None


def put(text: str, keys: Keys, value: Value) -> str:
    r"""Set the value at `keys`, making the tables on the way there.

    >>> print(put('[engine]\nruntime = "crun" # fast\n', ("engine", "runtime"), "cdi-runc"), end="")
    [engine]
    runtime = "cdi-runc" # fast
    >>> print(put('version = 2\n', ("a", "b.c", "d"), {"x": 1, "y": {"z": ["w"]}}), end="")
    version = 2
    <BLANKLINE>
    [a."b.c".d]
      x = 1
    <BLANKLINE>
    [a."b.c".d.y]
      z = ["w"]
    """
    data = parse(text)
    old = _look(data, keys)
    place = _statement_over(sections(text), keys)
    if place and place.keys == keys:
        return _with_value(text, place, old, value)
    if place:
        outer = _look(data, place.keys)
        inner = _set(_require_table(outer, place.keys[-1]), keys[len(place.keys) :], value)
        return _with_value(text, place, outer, inner)
    if isinstance(old, Mapping):
        text = remove(text, keys)
    return _insert(text, keys, value)


def remove(text: str, keys: Keys) -> str:
    r"""Take out the lines of the value at `keys`; nothing there is fine. Comments on lines of their own stay.

    >>> remove('a = 1\nb = 2 # two\n', ("a",))
    'b = 2 # two\n'
    """
    found = sections(text)
    place = _statement_over(found, keys)
    if place and place.keys != keys:
        outer = _look(parse(text), place.keys)
        if not isinstance(outer, Mapping) or _look(outer, keys[len(place.keys) :]) is None:
            return text
        return _with_value(text, place, outer, _unset(outer, keys[len(place.keys) :]))
    cuts: list[tuple[int, int]] = []
    for section in found:
        if section.keys[: len(keys)] == keys:
            cuts.append((_with_blank_line(text, section.start), section.body))
        cuts += [(each.start, each.end) for each in section.statements if each.keys[: len(keys)] == keys]
    for start, end in reversed(cuts):
        text = text[:start] + text[end:]
    return text


def has_header(text: str, keys: Keys) -> bool:
    """Is there a line `[keys]`? A table can also be there by the tables in it alone."""
    return any(section.keys == keys and not section.array for section in sections(text)[1:])


def remove_header(text: str, keys: Keys) -> str:
    """Take out the line `[keys]`, unless there are values below it."""
    for section in sections(text)[1:]:
        if section.keys == keys and not section.array and not section.statements:
            return text[: _with_blank_line(text, section.start)] + text[section.body :]
    return text


def _with_blank_line(text: str, start: int) -> int:
    """Where a header starts, with the blank line that we put before each."""
    blank = _BLANK_LINE.search(text, 0, start)
    return blank.start() if blank else start


def _statement_over(found: list[Section], keys: Keys) -> Statement | None:
    """The statement that sets the value at `keys`, or an inline table that holds it."""
    statements = (each for section in found if not section.array for each in section.statements)
    return next((each for each in statements if each.keys == keys[: len(each.keys)]), None)


def _with_value(text: str, place: Statement, old: object, value: Value) -> str:
    edited = _with_items(text, place, old, value) if isinstance(old, list) and isinstance(value, list) else None
    return edited or text[: place.value] + _inline(value) + text[place.value_end :]


def _with_items(text: str, place: Statement, old: list[object], new: list[object]) -> str | None:
    """The text with one item more at the end of an array, or with one item less; None for any other change."""
    spans = items(text, place.value)
    if spans and len(new) == len(old) + 1 and new[:-1] == old:
        return text[: spans[-1][1]] + f", {_inline(new[-1])}" + text[spans[-1][1] :]
    gone = next((n for n in range(len(old)) if new == old[:n] + old[n + 1 :]), None)
    if gone is None:
        return None
    start, end = spans[gone]
    if gone and "#" not in text[spans[gone - 1][1] : start]:
        return text[: spans[gone - 1][1]] + text[end:]
    comma = re.compile(r"\s*,[ \t]*").match(text, end)
    return text[:start] + text[comma.end() if comma else end :]


def _insert(text: str, keys: Keys, value: Value) -> str:
    """The text with a value where there is none yet."""
    found = sections(text)
    for depth in range(len(keys) - 1, 0, -1):
        _require_table(_look(parse(text), keys[:depth]), keys[depth - 1])
    dotted = _dotted_neighbour(found, keys)
    if dotted:
        section, neighbour = dotted
        return _insert_line(text, neighbour.end, neighbour, keys[len(section.keys) :], value)
    if isinstance(value, Mapping):
        return _insert_tables(text, found, keys, value)
    parent = next((each for each in found if each.keys == keys[:-1] and not each.array), None)
    if parent is None:
        return _insert_tables(text, found, keys[:-1], {keys[-1]: value}, indent="")
    at = parent.end
    if not parent.keys and not parent.statements:
        at = 0 if len(found) > 1 else len(text)
    return _insert_line(text, at, parent.statements[-1] if parent.statements else None, keys[-1:], value)


def _dotted_neighbour(found: list[Section], keys: Keys) -> tuple[Section, Statement] | None:
    """A statement with a dotted key that makes a table on the way to `keys`. No header may name that table."""
    for depth in range(len(keys) - 1, 0, -1):
        for section in found:
            if section.array or len(section.keys) >= depth:
                continue
            near = [each for each in section.statements if len(each.keys) > depth and each.keys[:depth] == keys[:depth]]
            if near:
                return section, near[-1]
    return None


def _insert_line(text: str, at: int, neighbour: Statement | None, keys: Keys, value: Value) -> str:
    start = neighbour.start if neighbour else at
    indent = re.compile(r"[ \t]*").match(text, start) if neighbour else None
    head, end = text[:at], _line_end(text)
    if head and not head.endswith("\n"):
        head += end
    return f"{head}{indent[0] if indent else ''}{_dotted(keys)} = {_inline(value)}{end}{text[at:]}"


def _insert_tables(text: str, found: list[Section], keys: Keys, value: Mapping[str, Value], indent: str = "  ") -> str:
    """The table goes after the tables that it is nearest to, at the end of the text where there are none."""
    at, end = _after_relatives(text, found, keys), _line_end(text)
    head = text[:at]
    if head and not head.endswith("\n"):
        head += end
    blank = [""] if head.strip() else []
    return head + "".join(line + end for line in [*blank, *_table(keys, value, indent)]) + text[at:]


def _after_relatives(text: str, found: list[Section], keys: Keys) -> int:
    for depth in range(len(keys), 0, -1):
        near = [
            section
            for section in found
            if any(each[:depth] == keys[:depth] for each in (section.keys, *(s.keys for s in section.statements)))
        ]
        if near:
            return near[-1].end
    return len(text)


def _table(keys: Keys, value: Mapping[str, Value], indent: str) -> list[str]:
    """A table's lines: its plain values before its tables, as TOML needs them."""
    lines = [f"[{_dotted(keys)}]"]
    lines += [f"{indent}{_dotted((key,))} = {_inline(v)}" for key, v in value.items() if not isinstance(v, Mapping)]
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            lines += ["", *_table((*keys, key), inner, indent)]
    return lines


def _inline(value: object) -> str:
    """A value on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_dotted((key,))} = {_inline(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, (str, bool)):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _dotted(keys: Keys) -> str:
    return ".".join(key if _BARE_KEY.fullmatch(key) else _inline(key) for key in keys)


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _look(data: object, keys: Keys) -> object:
    for key in keys:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


def _set(data: Mapping[str, Value], keys: Keys, value: Value) -> dict[str, Value]:
    if len(keys) == 1:
        return {**data, keys[0]: value}
    inner = data.get(keys[0], {})
    return {**data, keys[0]: _set(_require_table(inner, keys[0]), keys[1:], value)}


def _unset(data: Mapping[str, Value], keys: Keys) -> dict[str, Value]:
    if len(keys) == 1:
        return {key: value for key, value in data.items() if key != keys[0]}
    inner = data[keys[0]]
    return {**data, keys[0]: _unset(inner if isinstance(inner, Mapping) else {}, keys[1:])}


def _require_table(value: object, key: str) -> Mapping[str, Value]:
    if value is not None and not isinstance(value, Mapping):
        raise EngineError(f"{key!r} must be a table")
    return value or {}
