"""JSON goes through without loss, and what is no JSON is said to be none."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdi_runc.shim.jsontext import Document

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
numbers = st.from_regex(
    re.compile(r"\A-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?\Z", re.ASCII)
).filter(lambda text: text != "-0")  # an integer, which has no sign


@given(values, st.sampled_from([None, 1]), st.booleans())
def test_values_come_out_as_they_went_in(value: object, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert json.loads(Document(text).text()) == value


@given(st.lists(numbers, min_size=1))
def test_every_digit_of_a_number_survives(texts: list[str]) -> None:
    assert Document("[" + " , ".join(texts) + "]").text() == "[" + ",".join(texts) + "]"


def test_numbers_that_floats_or_64_bits_cannot_hold_survive() -> None:
    text = '{"a":[18446744073709551615,-9223372036854775808,1e400,1.10,-0.0,1E5,0.1000000000000000055511151231257827]}'
    assert Document(text).text() == text


def test_no_text_is_taken_for_the_stand_in_of_a_float() -> None:
    text = '["' + "9" * 45 + '",1.5,' + "9" * 60 + ",2.5]"
    assert Document(text).text() == text


def test_lone_surrogates_survive() -> None:
    assert Document('["\\ud800","\\udc00x"]').text() == '["\\ud800","\\udc00x"]'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "Expecting value"),
        ("{", "line 1 column 2"),
        ('{"a":1,}', "line 1 column"),
        ("[1] x", "Extra data"),
        ("[NaN]", "NaN is no JSON"),
        ("-Infinity", "-Infinity is no JSON"),
        ('["\t"]', "Invalid control character"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("\ufeff{}", "BOM"),
    ],
)
def test_what_is_no_json_is_said_to_be_none(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        Document(text)
