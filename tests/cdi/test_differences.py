"""Where a text is read otherwise than by the reference, knowingly: the rule would cost more than it is worth.

What the vectors show besides, and why, stands in test_vectors.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from cdi_runc.cdi import _yaml
from cdi_runc.cdi._python_loader import PythonLoader
from cdi_runc.cdi._yaml import YAMLError
from cdi_runc.cdi.errors import InvalidSpec
from cdi_runc.cdi.spec import parse_spec

FLOAT = "for 32-bit powers of two Go finds digits one shorter in the wider half of their neighbourhood"
TIMESTAMP = "a text tagged as a timestamp is not checked for being one"
BINARY = "of binary data that is not UTF-8, Go replaces each byte, Python each broken sequence"
COMMA = "libyaml ends a tag at a comma, and goyaml does not; only a tag without a value shows it"
LARGE = "a text of more than a quarter of a mebibyte that libyaml refuses is not tried again"
MANY = "a spec has at most 500,000 values"
UTF_16 = "a spec is UTF-8"


def closid(value: str) -> str:
    edits = f"{{intelRdt: {{closID: {value}}}}}"
    return f"{{cdiVersion: 1.1.0, kind: v.com/c, devices: [{{name: a, containerEdits: {edits}}}]}}"


@pytest.mark.parametrize(
    ("value", "ours", "reference", "reason"),
    [
        ("1.2379400392853803e+27", "1.23794004e+27", "1.2379401e+27", FLOAT),
        ("!!timestamp x", "x", None, TIMESTAMP),
        ("!!binary 4oLi", "\ufffd\ufffd", "\ufffd\ufffd\ufffd", BINARY),
    ],
)
def test_values(value: str, ours: str, reference: str | None, reason: str) -> None:
    edits: Any = parse_spec(closid(value))["devices"][0]["containerEdits"]
    assert edits["intelRdt"]["closID"] == ours != reference, reason


@pytest.mark.skipif(_yaml.FastLoader is PythonLoader, reason="PyYAML came without libyaml")
def test_a_tag_before_a_comma() -> None:
    text = "{a: !!str, b: 1}"
    assert len(_yaml.read(text).value) == 2, COMMA
    with pytest.raises(YAMLError):  # as the reference does
        _yaml.read(text, PythonLoader)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 101 + "a" + "]" * 101, "lists and mappings are at most 100 deep, not 10,000"),
    ],
)
def test_refused_by_the_parser_in_python(text: str, reason: str) -> None:
    with pytest.raises(YAMLError):
        _yaml.read(text, PythonLoader)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (closid("a:") + "#" * _yaml.MAX_RETRIED, LARGE),
        (closid("a\n\ufeffb") + "#" * _yaml.MAX_RETRIED, LARGE),
        (closid("[" + "a," * 600_000 + "]"), MANY),
        (closid("a").encode("utf-16"), UTF_16),
    ],
)
def test_refused(text: str | bytes, reason: str) -> None:
    with pytest.raises(InvalidSpec):
        parse_spec(text)
