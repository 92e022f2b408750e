"""The JSON schema of a spec file: schema.json as data, and what it finds wrong in some data.

The only module that knows jsonschema, and it imports it only when something is to be checked.
"""

from __future__ import annotations

import functools
import json
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cdi_runc.cdi.versions import Path

if TYPE_CHECKING:
    from jsonschema import Draft7Validator
    from jsonschema.exceptions import ValidationError

Form = dict[str, Any]  # a schema, or a part of one
MISSING = "is missing"


def schema() -> Form:
    """The JSON schema (draft 7) of a spec file, a new copy at each call.

    It is strict: a field that it does not know is an error. Every spec that `parse_spec` gives is valid by it.

    >>> schema()["required"]
    ['cdiVersion', 'kind', 'devices']
    """
    form: Form = json.loads(pathlib.Path(__file__).with_name("schema.json").read_text("utf-8"))
    return form


@functools.cache
def shared_schema() -> Form:
    """The same, one copy for all, for those who only read it."""
    return schema()


def follow(form: Form) -> Form:
    """The part of the schema that a `$ref` leads to; any other part is itself."""
    if "$ref" not in form:
        return form
    target: Form = shared_schema()["definitions"][form["$ref"].rpartition("/")[2]]
    return target


def schema_errors(data: object) -> Iterator[tuple[Path, str]]:
    """Where the data breaks the schema, and how: what was found and what is allowed."""
    for error in _validator().iter_errors(data):
        path = tuple(error.absolute_path)
        if error.validator == "required":
            for name in error.validator_value:
                if name not in error.instance:
                    yield (*path, name), MISSING
        elif error.validator == "additionalProperties":
            form: Any = error.schema
            for name in error.instance:
                if name not in form["properties"]:
                    yield (*path, name), unknown_field(name, form)
        else:
            yield path, _message(error)


@functools.cache
def _validator() -> Draft7Validator:
    import jsonschema

    return jsonschema.Draft7Validator(shared_schema())


def unknown_field(name: str, form: Form) -> str:
    """The message for a field that an object of this form does not have."""
    import difflib

    allowed = form["properties"]
    near = difflib.get_close_matches(name, allowed, 1)
    hint = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(allowed)}"
    return f"is not a known field ({hint})"


def wrong_type(value: object, form: Form) -> str:
    """The message for a value that is not of the form's type."""
    return f"is {_KINDS.get(type(value), type(value).__name__)}, not {_TYPES[form['type']]}"


_KINDS = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "a boolean",
    int: "an integer",
    float: "a number with a fraction",
    type(None): "null",
}
_TYPES = {
    "object": "an object",
    "array": "a list",
    "string": "a text",
    "boolean": "a boolean",
    "integer": "an integer",
}


def _message(error: ValidationError) -> str:
    found: object = error.instance
    form: Any = error.schema
    match error.validator:
        case "type":
            return wrong_type(found, form)
        case "minLength" | "minItems":
            return f"is empty, not {form['description']}"
        case "enum":
            return f"is {shown(found)}, not one of {', '.join(filter(None, form['enum']))}"
        case _:
            return f"is {shown(found)}, not {form['description']}"


def shown(value: object) -> str:
    """The value as a message shows it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else text[:76] + "..." + text[-1]
