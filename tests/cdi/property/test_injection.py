"""Edits are made wholly or not at all."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cdi_runc.cdi.edits import apply
from cdi_runc.cdi.errors import InjectionError
from tests.cdi.property.strategies import CONFIG, EDITS

GROUPS = st.lists(EDITS, max_size=3).map(lambda edits: [(f"v.com/c={place}", each) for place, each in enumerate(edits)])

NAMES = ["process", "env", "user", "uid", "linux", "devices", "resources", "namespaces", "mounts", "hooks"]
ANY_SHAPE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner),
)


@given(CONFIG, GROUPS)
def test_all_or_nothing(config: Any, groups: Any) -> None:
    before, given_groups = copy.deepcopy(config), copy.deepcopy(groups)
    try:
        apply(config, groups)
    except InjectionError:
        assert config == before
    else:
        assert config["unknown"] == before["unknown"]
        if "process" in before:
            assert config["process"]["unknown"] == before["process"]["unknown"]
    assert groups == given_groups


@given(ANY_SHAPE, GROUPS)
def test_no_config_does_anything_but_be_edited_or_refused(config: Any, groups: Any) -> None:
    before = copy.deepcopy(config)
    message = ""
    try:
        apply(config, groups)
    except InjectionError as error:
        message = str(error)
    assert "\n" not in message
    assert not message or config == before
