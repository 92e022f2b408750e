"""YAML text to nodes, as the reference reads it: YAML 1.1 of sigs.k8s.io/yaml v1.4.0, which is goyaml.v2, strict.

PyYAML splits the text into events: by libyaml if it has it, otherwise in Python. This module decides what the events
mean, because PyYAML's own resolver knows other numbers and booleans, and its constructor accepts duplicate keys. The
result is values with places. Knows nothing of CDI.
"""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from cdi_runc.cdi._python_loader import PythonLoader
from cdi_runc.cdi._scalars import Scalar, resolve, tagged

MAX_DEPTH = 100  # a spec is eight deep; Python's own limit would be found the hard way
MAX_NODES = 500_000  # values, which take some seconds; large real specs have some 5,000
MAX_RETRIED = 1 << 18  # characters, which the parser in Python takes a second for
MAX_EXPLAINED = 1 << 16  # characters; in shorter texts the parser in Python finds the fault: it tells the place better
MAX_ALIASED = 400_000  # nodes that aliases may add, about as in goyaml.v2: a few lines could mean gigabytes

_MERGE = "tag:yaml.org,2002:merge"
_ESCAPE = re.compile(r"\\.", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
# What libyaml says where it is stricter than goyaml. goyaml follows libyaml's first versions.
_STRICTER = re.compile(r"found unknown escape character|found unexpected ':'|while (scanning|parsing) a tag")
_CLOSING = re.compile("'([]}])'")
_MARK_IN_TEXT = re.compile("(?<=[\n\r\x85\u2028\u2029])\ufeff")
_NOT_ALLOWED = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Node:
    """A value at a place: a scalar, a list of nodes, or a dict of (key node, value node) by the key's type and value.

    `line` and `column` count from 1, and are None where the text was read as JSON. `size` is the number of nodes in it.
    """

    __slots__ = ("column", "line", "size", "value")

    def __init__(self, value: Any, line: int | None = None, column: int | None = None) -> None:
        self.value = value
        self.line = line
        self.column = column
        self.size = 1


class YAMLError(ValueError):
    """The reference would not read the text as YAML. `line` and `column` say where, from 1, or are None."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


FastLoader: Any = getattr(yaml, "CSafeLoader", PythonLoader)  # PyYAML may have been built without libyaml


def read(text: str, loader: Any = FastLoader) -> Node:
    """The first document of a YAML or JSON text, null where there is none. Raises YAMLError.

    What comes after the first document is not looked at. JSON that YAML 1.1 does not allow (`\\/`, surrogate pairs) is
    read all the same: there the reference contradicts SPEC.md.
    """
    if match := _MARK_IN_TEXT.search(text):
        # libyaml skips a byte order mark at the start of any line, goyaml only at the start of the text.
        if len(text) > MAX_RETRIED:
            raise YAMLError("a byte order mark is allowed only at the start", text.count("\n", 0, match.end()) + 1, 1)
        loader = PythonLoader
    try:
        return _read_yaml(text, loader)
    except YAMLError as error:
        limit = MAX_RETRIED if _STRICTER.search(str(error)) else MAX_EXPLAINED
        if loader is not PythonLoader and len(text) <= limit:
            return read(text, PythonLoader)
        try:
            return _read_json(text)
        except json.JSONDecodeError as fault:
            if fault.msg.startswith("Expecting ',' delimiter") and text[fault.pos :].strip():
                raise YAMLError("a comma is missing before this", fault.lineno, fault.colno) from None
        except (ValueError, RecursionError):
            pass
        raise


def _read_yaml(text: str, loader: Any) -> Node:
    if match := _NOT_ALLOWED.search(text):
        line, column = text.count("\n", 0, match.start()) + 1, match.start() - text.rfind("\n", 0, match.start())
        raise YAMLError(f"the character {match[0]!r} is not allowed", line, column)
    try:
        document = _Document(text, loader)
    except (yaml.YAMLError, UnicodeError) as error:
        raise YAMLError(str(error)) from None
    try:
        return document.read()
    except yaml.MarkedYAMLError as error:
        raise _explained(error, document) from None
    except (yaml.YAMLError, UnicodeError) as error:
        raise YAMLError(str(error)) from None


def _explained(error: yaml.MarkedYAMLError, document: _Document) -> YAMLError:
    """The parser's error, in plain words where many people meet it."""
    mark, opened = error.problem_mark or error.context_mark, error.context_mark
    context, problem = error.context or "", error.problem or ""
    message = ", ".join(filter(None, (context, problem)))
    if mark is None:
        return YAMLError(message)
    if opened and "quoted scalar" in context and "end of stream" in problem:
        mark, message = opened, "the quote that opens here is not closed"
    elif document.ends_a_quote(mark):
        place = f"line {mark.line + 1}, column {document.quoted.end_mark.column}"
        message = f"the quote that opens here ends in {place}: a quote or a comma is missing"
        mark = document.quoted.start_mark
    elif opened and context.startswith("while parsing a flow") and (close := _CLOSING.search(problem)):
        message = f"before this a comma is missing, or the {close[1]} of the bracket in line {opened.line + 1}"
        if not document.text[mark.index :].strip():
            mark, message = opened, "the bracket that opens here is not closed"
    elif "\\t" in problem and "cannot start any token" in problem:
        message = "a tab is here: YAML is indented with blanks"
    elif "mapping values are not allowed" in problem:
        message = "a colon is not allowed here: is a quote missing, or is the line indented wrongly?"
    return YAMLError(message, mark.line + 1, mark.column + 1)


class _Document:
    """The first document in a stream of events, turned into nodes as goyaml.v2's decode.go does it.

    An alias is the very node of its anchor, so the nodes are few; `size` says how many they would be written out.
    """

    def __init__(self, text: str, loader: Any) -> None:
        self.events = loader(text)
        self.text = text
        self.anchors: dict[str, Node] = {}
        self.open: list[Node] = []  # the lists and mappings around the current event
        self.flow = 0  # how many of these are in brackets
        self.nodes = 0
        self.quoted: Any = None  # the last scalar in quotes
        self.aliased = 0

    def read(self) -> Node:
        """The document's node; null for an empty stream."""
        self.events.get_event()  # the start of the stream
        start = self.events.get_event()
        if isinstance(start, yaml.StreamEndEvent):
            return Node(None, 1, 1)
        if start.version not in (None, (1, 1)):
            raise _fault(start, "only YAML 1.1 is understood")
        node = self.node(self.events.get_event())
        self.events.get_event()  # the end of the document, which may hold a syntax error
        return node

    def node(self, event: Any) -> Node:
        """The node that begins with the event."""
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise _fault(event, f"there are more than {MAX_NODES} values")
        node = Node(None, event.start_mark.line + 1, event.start_mark.column + 1)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        if isinstance(event, yaml.ScalarEvent):
            node.value = self.scalar(event)
            return node
        if len(self.open) == MAX_DEPTH:
            raise _fault(event, f"lists and mappings are nested more than {MAX_DEPTH} deep")
        self.open.append(node)
        self.flow += bool(event.flow_style)
        if isinstance(event, yaml.SequenceStartEvent):
            node.value = self.sequence()
            node.size += sum(item.size for item in node.value)
        else:
            node.value = self.mapping()
            node.size += sum(key.size + value.size for key, value in node.value.values())
        self.flow -= bool(event.flow_style)
        self.open.pop()
        return node

    def ends_a_quote(self, mark: Any) -> bool:
        """Does a text in quotes end at the mark, in the middle of a word or of a line? A quote may be missing then."""
        if self.quoted is None:
            return False
        start, end = self.quoted.start_mark, self.quoted.end_mark
        return bool(end.index == mark.index or start.line < end.line == mark.line)

    def alias(self, event: Any) -> Node:
        """The node of the anchor."""
        node = self.anchors.get(event.anchor)
        if node is None:
            raise _fault(event, f"the anchor {event.anchor!r} is not known")
        if node in self.open:
            raise _fault(event, f"the anchor {event.anchor!r} contains itself")
        self.aliased += node.size
        if self.aliased > MAX_ALIASED:
            raise _fault(event, f"aliases add more than {MAX_ALIASED} values")
        return node

    def scalar(self, event: Any) -> Scalar:
        """The scalar's value."""
        start, end = event.start_mark.index, event.end_mark.index
        if event.style in ("'", '"'):
            self.quoted = event
        if event.implicit[0] and self.flow and "?" in event.value:
            raise _fault(event, "a question mark in brackets needs quotes")  # libyaml takes it since 0.2, goyaml not
        if event.style == '"' and "\\/" in _ESCAPE.findall(self.text, start, end):
            raise _fault(event, "the escape \\/ is not allowed in YAML 1.1")  # only in JSON, and libyaml since 0.2
        if _SURROGATE.search(event.value):
            raise _fault(event, "half a surrogate pair is no character")  # libyaml says it itself
        tag = "!" if self.text.startswith("!", start) and event.tag is None else event.tag  # which libyaml drops
        try:
            if tag is not None:
                return tagged(tag, event.value)
            return resolve(event.value) if event.implicit[0] else str(event.value)
        except ValueError as error:
            raise _fault(event, str(error)) from None

    def sequence(self) -> list[Node]:
        """The items up to the end of the sequence."""
        items = []
        while not isinstance(event := self.events.get_event(), yaml.SequenceEndEvent):
            items.append(self.node(event))
        return items

    def mapping(self) -> dict[Any, tuple[Node, Node]]:
        """The entries up to the end of the mapping, those of merged mappings among them."""
        entries: dict[Any, tuple[Node, Node]] = {}
        while not isinstance(event := self.events.get_event(), yaml.MappingEndEvent):
            if _is_merge(event):
                for merged in self.merged():
                    for key, value in merged.value.values():
                        _add(entries, key, value, event)
                continue
            key = self.node(event)
            if isinstance(key.value, (list, dict)):
                raise _fault(event, "a list or mapping cannot be a key")
            _add(entries, key, self.node(self.events.get_event()), event)
        return entries

    def merged(self) -> list[Node]:
        """The mappings that a merge key adds. If there are several, the last comes first."""
        event = self.events.get_event()
        value = self.node(event)
        mappings = value.value[::-1] if isinstance(event, yaml.SequenceStartEvent) else [value]
        if not all(isinstance(mapping.value, dict) for mapping in mappings):
            raise _fault(event, "a merge key (<<) needs a mapping or a list of mappings")
        return mappings


def _is_merge(event: Any) -> bool:
    return isinstance(event, yaml.ScalarEvent) and event.value == "<<" and (event.implicit[0] or event.tag == _MERGE)


def _add(entries: dict[Any, tuple[Node, Node]], key: Node, value: Node, event: Any) -> None:
    # Keys are compared as Go compares values: 1 and "1", 1 and 1.0 are two keys, and no NaN is another.
    identity = (type(key.value), key.value) if key.value == key.value else object()
    if identity in entries:
        raise _fault(event, f"the key {key.value!r} is already there, from line {entries[identity][0].line}")
    entries[identity] = key, value


def _fault(event: Any, message: str) -> YAMLError:
    return YAMLError(message, event.start_mark.line + 1, event.start_mark.column + 1)


def _read_json(text: str) -> Node:
    """A JSON text as nodes without places. Raises ValueError."""
    return _json_node(
        json.loads(text, object_pairs_hook=_pairs, parse_int=resolve, parse_float=resolve, parse_constant=_refuse)
    )


class _Pairs(list[tuple[str, Any]]):
    """An object's members, told from a list's items."""


def _pairs(pairs: list[tuple[str, Any]]) -> _Pairs:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key is given twice")
    return _Pairs(pairs)


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _json_node(value: Any) -> Node:
    if isinstance(value, _Pairs):
        return Node({name: (_json_node(name), _json_node(item)) for name, item in value})
    if isinstance(value, list):
        return Node([_json_node(item) for item in value])
    if isinstance(value, str):
        value.encode()  # raises on half a surrogate pair
    return Node(value)
