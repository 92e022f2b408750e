"""Change a text where needed so that it says something else. All other characters stay.

The change is found by comparing plain data, as `parse_spec` gives it. So an edit sees the text as the reader does:
fields in any case, null as nothing, `010` as 8. The caller reads the new text again, and must not write it if it does
not say what was asked for. Knows YAML and JSON, and no spec.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any

from cdi_runc.cdi._fields import folded
from cdi_runc.ctl.specs.emit import entry_lines, flow, item_lines, json_lines, scalar, scalar_like
from cdi_runc.ctl.specs.pieces import Piece, pieces

_REST = re.compile(r"([ \t]*,)?([ \t]*#[^\n\r]*|[ \t]*)(?=[\r\n])")
_EXACT = "annotations"  # the keys of this mapping are people's own; all others are fields, in any case


class Unfit(Exception):
    """The text can't be changed in places."""


def patched(text: str, old: Any, new: Any) -> str:
    """The text that says `old`, changed so that it says `new`. Line breaks stay of their kind. Raises Unfit.

    >>> patched("a: 1  # one\\nB: [x,\\n  y]", {"a": 1, "b": ["x", "y"]}, {"a": 2, "b": ["x"]})
    'a: 2  # one\\nB: [x]'
    """
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(mark)
    root = pieces(text)
    if root is None or root.kind != "map" or re.search(r"\r(?!\n)", text):
        raise Unfit
    return mark + _Patch(text).made(root, old, new)


