"""Read HCL 1, the language of Nomad's agent, and the JSON that may be in its place (hashicorp/hcl, v1).

Only for looking: nothing is written back. What is read is a `Block`, the items of a body in their order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from cdi_runc.engines.engine import EngineError

Value: TypeAlias = "str | int | float | bool | list[Value] | Block | None"


@dataclass(frozen=True)
class Item:
    """`key = value`, or a block with its name and its labels as keys."""

    keys: tuple[str, ...]
    value: Value


@dataclass(frozen=True)
class Block:
    """A body: everything between two braces, or the whole file."""

    items: tuple[Item, ...]

    def get(self, name: str) -> Value:
        """The last value of that name; None where there is none. Names are the same in any case, as for Nomad."""
        found = [item.value for item in self.items if len(item.keys) == 1 and item.keys[0].lower() == name]
        return found[-1] if found else None

    def text(self, name: str) -> str:
        """The same, '' where it is no text."""
        value = self.get(name)
        return value if isinstance(value, str) else ""

    def blocks(self, name: str) -> Iterator[Block]:
        """All blocks of that name which have no label."""
        for item in self.items:
            if len(item.keys) == 1 and item.keys[0].lower() == name and isinstance(item.value, Block):
                yield item.value

    def labelled(self, name: str) -> Iterator[tuple[str, Block]]:
        """All blocks of that name which have a label, as `name "label" {}`, or as `name { label {} }`."""
        for item in self.items:
            if item.keys[0].lower() == name and isinstance(item.value, Block):
                inner = (Item(item.keys[1:], item.value),) if len(item.keys) > 1 else item.value.items
                for each in inner:
                    if isinstance(each.value, Block):
                        yield each.keys[0], each.value


_BETWEEN = re.compile(r"(?:[\s,]|#[^\n]*|//[^\n]*|/\*(?s:.*?)\*/)*")
_STRING = re.compile(r'"((?:[^"\\$\n]|\\.|\$(?!\{)|\$\{[^}\n]*\})*)"')
_HEREDOC = re.compile(r"<<-?[ \t]*(\w+)[ \t]*\r?\n((?s:.*?))^[ \t]*\1[ \t]*(?=\r?$)", re.MULTILINE)
_WORD = re.compile(r"[^\W\d][\w.-]*|[+-]?[\w.+-]+")
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_MAX_DEPTH = 64


def parse(text: str) -> Block:
    """What a file says; raises EngineError with the line where it is broken.

    >>> block = parse('plugin "docker" { config { allow_runtimes = ["runc"] } }')
    >>> [(label, next(body.blocks("config")).get("allow_runtimes")) for label, body in block.labelled("plugin")]
    [('docker', ['runc'])]
    """
    text = text.removeprefix("\ufeff")
    if text.lstrip().startswith("{"):
        return _parse_json(text)
    reader = _Reader(text)
    body = reader.body(0)
    if reader.at < len(text):
        raise reader.fault("a brace closes nothing")
    return body


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def body(self, depth: int) -> Block:
        """Items up to a closing brace or the end."""
        if depth > _MAX_DEPTH:
            raise self.fault(f"it is nested more than {_MAX_DEPTH} levels deep")
        items = []
        while self.next() not in ("", "}"):
            items.append(self.item(depth))
        return Block(tuple(items))

    def item(self, depth: int) -> Item:
        keys = []
        while self.next() not in ("=", ":", "{"):
            keys.append(self.string() if self.next() == '"' else self.word())
        if not keys:
            raise self.fault("a name is missing")
        if self.next() != "{":
            self.at += 1
        return Item(tuple(keys), self.value(depth))

    def value(self, depth: int) -> Value:
        start = self.next()
        if start == "{":
            return self.block(depth)
        if start == "[":
            return self.list(depth)
        if start == '"':
            return self.string()
        if heredoc := _HEREDOC.match(self.text, self.at):
            self.at = heredoc.end()
            return heredoc[2]
        return _plain(self.word())

    def block(self, depth: int) -> Block:
        self.at += 1
        body = self.body(depth + 1)
        if self.next() != "}":
            raise self.fault("a brace is not closed")
        self.at += 1
        return body

    def list(self, depth: int) -> list[Value]:
        self.at += 1
        values: list[Value] = []
        if depth > _MAX_DEPTH:
            raise self.fault(f"it is nested more than {_MAX_DEPTH} levels deep")
        while (start := self.next()) != "]":
            if not start:
                raise self.fault("a bracket is not closed")
            values.append(self.value(depth + 1))
        self.at += 1
        return values

    def next(self) -> str:
        """The next character that says something, '' at the end."""
        match = _BETWEEN.match(self.text, self.at)
        assert match
        self.at = match.end()
        return self.text[self.at : self.at + 1]

    def string(self) -> str:
        match = _STRING.match(self.text, self.at)
        if not match:
            raise self.fault("a text is not closed")
        self.at = match.end()
        return _ESCAPE.sub(_unescaped, match[1])

    def word(self) -> str:
        match = _WORD.match(self.text, self.at)
        if not match:
            raise self.fault(f"{self.text[self.at : self.at + 1]!r} is not expected here")
        self.at = match.end()
        return match[0]

    def fault(self, words: str) -> EngineError:
        return EngineError(f"line {self.text.count(chr(10), 0, self.at) + 1}: {words}")


def _unescaped(match: re.Match[str]) -> str:
    word = match[1]
    if len(word) == 1:
        return _ESCAPED.get(word, word)
    code = int(word[1:], 16)
    return chr(code) if code < 0x110000 else "\ufffd"


def _plain(word: str) -> Value:
    if word in ("true", "false"):
        return word == "true"
    try:
        return int(word, 0)
    except ValueError:
        pass
    try:
        return float(word)
    except ValueError:
        return word


def _parse_json(text: str) -> Block:
    try:
        return _block(json.loads(text, object_pairs_hook=_Pairs))
    except json.JSONDecodeError as error:
        raise EngineError(f"line {error.lineno}: {error.msg}") from None
    except (ValueError, RecursionError) as error:  # a number too long, or too many levels
        raise EngineError(f"this JSON can't be read: {error}") from None


class _Pairs(tuple[tuple[str, object], ...]):
    """A JSON object with names that may be there twice."""


def _block(pairs: object) -> Block:
    items = []
    for name, value in pairs if isinstance(pairs, _Pairs) else ():
        # A list of objects stands for as many blocks.
        several = isinstance(value, list) and value and all(isinstance(each, _Pairs) for each in value)
        items += [Item((name,), _value(each)) for each in (value if several and isinstance(value, list) else [value])]
    return Block(tuple(items))


def _value(value: object) -> Value:
    if isinstance(value, _Pairs):
        return _block(value)
    if isinstance(value, list):
        return [_value(each) for each in value]
    return value if isinstance(value, str | int | float | bool) else None
