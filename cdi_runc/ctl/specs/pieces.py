"""Where the parts of a YAML or JSON text are, from offset to offset, so that a text can be changed in places.

Knows YAML, and neither files nor specs. What the parts mean is for cdi_runc.cdi to say.
"""

from __future__ import annotations

from typing import Any

import yaml

from cdi_runc.cdi._python_loader import PythonLoader
from cdi_runc.cdi._scalars import key_text, resolve
from cdi_runc.cdi._yaml import FastLoader


class Piece:
    """A value in a text. `kind` is scalar, list, map or alias; `flow`: it is in brackets, or in something that is.

    `start` and `end` are offsets into the text; comments and blank lines after the value are not a part of it.
    `items` are the pieces of a list, `entries` the pairs of key and value of a map; `text` is what a scalar says.
    """

    __slots__ = ("end", "entries", "flow", "items", "kind", "start", "text")

    def __init__(self, kind: str, start: int, end: int, flow: bool) -> None:
        self.kind = kind
        self.start = start
        self.end = end
        self.flow = flow
        self.text = ""
        self.items: list[Piece] = []
        self.entries: list[tuple[Piece, Piece]] = []


def pieces(text: str) -> Piece | None:
    """The first document of a text without a byte order mark; None for a text that is no YAML, or has no document."""
    for loader in dict.fromkeys((FastLoader, PythonLoader)):
        try:
            return _Reader(text, loader).document()
        except yaml.YAMLError:
            continue
    return None


class _Reader:
    """Events turned into pieces."""

    def __init__(self, text: str, loader: Any) -> None:
        self.text = text
        self.events = loader(text)

    def document(self) -> Piece | None:
        self.events.get_event()  # the start of the stream
        if isinstance(self.events.get_event(), yaml.StreamEndEvent):
            return None
        return self.piece(self.events.get_event(), flow=False)

    def piece(self, event: Any, flow: bool) -> Piece:
        start, end = event.start_mark.index, event.end_mark.index
        if isinstance(event, yaml.AliasEvent):
            return Piece("alias", start, end, flow)
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event, flow)
        kind = "list" if isinstance(event, yaml.SequenceStartEvent) else "map"
        piece = Piece(kind, start, end, flow or bool(event.flow_style))
        inner: Any
        while not isinstance(inner := self.events.get_event(), (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            first = self.piece(inner, piece.flow)
            if kind == "list":
                piece.items.append(first)
            else:
                piece.entries.append((first, self.piece(self.events.get_event(), piece.flow)))
        closing: Any = inner
        parts = piece.items or [value for _, value in piece.entries]
        piece.end = closing.end_mark.index if piece.flow else parts[-1].end if parts else end
        return piece

    def scalar(self, event: Any, flow: bool) -> Piece:
        start, end = event.start_mark.index, event.end_mark.index
        if event.style in ("|", ">"):  # the mark is after the blank lines, and after the next line's indentation
            end = start + len(self.text[start:end].rstrip())
        piece = Piece("scalar", start, end, flow)
        piece.text = event.value
        if event.implicit[0]:
            try:
                piece.text = key_text(resolve(event.value))
            except ValueError:
                pass  # null, which is nobody's key
        return piece
