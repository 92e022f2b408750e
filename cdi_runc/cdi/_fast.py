"""The short way to a spec: JSON that is just as `parse_spec` would give it, in a hundredth of the time.

Nearly all specs of programs are so, and large ones always are. It says yes only where that is certain. After a no, YAML
and jsonschema have to look: they know what is wrong, and where.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from typing import Any

from cdi_runc.cdi.schema import Form, follow, shared_schema

Check = Callable[[Any], bool]

KEYWORDS = {
    "object": {"required", "properties", "additionalProperties"},
    "array": {"items", "minItems"},
    "string": {"pattern", "enum", "minLength", "maxLength"},
    "integer": {"minimum", "maximum"},
    "boolean": set[str](),
}  # all that `check_of` looks at, by type

# YAML folds lines at three characters more than JSON has, and half a surrogate pair is none of YAML's characters.
_OTHER_IN_YAML = re.compile(r"[\x85\u2028\u2029\ud800-\udfff]|\\u[dD][89A-Fa-f]")


def plain_json(text: str) -> Any:
    """What a JSON text holds. Raises ValueError where it is none, or YAML could have another value for it: a fraction.

    Nobody sees that error: what is wrong is said after the long way.

    >>> plain_json('{"major": 195}')
    {'major': 195}
    """
    if _OTHER_IN_YAML.search(text):
        raise ValueError
    return json.loads(text, object_pairs_hook=_once, parse_float=_refuse, parse_constant=_refuse)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):  # a key is given twice
        raise ValueError
    return members


def _refuse(number: str) -> None:
    raise ValueError  # it may be another number in YAML


@functools.cache
def spec_check() -> Check:
    """Tells whether data surely keeps the schema of a spec file."""
    return check_of(shared_schema())


def check_of(form: Form) -> Check:
    """The same for a part of the schema.

    >>> check_of({"type": "integer", "minimum": 0, "maximum": 9})(10)
    False
    """
    form = follow(form)
    match form["type"]:
        case "object":
            return _fields(form) if "properties" in form else _texts_by_name(form)
        case "array":
            return _items(form)
        case "string":
            return _text(form)
        case "integer":
            least, most = form["minimum"], form["maximum"]
            return lambda value: type(value) is int and least <= value <= most
        case _:
            return lambda value: type(value) is bool


def _fields(form: Form) -> Check:
    checks = {name: check_of(part) for name, part in form["properties"].items()}
    required = set(form.get("required", ()))

    def check(value: Any) -> bool:
        if type(value) is not dict or not required <= value.keys() <= checks.keys():
            return False
        return all(checks[name](value[name]) for name in value)

    return check


def _texts_by_name(form: Form) -> Check:
    of_value = check_of(form["additionalProperties"])
    return lambda value: type(value) is dict and all(type(name) is str and of_value(value[name]) for name in value)


def _items(form: Form) -> Check:
    of_item, least = check_of(form["items"]), form.get("minItems", 0)
    return lambda value: type(value) is list and len(value) >= least and all(map(of_item, value))


def _text(form: Form) -> Check:
    allowed, least, most = form.get("enum"), form.get("minLength", 0), form.get("maxLength")
    search = re.compile(form.get("pattern", "")).search

    def check(value: Any) -> bool:
        return (
            type(value) is str
            and len(value) >= least
            and (most is None or len(value) <= most)
            and (allowed is None or value in allowed)
            and search(value) is not None
        )

    return check
