"""Parts of a spec by their form in the schema."""

from __future__ import annotations

from typing import Any

import pytest

from cdi_runc.cdi import _yaml
from cdi_runc.cdi._fields import decoded, fields, has_no_value, locate
from cdi_runc.cdi.schema import shared_schema

SPEC = """
cdiVersion: 1.1.0
KIND: v.com/c
devices:
- name: a
  containerEdits:
    env: null
    deviceNodes: [{path: /dev/x, major: 1}]
- name: b
"""


@pytest.mark.parametrize(
    ("form", "text", "value", "words"),
    [
        ({"type": "string"}, "a", "a", []),
        ({"type": "string"}, "1.50", "1.5", []),
        ({"type": "string"}, "[a]", "", ["is a list, not a text"]),
        ({"type": "boolean"}, "true", True, []),
        ({"type": "boolean"}, "1", False, ["is an integer, not a boolean"]),
        ({"type": "array", "items": {"type": "string"}}, "[a, 1, null]", ["a", "1", ""], []),
        ({"type": "array", "items": {"type": "string"}}, "a", [], ["is a text, not a list"]),
    ],
)
def test_a_value_has_the_form_that_is_asked_for(form: Any, text: str, value: object, words: list[str]) -> None:
    found, faults = decoded(form, _yaml.read(text))
    assert found == value
    assert type(found) is type(value)
    assert [said for _, said, _ in faults] == words


def node(path: tuple[str | int, ...]) -> Any:
    found = locate(_yaml.read(SPEC), path)
    return found.value if not isinstance(found.value, (dict, list)) else len(found.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("kind",), "v.com/c"),
        (("devices", 0, "name"), "a"),
        (("devices", 1, "Name"), "b"),
        (("devices", 0, "containerEdits", "deviceNodes", 0, "major"), 1),
        (("devices", 2, "name"), 2),  # the list is the last on the way
        (("devices", "name"), 2),
        (("devices", 1, "none", "name"), 1),
        (("kind", 0), "v.com/c"),
        ((), 3),
    ],
)
def test_where_something_is(path: tuple[str | int, ...], value: object) -> None:
    assert node(path) == value


@pytest.mark.parametrize(
    ("path", "none"),
    [
        (("devices", 0, "containerEdits", "env"), True),
        (("devices", 0, "containerEdits", "ENV"), True),
        (("devices", 0, "containerEdits", "deviceNodes"), False),
        (("devices", 0, "containerEdits", "hooks"), False),
        (("devices", 0), False),
        (("kind",), False),
    ],
)
def test_a_field_that_is_null(path: tuple[str | int, ...], none: bool) -> None:
    assert has_no_value(_yaml.read(SPEC), path) == none


@pytest.mark.parametrize(
    ("number", "value"),
    [("1", 1), ("1.0", 1), ("-0", 0), ("1e3", 1000), ("1e20", 10**20), ("9007199254740993.0", 9007199254740992)],
)
def test_numbers_of_integers(number: str, value: int) -> None:
    spec, faults = fields(_yaml.read(SPEC.replace("major: 1", f"major: {number}")))
    assert spec["devices"][0]["containerEdits"]["deviceNodes"][0]["major"] == value
    assert faults == []


@pytest.mark.parametrize("number", ["1.5", "1e21", "-1e21", "1e300"])
def test_numbers_of_no_integer(number: str) -> None:
    spec, ((path, words, _),) = fields(_yaml.read(SPEC.replace("major: 1", f"major: {number}")))
    assert path == ("devices", 0, "containerEdits", "deviceNodes", 0, "major")
    assert words.startswith(f"is {float(number)!r}, not ")
    assert spec["devices"][0]["containerEdits"]["deviceNodes"][0]["major"] == 0


def test_spellings_of_one_field_are_merged_in_the_order_of_bytes() -> None:
    text = "containerEdits: {env: [a, b]}\nContainerEdits: {hooks: [], env: [c]}\n"
    spec, faults = fields(_yaml.read(text))
    assert spec == {"containerEdits": {"env": ["a", "b"], "hooks": []}}
    assert faults == []


def test_a_spec_that_is_no_object() -> None:
    assert fields(_yaml.read("[]"))[0] == {}
    assert shared_schema()["type"] == "object"
