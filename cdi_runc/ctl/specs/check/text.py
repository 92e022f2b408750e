"""Findings about a spec's text alone: how it is written, and what nobody reads of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import yaml

from cdi_runc.cdi._fields import folded
from cdi_runc.cdi._python_loader import PythonLoader
from cdi_runc.cdi._scalars import key_text, resolve
from cdi_runc.cdi._yaml import FastLoader
from cdi_runc.cdi.schema import Form, follow, shared_schema
from cdi_runc.cdi.versions import Path
from cdi_runc.ctl.specs.pieces import Piece, pieces

# A check of a text yields where something is to be said, as a field and as an offset, and what.
TextRemark: TypeAlias = "tuple[Path, int, str]"
TextCheck: TypeAlias = Callable[[str, str], Iterator[TextRemark]]
_Value = tuple[Path, Form, Piece]


def document_never_read(_: str, text: str) -> Iterator[TextRemark]:
    """Of several YAML documents in one file, engines read the first one. Write one file for each spec."""
    for loader in dict.fromkeys((FastLoader, PythonLoader)):
        events = loader(text)
        try:
            while not isinstance(events.get_event(), yaml.DocumentEndEvent):
                pass
        except yaml.YAMLError:
            continue
        try:
            after = events.get_event()
        except yaml.YAMLError as fault:
            mark = getattr(fault, "problem_mark", None)
            yield (), mark.index if mark else 0, "only the first document is read, and here is more"
            return
        if not isinstance(after, yaml.StreamEndEvent):
            yield (), after.start_mark.index, "only the first document is read, and here begins another one"
        return


def field_in_other_case(_: str, text: str) -> Iterator[TextRemark]:
    """The reference takes field names in any case. The JSON schema, and readers in other languages, refuse the file."""
    for path, form, piece in _values(text):
        for key, _value in piece.entries:
            for name in form.get("properties", ()):
                if key.text != name and folded(key.text) == folded(name):
                    yield (*path, name), key.start, f"is written {key.text}: strict readers know only {name}"


def value_of_another_type(_: str, text: str) -> Iterator[TextRemark]:
    """The reference turns numbers into texts, and takes null for nothing. Strict readers refuse the file.

    For a text that looks like a number, write quotes. Leave a field out that has no value."""
    for path, form, piece in _values(text):
        if piece.kind != "scalar":
            continue
        value = _resolved(text, piece)
        if value is None:
            yield path, piece.start, "has no value: strict readers refuse that; leave the field out"
        elif form["type"] == "string" and not isinstance(value, str) and not _is_name(path):
            yield (
                path,
                piece.start,
                f"is {_written(text, piece)}, which is not a text: strict readers refuse it; write quotes",
            )
        elif form["type"] == "integer" and isinstance(value, float):
            yield path, piece.start, f"is {_written(text, piece)}, which is not an integer: strict readers refuse it"


def name_that_yaml_changes(_: str, text: str) -> Iterator[TextRemark]:
    """Without quotes, YAML 1.1 reads a name like 010, 1.50 or yes as a number or a boolean: as 8, 1.5 or true.

    The device then has another name than the file shows. Write quotes around the name."""
    for path, _form, piece in _values(text):
        if not _is_name(path) or piece.kind != "scalar":
            continue
        value = _resolved(text, piece)
        if value is None or isinstance(value, str):
            continue
        written, name = _written(text, piece), key_text(value)
        change = f"YAML reads it as {name!r}" if written != name else "YAML reads a number, which strict readers refuse"
        yield path, piece.start, f"is {written} without quotes; {change}: write '{written}'"


def not_json(path: str, text: str) -> Iterator[TextRemark]:
    """Engines read a .json file as YAML, so they accept a trailing comma or a comment. Other JSON readers refuse it."""
    if path.endswith(".json"):
        try:
            json.loads(text.removeprefix("\ufeff"))
        except json.JSONDecodeError as fault:
            # Before 3.13, Python points behind a trailing comma, and says that it expects more.
            before = fault.doc[: fault.pos].rstrip()
            if fault.doc[fault.pos : fault.pos + 1] in ("}", "]") and before.endswith(","):
                yield (), len(before) - 1, "is YAML and not JSON, despite its name: it has a trailing comma"
            else:
                yield (), fault.pos, f"is YAML and not JSON, despite its name: {fault.msg}"


TEXT: tuple[TextCheck, ...] = (
    document_never_read,
    field_in_other_case,
    value_of_another_type,
    name_that_yaml_changes,
    not_json,
)


def _values(text: str) -> Iterator[_Value]:
    """Every value of the spec's text that has a form in the schema; not those from aliases and merge keys."""
    root = pieces(text)
    if root is not None:
        yield from _inner((), shared_schema(), root)


def _inner(path: Path, form: Form, piece: Piece) -> Iterator[_Value]:
    form = follow(form)
    yield path, form, piece
    if form["type"] == "array":
        for place, item in enumerate(piece.items):
            yield from _inner((*path, place), form["items"], item)
    elif form["type"] == "object":
        fields: dict[str, Any] = {folded(name): (name, inner) for name, inner in form.get("properties", {}).items()}
        for key, value in piece.entries:
            name, inner = fields.get(folded(key.text), (key.text, form.get("additionalProperties")))
            if inner:
                yield from _inner((*path, name), inner, value)


def _resolved(text: str, piece: Piece) -> Any:
    written = _written(text, piece)
    if written[:1] in ("'", '"', "|", ">", "!", "&"):
        return ""  # a text, or what a tag or an anchor makes of it
    return resolve(written)


def _written(text: str, piece: Piece) -> str:
    return text[piece.start : piece.end]


def _is_name(path: Path) -> bool:
    return len(path) == 3 and path[0] == "devices" and path[2] == "name"
