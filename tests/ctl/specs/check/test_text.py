"""What is said of the way in which a spec is written."""

from __future__ import annotations

import json

import pytest

from cdi_runc import parse_spec
from cdi_runc.cdi.spec import field_text
from cdi_runc.ctl.specs.check.finding import rule_of
from cdi_runc.ctl.specs.check.text import TEXT

HEAD = "cdiVersion: 0.7.0\nkind: v.com/x\n"
EDITS = "devices[0].containerEdits"


def device(name: str = "name: a", edits: str = "env: [A=1]") -> str:
    return f"devices: [{{{name}, containerEdits: {{{edits}}}}}]"


def remarks(text: str, path: str = "a.yaml") -> list[tuple[str, str, str]]:
    """Of each remark the rule, the field, and the text at its place."""
    parse_spec(text)
    return [
        (rule_of(check), field_text(field), text[at:].split("\n")[0][:12])
        for check in TEXT
        for field, at, _ in check(path, text)
    ]


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "devices:\n- name: '010'\n  annotations: {1.0.0: 'yes'}\n  containerEdits: {env: [A=1]}\n---\n"[:-4],
        HEAD + "devices: [{name: a, containerEdits: {deviceNodes: [{path: /dev/a, major: 1, fileMode: 0660}]}}]\n...\n",
        "---\n"
        + HEAD
        + "devices: [{name: a1, containerEdits: {intelRdt: {closID: !!str 1, enableMonitoring: yes}}}]".replace(
            ", enableMonitoring: yes", ""
        ),
    ],
)
def test_a_text_in_order_gets_no_remark(text: str) -> None:
    assert remarks(text) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (device("name: 010"), ("name-that-yaml-changes", "devices[0].name", "010, contain")),
        (device("name: yes"), ("name-that-yaml-changes", "devices[0].name", "yes, contain")),
        (device("name: 7"), ("name-that-yaml-changes", "devices[0].name", "7, container")),
        (device("Name: a"), ("field-in-other-case", "devices[0].name", "Name: a, con")),
        ("annotations: {a: 1}\n" + device(), ("value-of-another-type", "annotations.a", "1}")),
        ("annotations:\n" + device(), ("value-of-another-type", "annotations", "")),
        (device(edits="additionalGids: [1e2]"), ("value-of-another-type", f"{EDITS}.additionalGids[0]", "1e2]}}]")),
        (device() + "\n---\nkind: x", ("document-never-read", "", "---")),
        (device() + "\n...\n}{", ("document-never-read", "", "}{")),
    ],
)
def test_remarks(text: str, found: tuple[str, str, str]) -> None:
    assert remarks(HEAD + text) == [found]


@pytest.mark.parametrize(("name", "remarked"), [("a.json", True), ("a.yaml", False)])
@pytest.mark.parametrize("trailing", [",", ""])
def test_json(name: str, remarked: bool, trailing: str) -> None:
    devices = json.dumps([{"name": "a", "containerEdits": {"env": ["A=1"]}}])
    text = f'{{"cdiVersion": "0.3.0", "kind": "v.com/x", "devices": {devices}{trailing}}}'
    assert remarks(text, name) == ([("not-json", "", ",}")] if remarked and trailing else [])
