"""The JSON schema is a good one for others too, and says nothing else than the types do."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from cdi_runc.cdi import types
from cdi_runc.cdi.schema import schema, schema_errors

FORMS = {
    "Spec": schema(),
    **{
        name[0].upper() + name[1:]: form
        for name, form in schema()["definitions"].items()
        if "properties" in form and name != "netDevice"
    },
    "LinuxNetDevice": schema()["definitions"]["netDevice"],
}


def parts(form: Any) -> Iterator[dict[str, Any]]:
    yield form
    for inner in (*form.get("properties", {}).values(), *form.get("definitions", {}).values()):
        yield from parts(inner)
    if "items" in form:
        yield from parts(form["items"])


def test_it_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(schema())


def test_nobody_can_spoil_it_for_others() -> None:
    schema().clear()
    assert schema()["title"] == "CDI spec"


def test_whatever_a_message_needs_is_described() -> None:
    needing = {"pattern", "minLength", "minItems", "minimum", "maximum", "maxLength"}
    assert all("description" in part for part in parts(schema()) if needing & part.keys())


@pytest.mark.parametrize("name", FORMS)
def test_the_types_have_the_same_fields(name: str) -> None:
    type_ = getattr(types, name)
    assert set(typing.get_type_hints(type_)) == set(FORMS[name]["properties"])
    assert type_.__required_keys__ == set(FORMS[name].get("required", ()))
    assert FORMS[name]["additionalProperties"] is False


@pytest.mark.parametrize(
    ("data", "errors"),
    [
        (5, [((), "is an integer, not an object")]),
        (
            {"cdiVersion": None, "kind": "a/b", "devices": [{"name": "a"}], "x": 1},
            [(("x",), "is not a known field (allowed are cdiVersion, kind, annotations, devices, containerEdits)")],
        ),
        ({"kind": "a/b", "devices": []}, [(("cdiVersion",), "is missing"), (("devices",), "is empty, not a list")]),
    ],
)
def test_errors(data: Any, errors: list[tuple[Any, str]]) -> None:
    found = list(schema_errors(data))
    assert all(any(path == where and text.startswith(message) for where, text in found) for path, message in errors)
