"""policy.yaml: what it may say, and what is said of one that is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from cdi_runc.host import places
from cdi_runc.host.policy import NONE, idle_rules, read, schema


def written(directory: Path, text: str) -> str:
    path = directory / "policy.yaml"
    path.write_text(text)
    path.chmod(0o644)
    return str(path)


def test_the_schema_is_one() -> None:
    Draft7Validator.check_schema(schema())


def test_no_file_is_no_rule(tmp_path: Path) -> None:
    assert read(str(tmp_path / "policy.yaml")) == NONE


def test_a_rule_knows_its_line_and_is_compiled(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "# gpus\nrules:\n- match: {device: [n.com/*, 'v.com/gpu=0'], uid: 5, labels: {team: 'ml-*'}}\n  action: allow\n"
        "  limits: {hooks: [/usr/bin/*], permissions: rw}\n\n- {action: deny, message: ask us}\n",
    )
    first, second = read(path)["rules"]
    assert first == {
        "place": f"{path}:3",
        "action": "allow",
        "message": "",
        "match": {"device": [("n.com/", ""), ("v.com/gpu=0",)], "uid": [5], "labels": [("team", [("ml-", "")])]},
        "limits": {"hooks": [("/usr/bin/", "")], "permissions": "rw"},
    }
    assert second == {"place": f"{path}:7", "action": "deny", "message": "ask us", "match": {}, "limits": {}}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("rule: []\n", "policy.yaml: unknown key 'rule', did you mean 'rules'?"),
        ("", "policy.yaml: found {}, expected an object with rules"),
        ("rules: [{action: allow, mtach: {}}]\n", "unknown key 'mtach' in rules.0, did you mean 'match'?"),
        (
            "rules: [{match: {devices: x}, action: deny}]\n",
            "'devices' in rules.0.match, did you mean 'device'?",
        ),
        ("rules: [{action: maybe}]\n", "rules.0.action: found 'maybe', expected allow, deny or audit"),
        ("rules: [{action: deny, match: {device: 'a?'}}]\n", "policy.yaml:1: 'a?' is not a pattern: '?' can't be"),
        ("rules: [{action: deny, match: {uid: -1}}]\n", "rules.0.match.uid: found -1, expected a user id"),
        ("rules: [{action: deny, limits: {hooks: [x]}}]\n", "rules.0.limits.hooks.0"),
        ("rules:\n- {action: deny\n", "policy.yaml:"),
        ("rules: []\nrules: []\n", "policy.yaml:2: key 'rules' is given twice"),
        ('rules: [{action: deny, message: "a\\nb"}]\n', "expected a text of one line"),
    ],
)
def test_a_fault_is_named_in_one_line(tmp_path: Path, text: str, fault: str) -> None:
    found = read(written(tmp_path, text))
    assert found["rules"] == []
    assert fault in found["fault"]
    assert "\n" not in found["fault"]


def test_a_policy_that_others_may_write_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "rules: []\n")
    Path(path).chmod(0o666)
    monkeypatch.setattr(places, "is_host_root", lambda: True)
    assert read(path)["fault"] == f"{path}: others than root may write {path} (chmod go-w {path})"


def test_a_users_own_policy_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a user namespace the host's root has another number."""
    path = written(tmp_path, "rules: []\n")
    monkeypatch.setattr(places, "is_host_root", lambda: False)
    monkeypatch.setattr(os, "geteuid", lambda: 65533)
    assert read(path) == NONE


@pytest.mark.parametrize(
    ("text", "idle"),
    [
        ("rules: [{action: deny}, {action: allow, match: {uid: 1}}]", [1]),
        ("rules: [{action: deny, match: {uid: 1}}, {action: allow, match: {uid: 1, device: a}}]", [1]),
        ("rules: [{action: audit}, {action: allow, match: {uid: 1}}]", []),
        ("rules: [{action: deny, match: {uid: 1}}, {action: deny}]", []),
    ],
)
def test_a_rule_that_never_decides_is_named(tmp_path: Path, text: str, idle: list[int]) -> None:
    rules = read(written(tmp_path, text.replace(", {", ",\n {")))["rules"]
    assert [line.partition(": ")[0] for line in idle_rules(rules)] == [rules[number]["place"] for number in idle]
