"""Set and remove values in TOML text; comments, order and layout of the rest survive (tomlkit).

Knows nothing of engines.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

import tomlkit
from tomlkit.exceptions import ParseError, TOMLKitError
from tomlkit.items import InlineTable, Table

from cdi_runc.engines.engine import EngineError, Value


def parse(text: str) -> dict[str, object]:
    r"""Read a config file's text.

    >>> parse('[a]\nb = 1')
    {'a': {'b': 1}}
    >>> parse('a = 1\nb = \n')
    Traceback (most recent call last):
    cdi_runc.engines.engine.EngineError: line 2, column 4: Unexpected character: '\n'
    """
    return _read(text).unwrap()


def put(text: str, keys: tuple[str, ...], value: Value) -> str:
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
    document = _read(text)
    at: MutableMapping[str, object] = document
    try:
        for key in keys[:-1]:
            if key not in at:
                at[key] = {} if isinstance(at, InlineTable) else tomlkit.table(isinstance(value, Mapping))
            inner = at[key]
            if not isinstance(inner, MutableMapping):
                raise EngineError(f"{key!r} must be a table")
            at = inner
        if isinstance(value, Mapping) and not isinstance(at, InlineTable):
            at[keys[-1]] = _table(value)
        else:
            at[keys[-1]] = value
        return tomlkit.dumps(document)
    except TOMLKitError as fault:
        raise EngineError(str(fault)) from None


def remove(text: str, keys: tuple[str, ...]) -> str:
    r"""Take out the value at `keys`; nothing there is fine.

    >>> remove('a = 1\nb = 2 # two\n', ("a",))
    'b = 2 # two\n'
    """
    document = _read(text)
    at: object = document
    for key in keys[:-1]:
        at = at.get(key) if isinstance(at, Mapping) else None
    if isinstance(at, MutableMapping) and keys[-1] in at:
        del at[keys[-1]]
    return tomlkit.dumps(document)


def _read(text: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except ParseError as fault:
        words = str(fault).rsplit(" at line ", 1)[0]
        raise EngineError(f"line {fault.line}, column {fault.col}: {words}") from None


def _table(value: Mapping[str, Value]) -> Table:
    """A table with its plain values before its tables, as TOML needs them, indented by two."""
    table = tomlkit.table()
    for key, plain in value.items():
        if not isinstance(plain, Mapping):
            item = tomlkit.item(plain)
            item.indent(2)
            table.add(key, item)
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            table.add(key, _table(inner))
    return table
