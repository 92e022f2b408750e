"""Specs come back from a file as they went; no text does anything but be read or refused."""

from __future__ import annotations

import contextlib
import json
import pathlib
import tempfile
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import cdi_runc as cdi
from cdi_runc.cdi import _yaml
from cdi_runc.cdi._fields import fields
from cdi_runc.cdi._python_loader import PythonLoader
from tests.cdi.property.strategies import SPEC

# Text in which YAML has something to stumble over at every step.
TOKENS = [
    *["a", "1", "y", "devices", "kind: v.com/c", "<<", "*a", "&a", "!!int", "!", "?", ":", "-", ",", "#"],
    *["[", "]", "{", "}", "'", '"', "\\", "|", ">", "%YAML 1.1", "---", "..."],
    *["\n", "\n  ", "  ", "\t", "\ufeff", "\x85", "\0", "é"],
]
YAML_LIKE = st.lists(st.sampled_from(TOKENS), max_size=30).map("".join)


@pytest.mark.parametrize("ending", [".yaml", ".json"])
@given(SPEC)
def test_specs_come_back(ending: str, spec: Any) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = cdi.write_spec(spec, pathlib.Path(directory, f"a{ending}"))
        assert cdi.load_spec(path) == spec
        by_python, faults = fields(_yaml.read(pathlib.Path(path).read_bytes().decode(), PythonLoader))
        assert (by_python, faults) == (spec, [])


@given(SPEC)
def test_json_of_any_making_is_read(spec: Any) -> None:
    assert cdi.parse_spec(json.dumps(spec)) == spec


@given(SPEC)
def test_the_minimum_version_is_enough_and_less_is_not(spec: Any) -> None:
    needed = cdi.minimum_required_version(spec)
    cdi.validate_spec({**spec, "cdiVersion": needed})
    for version in cdi.KNOWN_VERSIONS[: cdi.KNOWN_VERSIONS.index(needed)]:
        with pytest.raises(cdi.InvalidSpec, match="cdiVersion"):
            cdi.validate_spec({**spec, "cdiVersion": version})


@given(st.text() | st.binary() | YAML_LIKE)
@example("&a [*a]")
@example("\ud800")
@example("? " * 300)
@example('{"a": "\\ud800"}')
def test_any_text_is_read_or_refused(text: str | bytes) -> None:
    message = ""
    try:
        cdi.parse_spec(text)
    except cdi.InvalidSpec as error:
        message = str(error)
    assert "\n" not in message


@given(st.text() | YAML_LIKE)
def test_any_text_is_read_or_refused_by_the_parser_in_python(text: str) -> None:
    with contextlib.suppress(_yaml.YAMLError):
        _yaml.read(text, PythonLoader)
