"""A text is changed where needed, and nowhere else."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cdi_runc as cdi
from cdi_runc.cdi import _yaml
from cdi_runc.cdi._fields import fields
from cdi_runc.ctl.specs.patch import Unfit, patched

SPEC = """\
# top
cdiVersion: 1.1.0 # v
kind: 'v.com/x'
devices:
# before 0
- name: 010
  # inside 0
  containerEdits:
    env:
    - A=1   # a
    # on B
    - B=2
      # below B
    mounts:
    - containerPath: /x
      # on host
      hostPath: /y
# before 1
- name: "1"
  containerEdits: {deviceNodes: [{path: /dev/a, fileMode: 0660,}, {path: /dev/b}],
    env: [X=1,  # x
      Y=2  # y
    ]}
# end
...
"""


def edits(spec: Any, place: int) -> Any:
    return spec["devices"][place]["containerEdits"]


@pytest.mark.parametrize(
    ("edit", "gone", "new"),
    [
        (lambda spec: spec["devices"].pop(0), SPEC[SPEC.index("# before 0") : SPEC.index("# before 1")], ""),
        (lambda spec: spec["devices"].pop(1), SPEC[SPEC.index("# before 1") : SPEC.index("# end")], ""),
        (lambda spec: edits(spec, 0)["env"].pop(0), "    - A=1   # a\n", ""),
        (lambda spec: edits(spec, 0)["env"].pop(1), "    # on B\n    - B=2\n      # below B\n", ""),
        (lambda spec: edits(spec, 0).pop("env"), SPEC[SPEC.index("    env:") : SPEC.index("    mounts")], ""),
        (lambda spec: edits(spec, 0)["env"].append("C=3"), "", "    - C=3\n"),
        (lambda spec: edits(spec, 0)["mounts"][0].update(type="tmpfs"), "", "      type: tmpfs\n"),
        (lambda spec: edits(spec, 1)["deviceNodes"].pop(0), "{path: /dev/a, fileMode: 0660,}, ", ""),
        (lambda spec: edits(spec, 1)["deviceNodes"].pop(1), ", {path: /dev/b}", ""),
        (lambda spec: edits(spec, 1)["deviceNodes"][0].pop("fileMode"), ", fileMode: 0660", ""),
        (lambda spec: edits(spec, 1)["deviceNodes"][1].update(uid=7), "", ", uid: 7"),
        (lambda spec: edits(spec, 1)["env"].append("Z=on it"), "Y=2  # y", 'Y=2,  # y\n      "Z=on it"'),
        (lambda spec: spec.update(kind="v.com/y"), "kind: 'v.com/x'", "kind: 'v.com/y'"),
        (lambda spec: spec.update(cdiVersion="1.0.0"), "cdiVersion: 1.1.0", "cdiVersion: 1.0.0"),
        (lambda spec: spec.update(annotations={"a": "on"}), "", 'annotations:\n  a: "on"\n'),
        (
            lambda spec: spec["devices"].append({"name": "n", "containerEdits": {"intelRdt": {"schemata": ["a"]}}}),
            "",
            '- name: "n"\n  containerEdits:\n    intelRdt:\n      schemata:\n      - a\n',
        ),
        (lambda spec: edits(spec, 1)["deviceNodes"][0].update(fileMode=0o600), "0660", "0600"),
    ],
)
@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_one_change(edit: Callable[[Any], object], gone: str, new: str, line_break: str) -> None:
    text, gone, new = (each.replace("\n", line_break) for each in (SPEC, gone, new))
    old: Any = cdi.parse_spec(text)
    wanted = copy.deepcopy(old)
    edit(wanted)
    result = patched(text, old, wanted)
    assert cdi.parse_spec(result) == wanted
    assert len(result) == len(text) - len(gone) + len(new)
    if gone:
        assert result == text.replace(gone, new, 1)
    else:
        assert result.replace(new, "", 1) == text


@pytest.mark.parametrize("indent", [None, 2, 4, "\t"])
def test_json_stays_as_it_is_indented(indent: int | str | None) -> None:
    old: Any = cdi.parse_spec(SPEC)
    wanted = copy.deepcopy(old)
    edits(wanted, 0)["env"].append("C=3")
    edits(wanted, 1)["netDevices"] = [{"hostInterfaceName": "a", "name": "b"}]
    wanted["devices"].append({"name": "n", "containerEdits": {"env": ["N=1"]}})
    result = patched(json.dumps(old, indent=indent), old, wanted)
    assert json.loads(result) == wanted
    if indent != "\t":
        assert result == json.dumps(wanted, indent=indent)


def test_the_first_field_of_an_item_can_go() -> None:
    text = "a:\n- b: 1\n  c: 2\n- b: 3\n  # on c\n  c: 4\n"
    old = {"a": [{"b": 1, "c": 2}, {"b": 3, "c": 4}]}
    new = {"a": [{"c": 2}, {"c": 4}]}
    assert patched(text, old, new) == "a:\n- c: 2\n- \n  # on c\n  c: 4\n"


@pytest.mark.parametrize("text", ["", "- a\n", "{a: 1, A: 2}", "<<: {a: 1}"])
def test_what_cannot_be_changed(text: str) -> None:
    with pytest.raises(Unfit):
        patched(text, {"a": 2}, {"a": 3})


VECTORS = Path(__file__).parents[2] / "cdi/vectors/validate"
NOT_IN_PLACES = {
    "CR only",
    "merge",
    "merge twice",
    "cdiVersion 9.9.9 and cdiversion 1.1.0",
}  # these are refused, and the file stays


def add_variable(spec: Any) -> None:
    for device in spec["devices"]:
        device.setdefault("containerEdits", {}).setdefault("env", []).append("NEW=1 2")


def remove_an_edit(spec: Any) -> None:
    edits = spec["devices"][-1].get("containerEdits", {})
    if len(edits) > 1:
        del edits[min(edits)]


@pytest.mark.parametrize(
    "edit",
    [
        add_variable,
        remove_an_edit,
        lambda spec: spec.update(cdiVersion="1.0.0"),
        lambda spec: spec["devices"].insert(0, spec["devices"].pop()),
        lambda spec: spec["devices"].append({"name": "new", "containerEdits": {"deviceNodes": [{"path": "/dev/x"}]}}),
    ],
)
def test_every_way_to_write_a_spec_can_be_edited(edit: Callable[[Any], object]) -> None:
    refused = set()
    for case in (case for path in VECTORS.glob("*.json") for case in json.loads(path.read_text("utf-8"))):
        try:
            old: Any = cdi.parse_spec(case["input"]["text"])
        except cdi.CDIError:
            continue
        wanted = copy.deepcopy(old)
        edit(wanted)
        try:
            if read_spec(patched(case["input"]["text"], old, wanted)) != wanted:
                refused.add(case["note"])
        except Unfit:
            refused.add(case["note"])
    assert refused <= NOT_IN_PLACES


def read_spec(text: str) -> Any:
    """The spec in a text, whatever is wrong with it."""
    return fields(_yaml.read(text))[0]


VALUES = st.recursive(
    st.integers(0, 9) | st.sampled_from(["a", "b c", "/x", "on", "é", ""]),
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, min_size=1),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("abcd"), VALUES, min_size=1), st.data())
def test_whatever_changes_the_rest_reads_the_same(old: dict[str, Any], data: st.DataObject) -> None:
    from cdi_runc.ctl.specs.emit import flow, yaml_text

    new = {**old, **data.draw(st.dictionaries(st.sampled_from("abcde"), VALUES, min_size=1))}
    for field in data.draw(st.lists(st.sampled_from(sorted(old)), max_size=1)):
        if len(new) > 1:
            del new[field]
    for text in (yaml_text(old), flow(old), json.dumps(old), json.dumps(old, indent=2)):
        try:
            result = patched(text, old, new)
        except Unfit:
            continue
        assert read(result) == new


def read(text: str) -> Any:
    from cdi_runc.cdi._scalars import key_text

    def plain(node: Any) -> Any:
        if isinstance(node.value, list):
            return [plain(item) for item in node.value]
        if isinstance(node.value, dict):
            return {key_text(key.value): plain(value) for key, value in node.value.values()}
        return node.value

    return plain(_yaml.read(text))
