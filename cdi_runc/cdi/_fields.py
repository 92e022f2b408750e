"""Nodes to a spec's fields, as the reference's decoder (Go's encoding/json, strict) has them, guided by schema.json.

Field names match in any case; numbers and booleans become text where a text is expected; null is as good as not given;
what is not known or of the wrong type is a problem. Knows the schema, not what the fields mean.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from cdi_runc.cdi._scalars import go_text, key_text
from cdi_runc.cdi._yaml import Node
from cdi_runc.cdi.schema import Form, follow, shared_schema, unknown_field, wrong_type
from cdi_runc.cdi.versions import Path

Faults = list[tuple[Path, str, Node]]  # where in the spec, what is wrong, and where in the text

_ZERO = {"string": "", "integer": 0, "boolean": False}
_MAX_PLAIN = 1e21  # from here on Go writes a float with an exponent, which is no integer


def fields(node: Node) -> tuple[Any, Faults]:
    """The spec in a document's node as plain data in the schema's spelling, and what is wrong with it.

    Where something is wrong an empty value of the right type is in its place, so that the rest can be checked.
    """
    faults: Faults = []
    return _decode(shared_schema(), node, (), None, faults), faults


def decoded(form: Form, node: Node) -> tuple[Any, Faults]:
    """The same for a part of a spec, whose form in the schema is given."""
    faults: Faults = []
    return _decode(form, node, (), None, faults), faults


def locate(node: Node, path: Path) -> Node:
    """The node at the path in a spec, or the last one on the way to it that is there."""
    for step in path:
        if isinstance(step, int) and isinstance(node.value, list) and step < len(node.value):
            node = node.value[step]
        elif isinstance(step, str) and isinstance(node.value, dict):
            found = [value for key, value in node.value.values() if _same(key.value, step)]
            if not found:
                break
            node = found[-1]
        else:
            break
    return node


def has_no_value(node: Node, path: Path) -> bool:
    """Is the field at the path given, and null?"""
    owner = locate(node, path[:-1])
    entries = owner.value.values() if isinstance(owner.value, dict) else ()
    return any(_same(key.value, str(path[-1])) and value.value is None for key, value in entries)


def _same(key: Any, field: str) -> bool:
    return isinstance(key, str) and folded(key) == folded(field)


def folded(name: str) -> str:
    """The name without regard to case, as Go folds it: the Kelvin sign is a k and the long s an s.

    >>> folded("Ho\u017ftPath") == folded("hostPath")
    True
    """
    return name.lower().replace("\u017f", "s")


def _decode(form: Form, node: Node, path: Path, old: Any, faults: Faults) -> Any:
    """The node's value in the schema's form; `old` is what another spelling of the same field has given already."""
    form = follow(form)
    match form["type"]:
        case "object":
            return _object(form, node, path, old, faults)
        case "array":
            return _array(form["items"], node, path, old, faults)
        case "string" if isinstance(node.value, (bool, int, float)):
            return go_text(node.value)
        case "string" if isinstance(node.value, str):
            return node.value
        case "boolean" if isinstance(node.value, bool):
            return node.value
        case "integer" if type(node.value) in (int, float):
            return _integer(form, node, path, faults)
    return _wrong(form, node, path, faults)


def _wrong(form: Form, node: Node, path: Path, faults: Faults) -> Any:
    faults.append((path, wrong_type(node.value, form), node))
    return _ZERO[form["type"]]


def _integer(form: Form, node: Node, path: Path, faults: Faults) -> int:
    value: int | float = node.value
    unsigned = form["minimum"] == 0
    if isinstance(value, float):
        negative_zero = value == 0 and str(value).startswith("-")
        if not value.is_integer() or abs(value) >= _MAX_PLAIN or (unsigned and negative_zero):
            faults.append((path, f"is {value!r}, not {form['description']}", node))
            return 0
        value = int(Decimal(repr(value)))  # of the digits that Go would write, not of the binary value
    return value  # its range is for the schema to check


def _array(form: Form, node: Node, path: Path, old: Any, faults: Faults) -> list[Any]:
    if not isinstance(node.value, list):
        faults.append((path, wrong_type(node.value, {"type": "array"}), node))
        return []
    form = follow(form)
    result = []
    for place, item in enumerate(node.value):
        before = old[place] if old and place < len(old) else None
        if item.value is None:
            result.append(_ZERO.get(form["type"], {}))
        else:
            result.append(_decode(form, item, (*path, place), before, faults))
    return result


def _object(form: Form, node: Node, path: Path, old: Any, faults: Faults) -> dict[str, Any]:
    if not isinstance(node.value, dict):
        faults.append((path, wrong_type(node.value, form), node))
        return {}
    result = dict(old or {})
    if "properties" not in form:  # a mapping of texts
        for name, _, value in _entries(node, path, faults):
            empty = value.value is None
            result[name] = "" if empty else _decode(form["additionalProperties"], value, (*path, name), None, faults)
        return result
    spellings: dict[str, list[tuple[str, Node]]] = {}
    for name, key, value in _entries(node, path, faults):
        field = next((field for field in form["properties"] if folded(field) == folded(name)), None)
        if field is None:
            faults.append(((*path, name), unknown_field(name, form), key))
        elif value.value is not None:
            spellings.setdefault(field, []).append((name, value))
    for field, given in spellings.items():
        for _, value in sorted(given, key=lambda each: each[0]):  # the last in the order of bytes wins
            result[field] = _decode(form["properties"][field], value, (*path, field), result.get(field), faults)
    return result


def _entries(node: Node, path: Path, faults: Faults) -> list[tuple[str, Node, Node]]:
    entries = []
    for key, value in node.value.values():
        try:
            entries.append((key_text(key.value), key, value))
        except ValueError:
            name = "null" if key.value is None else str(key.value)
            faults.append(((*path, name), "cannot be a key", key))
    return entries
