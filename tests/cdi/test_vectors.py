"""Our answers are the reference's, save those that are listed here with their reason."""

from __future__ import annotations

import copy
import pathlib
from typing import Any

import pytest

import cdi_runc as cdi
from tests.cdi.compare import Case, cases, differences, prepare

UNREADABLE_DIRECTORY = "a spec directory that cannot be read is an error of its own and hides no other"
NO_EDITS = "SPEC.md lets a device have no container edits"
DIGIT_FIRST = "SPEC.md lets the vendor and class of a kind begin with a digit"
VALID_JSON = "all valid JSON is read, also where it is no YAML 1.1"

ANSWERED_OTHERWISE = {
    "inject-file-names-034": UNREADABLE_DIRECTORY,
    "inject-file-names-035": UNREADABLE_DIRECTORY,
    "inject-yaml-060": NO_EDITS,
    "inject-yaml-061": NO_EDITS,
    "validate-missing-005": NO_EDITS,
    "validate-missing-006": NO_EDITS,
    "validate-names-014": DIGIT_FIRST,
    "inject-yaml-091": VALID_JSON,
    "inject-yaml-093": VALID_JSON,
    "validate-yaml-097": VALID_JSON,
}


def vectors(kind: str) -> list[Any]:
    return [pytest.param(case, id=case["id"]) for case in cases(kind)]


def check(kind: str, case: Case, expected: Case, actual: Case) -> None:
    found = differences(kind, expected, actual)
    if case["id"] in ANSWERED_OTHERWISE:
        assert found, "the reference answers the same by now: take the vector off the list"
    else:
        assert not found, case["note"]


@pytest.mark.parametrize("case", vectors("inject"))
def test_inject(case: Case, tmp_path: pathlib.Path) -> None:
    run = prepare(case, tmp_path)
    registry = cdi.Registry(spec_dirs=run["spec_dirs"])
    actual: Case = {"errors": list(registry.errors), "devices": list(registry.devices)}
    before = copy.deepcopy(run["config"])
    try:
        registry.inject(run["config"], run["devices"])
        actual["config"] = run["config"]
    except cdi.UnresolvableDevices as error:
        actual |= {"error": "unresolvable", "unresolved": list(error.names)}
    except cdi.InjectionError:
        actual["error"] = "injection"
    assert "config" in actual or run["config"] == before
    check("inject", case, run["expected"], actual)


@pytest.mark.parametrize("case", vectors("validate"))
def test_validate(case: Case) -> None:
    actual: Case = {"valid": True}
    try:
        actual["min_version"] = cdi.minimum_required_version(cdi.parse_spec(case["input"]["text"]))
    except cdi.InvalidSpec:
        actual = {"valid": False}
    check("validate", case, case["expected"], actual)


@pytest.mark.parametrize("case", vectors("parse_name"))
def test_parse_name(case: Case) -> None:
    actual: Case = {"is_qualified_name": cdi.is_qualified_name(case["input"])}
    try:
        actual |= zip(("vendor", "class", "name"), cdi.parse_qualified_name(case["input"]), strict=True)
    except cdi.InvalidName:
        actual["error"] = True
    check("parse_name", case, case["expected"], actual)


@pytest.mark.parametrize("case", vectors("annotations"))
def test_annotations(case: Case) -> None:
    try:
        keys, devices = cdi.parse_annotations(case["input"])
        actual: Case = {"keys": keys, "devices": devices}
    except cdi.InvalidName:
        actual = {"error": True}
    check("annotations", case, case["expected"], actual)


@pytest.mark.parametrize("case", vectors("update_annotations"))
def test_update_annotations(case: Case) -> None:
    given = case["input"]
    before = copy.deepcopy(given["annotations"])
    actual: Case = {
        "key": result_of(cdi.annotation_key, given["plugin"], given["device_id"]),
        "value": result_of(cdi.annotation_value, given["devices"]),
    }
    try:
        actual["annotations"] = cdi.update_annotations(**given)
    except cdi.InvalidName:
        actual["error"] = True
    assert given["annotations"] == before
    check("update_annotations", case, case["expected"], actual)


def result_of(build: Any, *args: Any) -> str | None:
    try:
        result: str = build(*args)
    except cdi.InvalidName:
        return None
    return result
