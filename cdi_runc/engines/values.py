"""Put values into a config file's text, record what they replaced, and remove them again later.

The memory of one value is an `Undo`, plain data that fits into JSON. Knows no engines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from cdi_runc.engines import edit_json, edit_toml, journal
from cdi_runc.engines.engine import EngineError, FilePlan, Put, Value

_BYTE_ORDER_MARK = "\ufeff"


class Undo(TypedDict):
    """What one `Put` did to a file."""

    keys: list[str]
    value: object  # what was put; for an item of a list, the item
    how: str  # as in Put
    had: bool  # was there anything at `keys` before
    old: object  # what, if so
    parents: int  # how many of the keys existed before
    header: bool  # did the table that it is in get a header line for it (TOML)


def parse(syntax: str, text: str) -> dict[str, object]:
    """What a config file's text says; raises EngineError with the line where it is broken."""
    text = text.removeprefix(_BYTE_ORDER_MARK)
    return edit_json.parse(text) if syntax == "json" else edit_toml.parse(text)


def load(syntax: str, path: str) -> dict[str, object]:
    """What a config file says, nothing where there is none; raises EngineError with file and line."""
    text = journal.read(path) or ""
    try:
        return parse(syntax, text)
    except EngineError as fault:
        raise EngineError(f"{path}: {fault}") from None


def apply(plan: FilePlan, text: str) -> tuple[str, list[Undo]]:
    """The text with the plan's values in it, and how to take them out.

    >>> plan = FilePlan("daemon.json", "json", (Put(("debug",), True),))
    >>> apply(plan, '{"debug": false}')[0]
    '{"debug": true}'
    """
    if plan.syntax == "text":
        return _append(plan, text)
    undos = []
    for put in plan.puts:
        before = parse(plan.syntax, text)
        undo = _undo(before, put)
        value = _with_item(undo["old"], put.value) if put.how == "item" else put.value
        if undo["had"] and (undo["old"] == value or put.how == "if-absent"):
            continue  # it was there before us, so it isn't ours to take out
        had_header = _has_header(plan.syntax, text, put.keys)
        text = _put(plan.syntax, text, put.keys, value)
        undo["header"] = not had_header and _has_header(plan.syntax, text, put.keys)
        if _parsed(plan.syntax, text) != _merged(before, put.keys, value):
            raise EngineError(
                f"{'.'.join(put.keys)} can't be set without a change to the rest of the file: set it there"
            )
        undos.append(undo)
    return text, undos


def take_out(syntax: str, text: str, undos: Sequence[Undo]) -> str:
    """The text without what `apply` put in, with all later changes of others.

    A value that someone has changed since stays, unless it is a table of ours alone. A value that was put in for
    others stays if someone needs it now.
    """
    for undo in reversed(undos):
        if syntax == "text":
            text = _without_block(text, str(undo["value"]))
        elif undo["how"] != "if-absent" or not _is_needed(parse(syntax, text), undo, undos):
            text = _take_out(syntax, text, undo)
    return text


def is_empty(syntax: str, text: str) -> bool:
    """Does the text say nothing (comments apart)?"""
    return not text.strip() if syntax == "text" else not parse(syntax, text)


def _append(plan: FilePlan, text: str) -> tuple[str, list[Undo]]:
    undos = []
    for put in plan.puts:
        block = str(put.value)
        if block not in text:
            text += block
            undos.append(Undo(keys=[], value=block, how="set", had=False, old=None, parents=0, header=False))
    return text, undos


def _without_block(text: str, block: str) -> str:
    """Another editor may have turned the line ends."""
    return text.replace(block, "", 1).replace(block.replace("\n", "\r\n"), "", 1)


def _is_needed(data: dict[str, object], undo: Undo, undos: Sequence[Undo]) -> bool:
    """Has anyone changed this value or a similar one, or added something beside them?

    They are in one table. As long as the table has an entry, it hides what is built into the engine.
    """
    parent = _look(data, tuple(undo["keys"][:-1]))[1]
    likes = {each["keys"][-1]: each["value"] for each in undos if _is_like(each, undo)}
    return isinstance(parent, Mapping) and any(name not in likes or likes[name] != parent[name] for name in parent)


def _is_like(one: Undo, other: Undo) -> bool:
    return one["how"] == other["how"] and one["keys"][:-1] == other["keys"][:-1]


def _take_out(syntax: str, text: str, undo: Undo) -> str:
    keys = tuple(undo["keys"])
    had, now = _look(parse(syntax, text), keys)
    if not had:
        return text
    if undo["how"] == "item":
        rest = [item for item in now if item != undo["value"]] if isinstance(now, list) else now
        if rest or undo["old"] == []:
            return text if rest == now else _put(syntax, text, keys, rest)
    elif undo["had"]:
        return _put(syntax, text, keys, undo["old"]) if now == undo["value"] else text
    elif now != undo["value"] and not isinstance(now, Mapping):
        return text
    text = _remove(syntax, text, keys)
    if undo["header"]:
        text = edit_toml.remove_header(text, keys[:-1])
    while len(keys) - 1 > undo["parents"]:
        keys = keys[:-1]
        if _look(parse(syntax, text), keys)[1]:
            break
        text = _remove(syntax, text, keys)
    return text


def _undo(before: dict[str, object], put: Put) -> Undo:
    had, old = _look(before, put.keys)
    parents = next((n for n in range(len(put.keys), 0, -1) if _look(before, put.keys[:n])[0]), 0)
    return Undo(keys=list(put.keys), value=put.value, how=put.how, had=had, old=old, parents=parents, header=False)


def _with_item(old: object, item: Value) -> list[object]:
    items = list(old) if isinstance(old, list) else []
    return items if item in items else [*items, item]


def _look(data: object, keys: tuple[str, ...]) -> tuple[bool, object]:
    for key in keys:
        if not isinstance(data, Mapping) or key not in data:
            return False, None
        data = data[key]
    return True, data


def _merged(data: Mapping[str, object], keys: tuple[str, ...], value: object) -> dict[str, object]:
    inner = data.get(keys[0], {})
    below = _merged(inner if isinstance(inner, Mapping) else {}, keys[1:], value) if len(keys) > 1 else value
    return {**data, keys[0]: below}


def _put(syntax: str, text: str, keys: tuple[str, ...], value: Any) -> str:
    mark, text = _split_mark(text)
    return mark + (edit_json.put(text, keys, value) if syntax == "json" else edit_toml.put(text, keys, value))


def _remove(syntax: str, text: str, keys: tuple[str, ...]) -> str:
    mark, rest = _split_mark(text)
    rest = edit_json.remove(rest, keys) if syntax == "json" else edit_toml.remove(rest, keys)
    if _look(parse(syntax, rest), keys)[0] and syntax == "toml":
        raise EngineError(
            f"{'.'.join(keys)} can't be taken out without a change to the rest of the file: remove it there"
        )
    return mark + rest


def _has_header(syntax: str, text: str, keys: tuple[str, ...]) -> bool:
    return syntax == "toml" and edit_toml.has_header(_split_mark(text)[1], keys[:-1])


def _parsed(syntax: str, text: str) -> dict[str, object] | None:
    """What our own text says, None if it is broken."""
    try:
        return parse(syntax, text)
    except EngineError:
        return None


def _split_mark(text: str) -> tuple[str, str]:
    """The byte order mark, which some editors write, and what follows it."""
    rest = text.removeprefix(_BYTE_ORDER_MARK)
    return text[: len(text) - len(rest)], rest
