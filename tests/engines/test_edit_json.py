import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdi_runc.engines import edit_json
from cdi_runc.engines.engine import EngineError

HANDLER = {"path": "/usr/bin/cdi-runc"}


@pytest.mark.parametrize(
    ("before", "keys", "after"),
    [
        ("", ("debug",), '{\n    "debug": {\n        "path": "/usr/bin/cdi-runc"\n    }\n}\n'),
        ("{}", ("a",), '{\n    "a": {\n        "path": "/usr/bin/cdi-runc"\n    }\n}'),
        ('{"b":1}', ("a",), '{"b":1, "a": {"path": "/usr/bin/cdi-runc"}}'),
        ('{"a": 1, "b": 2}', ("a",), '{"a": {"path": "/usr/bin/cdi-runc"}, "b": 2}'),
        ('{\n\t"b": 1\n}\n', ("a",), '{\n\t"b": 1,\n\t"a": {\n\t\t"path": "/usr/bin/cdi-runc"\n\t}\n}\n'),
        (
            '{\n  "r": {\n    "x": {"path": "/x"}\n  },\n  "z": 1e400\n}',
            ("r", "a"),
            '{\n  "r": {\n    "x": {"path": "/x"},\n    "a": {\n      "path": "/usr/bin/cdi-runc"\n    }\n  },\n'
            '  "z": 1e400\n}',
        ),
        (
            '{ "a" : {"b" : {} } }',
            ("a", "b", "c"),
            '{ "a" : {"b" : {\n    "c": {\n        "path": "/usr/bin/cdi-runc"\n    }\n} } }',
        ),
    ],
)
def test_a_value_is_put_and_all_else_stays(before: str, keys: tuple[str, ...], after: str) -> None:
    assert edit_json.put(before, keys, HANDLER) == after


@pytest.mark.parametrize(
    ("before", "keys", "after"),
    [
        ('{"a": 1, "b": 2, "c": 3}', ("a",), '{"b": 2, "c": 3}'),
        ('{"a": 1, "b": 2, "c": 3}', ("b",), '{"a": 1, "c": 3}'),
        ('{"a": 1, "b": 2, "c": 3}', ("c",), '{"a": 1, "b": 2}'),
        ('{"a": {"x": 1}}', ("a", "x"), '{"a": {}}'),
        ('{"a": 1}', ("b",), '{"a": 1}'),
        ('{"a": 1}', ("a", "b"), '{"a": 1}'),
        ('{"a": 1, "a": 2}', ("a",), '{"a": 1}'),
    ],
)
def test_a_value_is_taken_out_with_its_comma(before: str, keys: tuple[str, ...], after: str) -> None:
    assert edit_json.remove(before, keys) == after


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1,}', "line 1, column"),
        ('{\n"a": 1\n"b": 2}', "line 3, column 1: Expecting ',' delimiter"),
        ("[]", "line 1: the file must hold a JSON object"),
        ('{"a": ', "line 1, column"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_what_is_broken_is_named_with_its_line(text: str, words: str) -> None:
    with pytest.raises(EngineError, match="^" + words.replace("(", r"\(")):
        edit_json.parse(text)


def test_a_value_in_the_way_is_named_with_its_line() -> None:
    with pytest.raises(EngineError, match="line 2: 'runtimes' must be an object"):
        edit_json.put('{\n"runtimes": 3}', ("runtimes", "x"), HANDLER)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), _VALUES), st.sampled_from([None, 0, 1, 4, "\t"]), st.booleans())
def test_what_was_put_comes_out_again_byte_for_byte(data: dict[str, object], indent: int | None, ascii_: bool) -> None:
    data.pop("runtimes", None)
    before = json.dumps(data, indent=indent, ensure_ascii=ascii_)
    after = edit_json.put(before, ("runtimes", "cdi-runc"), HANDLER)
    assert json.loads(after) == {**data, "runtimes": {"cdi-runc": HANDLER}}
    assert edit_json.remove(after, ("runtimes",)) == before
