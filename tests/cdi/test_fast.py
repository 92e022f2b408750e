"""The short way to a spec is certain: what it takes, the long way takes as well, and gives the same."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import cdi_runc as cdi
from cdi_runc.cdi import _yaml
from cdi_runc.cdi._fast import KEYWORDS, plain_json, spec_check
from cdi_runc.cdi._fields import fields
from cdi_runc.cdi.schema import schema, schema_errors
from tests.cdi.property.strategies import SPEC

SMALL: Any = {"cdiVersion": "1.1.0", "kind": "v.com/c", "devices": [{"name": "a"}]}
# Values of which each is wrong in some place of a spec, or is another one in YAML.
STRANGE = [None, True, 0, -1, 1 << 64, 1.0, "", "=", "a\n", "a/b", " ", "é", [], [None], {}, {"x": 1}]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield from places(inner, (*path, key))


def with_value(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.copy(data)
    changed[path[0]] = with_value(data[path[0]], path[1:], value)
    return changed


@given(SPEC)
@example({**SMALL, "annotations": {"a": "\x85"}})
def test_specs_go_the_short_way_and_come_out_the_same(spec: Any) -> None:
    text = json.dumps(spec, ensure_ascii=False)
    text = re.sub("[\x85\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)  # YAML folds lines there
    by_yaml, faults = fields(_yaml.read(text))
    assert (by_yaml, faults) == (spec, [])
    assert plain_json(text) == spec
    assert spec_check()(spec)


@given(SPEC, st.data())
def test_what_it_takes_jsonschema_takes(spec: Any, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(places(spec))))
    changed = with_value(spec, path, data.draw(st.sampled_from(STRANGE)))
    if spec_check()(changed):
        assert list(schema_errors(changed)) == []


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "\\ud800"}',
        '{"a": "\ud800"}',
        '{"a": 1, "a": 2}',
        '{"a": "b\u2028c"}',
        '{"a": "b\x85c"}',
        '{"a": 1e400}',
        '{"a": NaN}',
        "a: b",
        "",
    ],
)
def test_what_yaml_could_read_in_another_way_is_no_plain_json(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        plain_json(text)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        (json.dumps({**SMALL, "annotations": {"a": 1}}), {**SMALL, "annotations": {"a": "1"}}),
        (json.dumps({**SMALL, "annotations": None}), SMALL),
        (json.dumps(SMALL).replace("kind", "KIND"), SMALL),
        (json.dumps({**SMALL, "annotations": {"a": "b?"}}).replace("?", "\x85"), {**SMALL, "annotations": {"a": "b "}}),
    ],
)
def test_what_has_to_be_changed_goes_the_long_way(text: str, spec: Any) -> None:
    assert cdi.parse_spec(text) == spec


def test_deep_json_is_no_crash() -> None:
    with pytest.raises(cdi.InvalidSpec):
        cdi.parse_spec("[" * 100_000)


def parts(form: Any) -> Iterator[dict[str, Any]]:
    if "type" in form:
        yield form
    for inner in form.get("properties", {}).values():
        yield from parts(inner)
    for inner in (form.get("items"), form.get("additionalProperties")):
        if isinstance(inner, dict):
            yield from parts(inner)


def test_it_looks_at_all_that_the_schema_says() -> None:
    words = {"type", "description", "title", "examples", "$schema", "definitions"}
    whole = schema()
    for form in (whole, *whole["definitions"].values()):
        for part in parts(form):
            assert part.keys() - words <= KEYWORDS[part["type"]], part