class _Patch:
    """The changes of one text, collected as cuts: from, to, and what comes there instead."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.cuts: list[tuple[int, int, str]] = []
        self.line_break = "\r\n" if "\r\n" in text else "\n"
        indented = re.search(r"^[\w\"']+:[^\n]*\n(?: *#[^\n]*\n)*( *)- ", text, re.MULTILINE)
        self.offset = min(len(indented[1]), 2) if indented else 2
        self.is_json = is_json(text)
        pretty = re.search(r"^[{\[]\s*\n([ \t]+)", text)
        self.unit = len(pretty[1]) if pretty else 0

    def made(self, root: Piece, old: Any, new: Any) -> str:
        self.mapping(root, old, new, exact=False)
        result, done = [], 0
        for start, end, replacement in sorted(self.cuts, key=lambda cut: cut[:2]):
            result += [self.text[done : max(start, done)], replacement.replace("\n", self.line_break)]
            done = max(done, end)
        return "".join(result) + self.text[done:]

    def value(self, piece: Piece, old: Any, new: Any, key: str, column: int) -> None:
        """Change the value of a key in this column, or of an item of its list."""
        if old == new:
            return
        if isinstance(old, dict) and isinstance(new, dict) and new and piece.kind == "map":
            self.mapping(piece, old, new, exact=key == _EXACT)
        elif isinstance(old, list) and isinstance(new, list) and new and piece.kind == "list" and piece.items:
            self.sequence(piece, old, new, key)
        else:
            self.replace(piece, new, key, column)

    def replace(self, piece: Piece, new: Any, key: str, column: int) -> None:
        """Write another value in the place of a piece."""
        if piece.start == piece.end and not piece.flow and isinstance(new, (list, dict)):
            lines = entry_lines(key, new, column, self.offset)[1:]
            self.insert_lines(self.line_end(piece.end), lines)
            return
        blank = " " if piece.start == piece.end and self.text[: piece.start].endswith((":", "-")) else ""
        plain = not self.is_json and not isinstance(new, (list, dict))
        text = scalar_like(self.text[piece.start : piece.end], new) if plain else self.inline(new)
        self.cuts.append((piece.start, piece.end, blank + text))

    def inline(self, value: Any) -> str:
        return json.dumps(value, ensure_ascii=False) if self.is_json else flow(value)

    # Mappings

    def mapping(self, piece: Piece, old: Any, new: Any, exact: bool) -> None:
        same: Callable[[str], str] = str if exact else folded
        places: dict[str, list[int]] = {}
        for place, (key, _) in enumerate(piece.entries):
            places.setdefault(same(key.text), []).append(place)
        gone = sorted(place for field in old if field not in new for place in places.get(same(field), ()))
        if piece.flow and gone and len(gone) == len(piece.entries):
            self.cuts.append((piece.start, piece.end, self.inline(new)))
            return
        self.remove([(key.start, max(key.end, value.end)) for key, value in piece.entries], gone, piece)
        added = {}
        for field, value in new.items():
            if old.get(field) == value and field in old:
                continue
            found = places.get(same(field), [])
            if len(found) > 1 or (field in old and not found):
                raise Unfit  # in two spellings, or by a merge key
            if not found:
                added[field] = value
                continue
            key, there = piece.entries[found[0]]
            self.value(there, old.get(field), value, field, self.column(key.start))
        if added:
            self.add_entries(piece, added)

    def add_entries(self, piece: Piece, added: dict[str, Any]) -> None:
        if piece.flow:
            last = piece.entries[-1] if piece.entries else None
            ends = (last[0].start, max(last[0].end, last[1].end)) if last else None
            self.add_in_brackets(piece, ends, [self.pair(key, value) for key, value in added.items()])
            return
        column = self.column(piece.entries[0][0].start)
        lines = [line for key, value in added.items() for line in entry_lines(key, value, column, self.offset)]
        self.insert_lines(self.after(piece.end, column), lines)

    def pair(self, key: str, value: Any) -> tuple[str, Any]:
        return (f"{json.dumps(key, ensure_ascii=False)}: " if self.is_json else f"{scalar(key)}: "), value

    # Lists

    def sequence(self, piece: Piece, old: Sequence[Any], new: Sequence[Any], key: str) -> None:
        if len(piece.items) != len(old) or not (piece.flow or self.text.startswith("-", piece.start)):
            raise Unfit
        before, after = ([json.dumps(item, sort_keys=True) for item in items] for items in (old, new))
        gone: list[int] = []
        for _, start, end, new_start, new_end in _changes(before, after):
            pairs = min(end - start, new_end - new_start)
            for place in range(pairs):
                item = piece.items[start + place]
                self.value(item, old[start + place], new[new_start + place], key, self.column(item.start))
            gone += range(start + pairs, end)
            if new_start + pairs < new_end:
                self.add_items(piece, start + pairs, new[new_start + pairs : new_end])
        self.remove([(item.start, item.end) for item in piece.items], gone, piece)

    def add_items(self, piece: Piece, place: int, items: Sequence[Any]) -> None:
        before = piece.items[place - 1] if place else None
        if piece.flow:
            if before is None:
                text = "".join(f"{self.inline(item)}, " for item in items)
                self.cuts.append((piece.items[0].start, piece.items[0].start, text))
                return
            self.add_in_brackets(piece, (before.start, before.end), [("", item) for item in items])
            return
        column = self.column(piece.start)
        lines = [line for item in items for line in item_lines(item, column, self.offset)]
        first = self.before(self.line_start(piece.start), column)
        self.insert_lines(self.after(before.end, column) if before else first, lines)

    # Both

    def remove(self, spans: Sequence[tuple[int, int]], gone: Sequence[int], piece: Piece) -> None:
        """Take some of the spans away, which are the items or entries of the piece; one at least stays."""
        for first, last in _runs(gone):
            if piece.flow:
                self.remove_in_brackets(spans, first, last)
            elif not first and self.text[self.line_start(spans[0][0]) : spans[0][0]].strip() and piece.kind == "map":
                self.remove_after_a_dash(spans, last)
            else:
                column = self.column(piece.start)
                for place in range(first, last + 1):
                    start = self.line_start(spans[place][0])
                    while piece.kind == "list" and self.text[start + column] != "-":
                        start = self.line_start(start - 1)
                    if self.text[start : start + column].strip():
                        raise Unfit
                    self.cuts.append((self.before(start, column), self.after(spans[place][1], column), ""))

    def remove_after_a_dash(self, spans: Sequence[tuple[int, int]], last: int) -> None:
        """The first entries of a mapping in a list: the dash stays, and the next entry moves up to it."""
        if last + 1 == len(spans):
            raise Unfit
        end = spans[last + 1][0]
        if "#" in self.text[spans[last][1] : end]:  # a comment on the next entry: then the dash is alone in its line
            end = spans[last][1]
        self.cuts.append((spans[0][0], end, ""))

    def remove_in_brackets(self, spans: Sequence[tuple[int, int]], first: int, last: int) -> None:
        if last + 1 < len(spans):
            self.cuts.append((spans[first][0], spans[last + 1][0], ""))
        elif first:
            self.cuts.append((spans[first - 1][1], spans[last][1], ""))
        else:
            raise Unfit

    def add_in_brackets(self, piece: Piece, last: tuple[int, int] | None, added: list[tuple[str, Any]]) -> None:
        """Write items or entries, as (key, value), after the one that is at `last`."""
        if last is None:
            text = ", ".join(key + self.inline(value) for key, value in added)
            self.cuts.append((piece.end - 1, piece.end - 1, text))
            return
        start = self.line_start(last[0])
        indent = self.text[start : last[0]]
        rest = _REST.match(self.text, last[1])
        if indent.strip() or rest is None:
            texts = [", " + key + self.inline(value) for key, value in added]
            self.cuts.append((last[1], last[1], "".join(texts)))
            return
        texts = [key + (json_lines(value, self.unit, indent) if self.is_json else flow(value)) for key, value in added]
        lines = f",\n{indent}".join(texts)
        if rest[1]:
            self.cuts.append((rest.end(), rest.end(), f"\n{indent}{lines},"))
        else:
            self.cuts += [(last[1], last[1], ","), (rest.end(), rest.end(), f"\n{indent}{lines}")]

    # Lines

    def insert_lines(self, at: int, lines: Sequence[str]) -> None:
        text = "".join(f"{line}\n" for line in lines)
        if at and not self.text[:at].endswith("\n"):  # the last line of a file without a line break at its end
            text = "\n" + text.removesuffix("\n")
        self.cuts.append((at, at, text))

    def line_start(self, at: int) -> int:
        return self.text.rfind("\n", 0, max(at, 0)) + 1

    def line_end(self, at: int) -> int:
        return self.text.find("\n", at) + 1 or len(self.text)

    def column(self, at: int) -> int:
        return at - self.line_start(at)

    def before(self, start: int, column: int) -> int:
        """Where the comment directly above a line begins, at the same indentation."""
        while start:
            above = self.line_start(start - 1)
            line = self.text[above:start]
            if not line.startswith(" " * column + "#"):
                break
            start = above
        return start

    def after(self, end: int, column: int) -> int:
        """Where the lines of what ends here end, with comments that are indented more."""
        end = self.line_end(end)
        deeper = re.compile(rf" {{{column + 1},}}#")
        while deeper.match(self.text, end):
            end = self.line_end(end)
        return end


def _changes(old: list[str], new: list[str]) -> Iterator[tuple[str, int, int, int, int]]:
    return (change for change in SequenceMatcher(None, old, new, autojunk=False).get_opcodes() if change[0] != "equal")


def _runs(places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Places that follow each other, as the first and the last of each run.

    >>> list(_runs([0, 1, 4]))
    [(0, 1), (4, 4)]
    """
    start = 0
    for number, place in enumerate(places):
        if number + 1 == len(places) or places[number + 1] != place + 1:
            yield places[start], place
            start = number + 1


def is_json(text: str) -> bool:
    """Whether a spec is written in JSON, which is YAML too but has no comments."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
