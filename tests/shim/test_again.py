"""A bundle that is run again has today's edits, and all that its author wrote."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdi_runc.cdi.errors import InjectionError
from cdi_runc.shim.again import NotOurs, without_edits
from cdi_runc.shim.outcome import outcome
from tests.cdi.property.strategies import CONFIG, EDITS

BEFORE: dict[str, Any] = {
    "process": {"args": ["true"], "env": ["PATH=/bin", "A=user"]},
    "mounts": [{"destination": "/proc", "type": "proc"}, {"destination": "/data", "source": "/user"}],
    "annotations": {"cdi.k8s.io/x": "v.com/c=0"},
}
EDITS_THEN: Any = {
    "env": ["A=cdi", "DRIVER=1"],
    "mounts": [{"hostPath": "/cdi", "containerPath": "/data"}, {"hostPath": "/lib.so.1", "containerPath": "/lib.so.1"}],
    "deviceNodes": [{"path": "/dev/null"}],
    "hooks": [{"hookName": "poststop", "path": "/x"}],
}
MADE = outcome(BEFORE, [("v.com/c=0", EDITS_THEN)], lambda: False)


def edited(**process: Any) -> dict[str, Any]:
    now = copy.deepcopy(MADE)
    now["process"] |= process
    return now


def test_what_was_written_leads_back_to_what_was_found() -> None:
    assert without_edits(copy.deepcopy(MADE), MADE, BEFORE) == BEFORE


def test_what_somebody_changed_since_stays() -> None:
    now = edited(args=["sh"], env=["NEW=1", *MADE["process"]["env"], "B=2"])
    del now["annotations"]
    now["mounts"].append({"destination": "/more", "source": "/more"})
    now["hostname"] = "box"
    found = without_edits(now, MADE, BEFORE)
    assert found["process"] == {"args": ["sh"], "env": ["NEW=1", "PATH=/bin", "A=user", "B=2"]}
    assert found["mounts"] == [*BEFORE["mounts"], {"destination": "/more", "source": "/more"}]
    assert found["hostname"] == "box"
    assert {"annotations", "linux", "hooks"}.isdisjoint(found)


@pytest.mark.parametrize(
    "now",
    [
        BEFORE,
        {},
        {**MADE, "hooks": {}},
        {**MADE, "mounts": MADE["mounts"][:-1]},
        edited(env=["PATH=/bin", "A=user"]),
        edited(env="x"),
    ],
    ids=range(6),
)
def test_a_config_that_was_written_anew_is_its_authors(now: Any) -> None:
    with pytest.raises(NotOurs):
        without_edits(now, MADE, BEFORE)


@given(CONFIG, st.lists(EDITS, max_size=2), st.dictionaries(st.sampled_from(["unknown", "new"]), st.integers()))
def test_any_edits_can_be_taken_back(config: Any, edits: list[Any], change: dict[str, int]) -> None:
    try:
        made = outcome(config, [("v.com/c=0", each) for each in edits], lambda: False)
    except InjectionError:
        return
    assert without_edits(copy.deepcopy(made), made, config) == config
    found = without_edits({**made, **change}, made, config)
    assert {**found, **config, **change} == {**config, **change} == found | change


OLD, NEW = {"options": ["ro"]}, {"options": ["rw"]}


@pytest.mark.parametrize(
    ("before", "made", "now", "found"),
    [
        (
            [{"destination": "/a", **OLD}, 1],
            [{"destination": "/a", **NEW}, 1],
            [2],
            [{"destination": "/a", **OLD}, 1, 2],
        ),
        ([{"path": "/a", **OLD}, 1], [{"path": "/a", **NEW}, 1], [2], [{"path": "/a", **OLD}, 1, 2]),
        (["A=1", "B=1"], ["A=2", "B=1"], ["C=1"], ["A=1", "B=1", "C=1"]),
        ([1, 2], [2, 3], [4], [2, 4, 1]),
        ([True], [1, True], [], [True]),
        ([[1, "1"]], [[1, 1], [1, "1"]], [], [[1, "1"]]),
        ([], ["A=1"], [], []),
    ],
)
def test_what_replaced_an_item_gives_its_place_back(before: Any, made: Any, now: Any, found: Any) -> None:
    assert without_edits({"x": [*made, *now]}, {"x": made}, {"x": before}) == {"x": found}


@pytest.mark.parametrize(
    ("now", "found"),
    [({"x": {"a": 1, "c": 3}}, {"x": {"c": 3}}), ({"x": {"a": 1}, "y": 0}, {"y": 0}), ({"x": {"a": 1}}, {})],
)
def test_an_object_that_was_made_goes_if_it_is_empty_then(now: Any, found: Any) -> None:
    assert without_edits(now, {"x": {"a": 1}}, {}) == found


def test_an_object_that_was_there_stays() -> None:
    assert without_edits({"x": {"a": 1}, "y": 0}, {"x": {"a": 1}}, {"x": {}}) == {"x": {}, "y": 0}
    assert without_edits({"x": ["A"], "y": 0}, {"x": ["A"]}, {"x": []}) == {"x": [], "y": 0}


@pytest.mark.parametrize("now", [{"x": 2}, {"x": "1"}, {"x": {"a": 1}}, {"x": [1]}])
def test_a_value_that_was_made_and_changed_is_its_author_s(now: Any) -> None:
    with pytest.raises(NotOurs):
        without_edits(now, {"x": 1}, {"x": 0})
