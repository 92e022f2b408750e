"""policy.yaml: what it may say, and what is said of one that is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from cdi_runc.host import places
from cdi_runc.host.policy import ENGINES, NONE, counted, guard, idle_rules, numbers_by_device, read, schema
from cdi_runc.shim import policy as shim_policy


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
        ("rules: [{action: deny, match: {uid: 1}}, {action: allow, match: {uid: 1, pod: a}}]", [1]),
        ("rules: [{action: audit}, {action: allow, match: {uid: 1}}]", []),
        ("rules: [{action: deny, match: {uid: 1}}, {action: deny}]", []),
        ("rules: [{action: deny, match: {pod: a*}}, {action: allow, match: {pod: [a, ab*]}}]", [1]),
        ("rules: [{action: deny, match: {pod: a*}}, {action: allow, match: {pod: [a, b]}}]", []),
        ("rules: [{action: deny, match: {pod: [a*, b]}}, {action: allow, match: {pod: [a, b]}}]", [1]),
        ("rules: [{action: deny, match: {pod: a*}}, {action: allow, match: {uid: 1}}]", []),
        ("rules: [{action: deny, match: {device: '*'}}, {action: allow, match: {uid: 1}}]", [1]),
        ("rules: [{action: deny, match: {uid: [1, 2]}}, {action: allow, match: {uid: [2, 1]}}]", [1]),
        ("rules: [{action: deny, match: {uid: [1, 2]}}, {action: allow, match: {uid: [2, 3]}}]", []),
        ("rules: [{action: deny, match: {labels: {a: b}}}, {action: allow, match: {labels: {a: b}}}]", [1]),
        ("rules: [{action: deny, match: {labels: {a: b}}}, {action: allow, match: {labels: {a: c}}}]", []),
        ("rules: [{action: deny}, {action: deny}, {action: allow}]", [1, 2]),
    ],
)
def test_a_rule_that_never_decides_is_named(tmp_path: Path, text: str, idle: list[int]) -> None:
    rules = read(written(tmp_path, text.replace(", {", ",\n {")))["rules"]
    first = rules[0]["place"]
    assert list(idle_rules(rules)) == [
        f"{rules[number]['place']}: this rule never decides: {first} matches all that it matches" for number in idle
    ]


@pytest.mark.parametrize(
    ("match", "reason"),
    [
        ("device: gpu", "no device is called gpu; expected vendor.com/class=name"),
        ("device: [gpu, a.com/gpu]", "no device is called gpu or a.com/gpu; expected vendor.com/class=name"),
        ("device: a.com/b/*", "no device is called a.com/b/*; expected vendor.com/class=name"),
        ("device: '*=a=*!'", "no device is called *=a=*!; expected vendor.com/class=name"),
        (
            "engine: [dockerd, cri]",
            "no engine is called dockerd or cri; expected docker, podman, containerd, crio, lxc, incus",
        ),
        ("device: [gpu, a.com/gpu=0]", ""),
        ("device: gpu*", ""),
        ("device: '*/gpu=*'", ""),
        ("device: '*gpu*=*-*'", ""),
        ("device: '*com/*=0'", ""),
        ("device: '*a*b*c*d*!'", ""),  # too many to try
        ("engine: [dock*, x]", ""),
    ],
)
def test_a_rule_that_nothing_is_like_is_named(tmp_path: Path, match: str, reason: str) -> None:
    rules = read(written(tmp_path, f"rules: [{{action: deny, match: {{{match}}}}}]\n"))["rules"]
    said = f"{rules[0]['place']}: this rule never decides: {reason}"
    assert list(idle_rules(rules)) == [said] * bool(reason)


def test_the_engines_are_those_that_the_shim_can_tell() -> None:
    of_runtimes = {*dict(shim_policy.BUNDLES).values(), *dict(shim_policy.ENGINES).values()}
    known = {*of_runtimes, *shim_policy.MANAGERS.values(), *shim_policy.HOOKED}
    assert known == set(ENGINES)


MATCHES: dict[str, tuple[str, tuple[str, tuple[str, ...]]]] = {
    "all": ("{}", ("", ())),
    "devices": ("{device: v.com/*}", ("", ())),
    "pods": ("{pod: [a*, b]}", ("pod", ("a", "b"))),
    "namespaces first": ("{pod: a, uid: 1, namespace: 'ml*x'}", ("namespace", ("ml",))),
    "images": ("{image: '*x', engine: docker, runtime: runc}", ("image", ("",))),
    "engines": ("{engine: docker, runtime: runc}", ("engine", ("docker",))),
    "users": ("{uid: [5, 0], labels: {a: b}}", ("uid", ("5", "0"))),
    "labels": ("{labels: {team: 'ml-*', a: b}}", ("label team", ("ml-",))),
}


@pytest.mark.parametrize(("match", "expected"), MATCHES.values(), ids=MATCHES)
def test_what_is_looked_at_before_a_rule_is_read(
    tmp_path: Path, match: str, expected: tuple[str, tuple[str, ...]]
) -> None:
    (rule,) = read(written(tmp_path, f"rules: [{{action: deny, match: {match}}}]\n"))["rules"]
    assert guard(rule) == expected


def test_a_device_has_only_the_rules_that_may_be_about_it(tmp_path: Path) -> None:
    devices = ["n.com/*", "v.com/gpu=0", "[v.com/gpu=1, n.com/x=1]", "'*'"]
    text = "".join(f"- {{action: deny, match: {{device: {device}}}}}\n" for device in devices)
    rules = read(written(tmp_path, f"rules:\n{text}- {{action: allow}}\n"))["rules"]
    names = ["v.com/gpu=0", "v.com/gpu=1", "v.com/gpu=2", "v.com/x=0", "n.com/x=1", "n.com/x=10"]
    assert numbers_by_device(rules, names) == {
        "v.com/gpu=0": (1, 3, 4),
        "v.com/gpu=1": (2, 3, 4),
        "v.com/gpu=2": (3, 4),
        "v.com/x=0": (3, 4),
        "n.com/x=1": (0, 2, 3, 4),
        "n.com/x=10": (0, 2, 3, 4),
    }
    assert numbers_by_device([], names) == dict.fromkeys(names, ())


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"rules: \xff\n", ": not UTF-8 at byte 7"),
        (b"rules: [\x01]\n", ": not YAML: unacceptable character #x0001: special characters are not allowed"),
        (b"rules:\n- {action: deny\n", ":3: expected ',' or '}', but got '<stream end>'"),
        (b"[" * 5000, ": not YAML: "),
    ],
)
def test_a_file_that_is_no_yaml(tmp_path: Path, text: bytes, fault: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(text)
    assert read(str(path))["fault"].startswith(f"{path}{fault}")


def test_a_directory_is_no_policy(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").mkdir(mode=0o755)
    path = str(tmp_path / "policy.yaml")
    assert read(path) == {"rules": [], "fault": f"{path}: is a directory, not a file"}


def test_all_words_of_a_rule_are_lists(tmp_path: Path) -> None:
    match = "{through: mount, command: [run, create], user-namespace: true, engine: '*'}"
    limits = "{mount-sources: [/a*b], mount-targets: [/c], gids: [4]}"
    text = f"rules: [{{action: allow, match: {match}, limits: {limits}}}]\n"
    (rule,) = read(written(tmp_path, text))["rules"]
    assert rule["match"]["through"] == ["mount"]
    assert rule["match"]["command"] == ["run", "create"]
    assert rule["match"]["engine"] == [("", "")]
    assert rule["limits"]["mount-sources"] == [("/a", "b")]
    assert rule["limits"]["mount-targets"] == [("/c",)]


def test_rules_are_counted() -> None:
    assert counted({"rules": [{}, {}], "fault": "x"}) == {"rules": 2, "fault": "x"}
