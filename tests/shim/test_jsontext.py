"""JSON goes through without loss, and what is not JSON is said to be none."""

import json
import re
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdi_runc.shim import jsonslow, jsontext
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


def test_a_text_may_look_like_a_number_of_the_same_document() -> None:
    text = '{"1.5":"1.5","a":[1.5,"2.50",2.50]}'
    assert Document(text).text() == text


@pytest.mark.parametrize("digits", [4300, 4301, 100_000])
def test_integers_of_any_length_survive(digits: int) -> None:
    text = f'{{"a":{"9" * digits},"b":-{"1" * digits}}}'
    assert Document(text).text() == text


def test_the_time_grows_with_the_number_of_floats_and_no_faster() -> None:
    few, many = ("[" + ",".join(["0.10"] * number) + "]" for number in (20_000, 200_000))

    def steps(text: str) -> int:
        """The calls of Python functions, which no other process can make more."""
        count = 0

        def noted(*_: object) -> None:
            nonlocal count
            count += 1

        sys.setprofile(noted)
        try:
            document = Document(text)
            assert document.text() == text
        finally:
            sys.setprofile(None)
        return count

    assert steps(many) < 12 * steps(few)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"process":{"env":["A=1"]},"process":{"args":["x"]}}', '{"process":{"env":["A=1"],"args":["x"]}}'),
        ('{"a":{"b":{"c":1,"d":1}},"a":{"b":{"d":2}}}', '{"a":{"b":{"c":1,"d":2}}}'),
        ('{"annotations":{"a":"1","b":"1"},"annotations":{"b":"2"}}', '{"annotations":{"a":"1","b":"2"}}'),
        ('{"a":1,"a":2.50}', '{"a":2.50}'),
        ('{"a":{"b":1},"a":null}', '{"a":null}'),
        ('{"a":{"b":1},"a":null,"a":{"c":1}}', '{"a":{"c":1}}'),
        ('{"a":[1,2,3],"a":[4]}', '{"a":[4]}'),
        ('{"mounts":[{"type":"x"},{"type":"y"}],"mounts":[{"source":"z"}]}', '{"mounts":[{"type":"x","source":"z"}]}'),
        ('{"linux":{"rdma":{"m":{"hcaHandles":1},"m":{"hcaObjects":2}}}}', '{"linux":{"rdma":{"m":{"hcaObjects":2}}}}'),
        ('{"rdma":{"m":{"hcaHandles":1},"n":{}},"rdma":{"m":{}}}', '{"rdma":{"m":{},"n":{}}}'),
        ('[{"a":1,"a":{"b":{"c":1,"c":2}}}]', '[{"a":{"b":{"c":2}}}]'),
    ],
)
def test_a_key_that_is_there_twice_means_what_it_means_to_go(text: str, expected: str) -> None:
    assert Document(text).text() == expected


def test_lone_surrogates_survive() -> None:
    assert Document('["\\ud800","\\udc00x"]').text() == '["\\ud800","\\udc00x"]'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "Expecting value"),
        ("{", "line 1 column 2"),
        ('{"a":1,}', "line 1 column"),
        ("[1] x", "Extra data"),
        ("[NaN]", "NaN is not JSON"),
        ("-Infinity", "-Infinity is not JSON"),
        ('["\t"]', "Invalid control character"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("\ufeff{}", "starts with a byte order mark (BOM); save the file as UTF-8 without one"),
        ("\ufeffx", "BOM"),
    ],
)
def test_what_is_no_json_is_said_to_be_none(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        Document(text)


def test_the_scanner_of_each_python_finds_what_it_asks_for() -> None:
    # array_hook is for 3.15; the others are those of JSONDecoder since 3.1.
    asked = ["strict", "object_hook", "object_pairs_hook", "array_hook", "parse_float", "parse_int", "parse_constant"]
    assert all(hasattr(jsontext._Context(), name) for name in [*asked, "memo"])


class _OfAnotherPython:
    """A `_json` that has changed: it asks for something that no version before it asked for."""

    encode_basestring_ascii = staticmethod(json.encoder.encode_basestring_ascii)

    def make_scanner(self, context: Any) -> object:
        return context.what_comes_next

    def make_encoder(self, *arguments: object) -> object:
        raise TypeError(f"make_encoder() takes 12 arguments, not {len(arguments)}")


@pytest.mark.parametrize(
    "text",
    [
        '{"a":[1e400,1.10,-0.0,{"b":{}},[]],"c":"\\ud800\\u00e4 1.5","d":true,"e":null}',
        f"[{'9' * 5000}]",
    ],
)
def test_all_is_the_same_without_the_insides_of_json(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(jsontext, "_json", _OfAnotherPython())
    assert Document(text).text() == text
    assert Document(' {"a":1,"a":2}\r\n').text() == '{"a":2}'
    with pytest.raises(ValueError, match="nested too deeply"):
        Document("[" * 100_000)
    with pytest.raises(ValueError, match="NaN is not JSON"):
        Document("[NaN]")


@given(values, st.sampled_from([0, 2]))
def test_the_slow_way_writes_as_json_does(value: object, indent: int) -> None:
    compact = None if indent else (",", ":")
    assert jsonslow.written(value, indent) == json.dumps(value, indent=indent or None, separators=compact)


@pytest.mark.parametrize("blanks", ["", " ", "\t", "\n", "\r", " \n\r\t "])
def test_blanks_around_a_text_change_nothing(blanks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonslow, "read", lambda _: pytest.fail("the slow way reads it"))
    assert Document(f'{blanks}{{"a": 1}}{blanks}').value == {"a": 1}


def test_of_a_text_without_floats_nothing_is_a_number() -> None:
    assert not Document('{"a": [1, "1.5", true]}').has_numbers
    assert Document("[1.5]").has_numbers
