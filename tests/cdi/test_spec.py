"""Specs read and checked: what fields become, and that each fault is told with its place."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any

import pytest

from cdi_runc.cdi.errors import InvalidSpec, Problem
from cdi_runc.cdi.spec import MAX_SIZE, load_spec, parse_spec, validate_spec


def text_of(edits: str = "{env: [A=1]}", version: str = "1.1.0") -> str:
    return f"cdiVersion: {version}\nkind: v.com/c\ndevices:\n- name: a\n  containerEdits: {edits}\n"


def edits_of(edits: str) -> Any:
    return parse_spec(text_of(edits))["devices"][0].get("containerEdits")


@pytest.mark.parametrize(
    ("edits", "value"),
    [
        ("{}", {}),
        ("null", None),
        ("{env: [y=1, 'A=1', B=y]}", {"env": ["y=1", "A=1", "B=y"]}),
        ("{ENV: null, hooks: [], mounts: ~}", {"hooks": []}),
        ("{intelRDT: {CLOSID: 010, enablemonitoring: y}}", {"intelRdt": {"closID": "8", "enableMonitoring": True}}),
        ("{intelRdt: {schemata: [1, y, 1.50, null]}}", {"intelRdt": {"schemata": ["1", "true", "1.5", ""]}}),
        ("{additionalGids: [5.0, 1e2, 0x10, null]}", {"additionalGids": [5, 100, 16, 0]}),
        ("{deviceNodes: [{path: /x, major: -0.0, uid: null}]}", {"deviceNodes": [{"path": "/x", "major": 0}]}),
        ("{deviceNodes: [{path: /x, Path: /y, PATH: /z}]}", {"deviceNodes": [{"path": "/x"}]}),
        (
            "{intelRdt: {closID: a}, IntelRdt: {closid: b, memBwSchema: c}}",
            {"intelRdt": {"closID": "a", "memBwSchema": "c"}},
        ),
        ("{hoo\u212as: [], moun\u0074\u017f: []}", {"hooks": [], "mounts": []}),
    ],
)
def test_normalised(edits: str, value: Any) -> None:
    assert edits_of(edits) == value


def test_what_is_not_given_is_not_there() -> None:
    assert parse_spec("{cdiVersion: 0.3.0, kind: 3com.com/nic, annotations: null, devices: [{name: a}]}") == {
        "cdiVersion": "0.3.0",
        "kind": "3com.com/nic",
        "devices": [{"name": "a"}],
    }


def test_annotations_are_texts() -> None:
    text = text_of().replace("devices", "annotations: {1: y, y: 1.0, a: null, .inf: x, B: b, b: B}\ndevices")
    assert parse_spec(text)["annotations"] == {"1": "true", "true": "1", "a": "", ".inf": "x", "B": "b", "b": "B"}


def problems_at_marks(text: str) -> list[str]:
    """The problems of a text, in which each of their places is marked by a section sign, in order."""
    pieces = text.split(MARK)
    before = ["".join(pieces[: count + 1]) for count in range(len(pieces) - 1)]
    places = [(each.count("\n") + 1, len(each) - each.rfind("\n")) for each in before]
    with pytest.raises(InvalidSpec) as caught:
        parse_spec("".join(pieces))
    assert [(each.line, each.column) for each in caught.value.problems] == places
    return [str(each) for each in caught.value.problems]


MARK = "\u00a7"
HOOKS = "prestart, createRuntime, createContainer, startContainer, poststart, poststop"
PERMISSIONS = "some of r (read), w (write), m (make nodes), or none; else rwm"
UINT32 = "an integer from 0 to 4294967295"
SPEC = "cdiVersion, kind, annotations, devices, containerEdits"


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("§", ["the text is empty, not an object with cdiVersion, kind and devices"]),
        ("§~", ["the text is empty, not an object with cdiVersion, kind and devices"]),
        ("§[]", ["is a list, not an object"]),
        ("a: §@", ["while scanning for the next token, found character '@' that cannot start any token"]),
        ("§§§{}", ["cdiVersion: is missing", "kind: is missing", "devices: is missing"]),
        (text_of() + '§"a\\nb\\e": 1\n', [f"a\\nb\\x1b: is not a known field (allowed are {SPEC})"]),
        (text_of() + "§x: 1\n", [f"x: is not a known field (allowed are {SPEC})"]),
        (
            text_of(version="§0.9.0"),
            ["cdiVersion: is '0.9.0', not a released version of the CDI specification, 0.3.0 to 1.1.0"],
        ),
        (
            text_of("{intelRdt: {schemata: []}}", version="§0.7.0"),
            ["cdiVersion: 0.7.0 is too low: devices[0].containerEdits.intelRdt.schemata needs 1.1.0"],
        ),
        (text_of().replace("v.com/c", "§v.com"), ["kind: 'v.com' is not of the form vendor.com/class"]),
        (
            text_of().replace("name: a", "NAME: §-a\n  §x: y").replace("devices", "Devices"),
            [
                "devices[0].name: device name '-a' does not begin with a letter or digit",
                "devices[0].x: is not a known field (allowed are name, annotations, containerEdits)",
            ],
        ),
        (text_of() + "- name: §a\n", ["devices[1].name: is 'a', which is the name of devices[0] already"]),
        (text_of() + "- §null\n", ["devices[1].name: is missing"]),
        (
            text_of().replace("devices", "annotations: {§null: a, §9223372036854775808: b, c: §[d]}\ndevices"),
            [
                "annotations.null: cannot be a key",
                "annotations.9223372036854775808: cannot be a key",
                "annotations.c: is a list, not a text",
            ],
        ),
    ],
)
def test_problems_of_a_spec(text: str, problems: list[str]) -> None:
    assert problems_at_marks(text) == problems


@pytest.mark.parametrize(
    ("edits", "problems"),
    [
        ("{§evn: []}", ["evn: is not a known field (did you mean env?)"]),
        ("{env: [A=1, §A]}", ["env[1]: is 'A', not NAME=VALUE"]),
        ("{env: §{A: 1}}", ["env: is an object, not a list"]),
        ("{env: [§[A=1]]}", ["env[0]: is a list, not a text"]),
        (
            "{hooks: [{hookName: §start, path: §''}]}",
            [f"hooks[0].hookName: is 'start', not one of {HOOKS}", "hooks[0].path: is empty, not a path"],
        ),
        ("{hooks: [{hookName: prestart, path: h, timeout: §'5'}]}", ["hooks[0].timeout: is a text, not an integer"]),
        ("{mounts: [§{containerPath: /c}]}", ["mounts[0].hostPath: is missing"]),
        ("{mounts: [§§null]}", ["mounts[0].hostPath: is missing", "mounts[0].containerPath: is missing"]),
        ("{deviceNodes: [{path: /x, type: §d}]}", ["deviceNodes[0].type: is 'd', not one of b, c, u, p"]),
        (
            "{deviceNodes: [{path: /x, permissions: §rx}]}",
            [f"deviceNodes[0].permissions: is 'rx', not {PERMISSIONS}"],
        ),
        (
            '{deviceNodes: [{path: /x, permissions: §"rw\\n"}]}',
            [f"deviceNodes[0].permissions: is 'rw\\n', not {PERMISSIONS}"],
        ),
        ("{deviceNodes: [{path: /x, uid: §-1}]}", [f"deviceNodes[0].uid: is -1, not {UINT32}"]),
        (
            "{deviceNodes: [{path: /x, gid: §-0.0}]}",
            [f"deviceNodes[0].gid: is -0.0, not {UINT32}"],
        ),
        ("{deviceNodes: [{path: /x, major: §1.5}]}", ["deviceNodes[0].major: is 1.5, not an integer of 64 bits"]),
        ("{deviceNodes: [{path: /x, major: §true}]}", ["deviceNodes[0].major: is a boolean, not an integer"]),
        ("{deviceNodes: [{path: /x, major: §.nan}]}", ["deviceNodes[0].major: is nan, not an integer of 64 bits"]),
        (
            "{deviceNodes: [{path: /x, major: §9223372036854775808}]}",
            ["deviceNodes[0].major: is 9223372036854775808, not an integer of 64 bits"],
        ),
        ("{additionalGids: [§1e21]}", [f"additionalGids[0]: is 1e+21, not {UINT32}"]),
        ("{intelRdt: {closID: §" + "\u00e9" * 2048 + "}}", ["intelRdt.closID: is longer than 4095 bytes"]),
        (
            "{intelRdt: {closID: §..}}",
            ["intelRdt.closID: is '..', not a file name of less than 4096 bytes, or / for the root class"],
        ),
        ("{intelRdt: {enableMonitoring: §1}}", ["intelRdt.enableMonitoring: is an integer, not a boolean"]),
        (
            "{netDevices: [{hostInterfaceName: a, name: b}, {hostInterfaceName: §a, name: §b}]}",
            [
                "netDevices[1].hostInterfaceName: is 'a', as in netDevices[0] already",
                "netDevices[1].name: is 'b', as in netDevices[0] already",
            ],
        ),
    ],
)
def test_problems_of_edits(edits: str, problems: list[str]) -> None:
    assert problems_at_marks(text_of(edits)) == [f"devices[0].containerEdits.{problem}" for problem in problems]
    assert problems_at_marks(f"containerEdits: {edits}\n" + text_of()) == [
        f"containerEdits.{each}" for each in problems
    ]


@pytest.mark.parametrize("empty", ["", " ~", " null", "  # none"])
def test_a_field_without_a_value_is_explained(empty: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        parse_spec(f"cdiVersion: 0.3.0\nKIND:{empty}\ndevices:{empty}\n")
    kind, devices = caught.value.problems
    assert (kind.message, kind.line) == ("has no value", 2)
    assert (devices.message[:32], devices.line) == ("has no value: a spec lists its d", 3)


def test_a_text_that_is_not_utf_8() -> None:
    with pytest.raises(InvalidSpec, match="the text is not UTF-8: byte 2 is 0xff"):
        parse_spec(b"a:\xff")


def test_the_error_is_one_line(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text_of("{mounts: [{}], env: [A]}"))
    with pytest.raises(InvalidSpec) as caught:
        load_spec(path)
    assert str(caught.value) == f"{path}:5:29: devices[0].containerEdits.mounts[0].hostPath: is missing (and 2 more)"
    assert caught.value.path == str(path)


def test_json_that_is_no_yaml_has_no_places() -> None:
    with pytest.raises(InvalidSpec) as caught:
        parse_spec(json.dumps({"cdiVersion": "1.1.0", "kind": "\U0001f600", "devices": [{"name": "a"}]}))
    assert [(each.field, each.line, each.column) for each in caught.value.problems] == [("kind", None, None)]


@pytest.mark.parametrize(
    "data", [None, [], {}, {"cdiVersion": 1}, {"cdiVersion": "0.3.0", "kind": "v.com/c.d", "devices": [{"name": "a"}]}]
)
def test_validate_refuses(data: Any) -> None:
    with pytest.raises(InvalidSpec):
        validate_spec(data)


def test_validate_wants_what_parse_gives() -> None:
    spec = parse_spec(text_of("{ENV: [A=1], hooks: null}"))
    validate_spec(spec)
    for other in ({"hooks": None}, {"ENV": ["A=1"]}, {"env": [True]}):
        with pytest.raises(InvalidSpec):
            validate_spec({**spec, "containerEdits": other})


def test_files_of_the_largest_size(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text_of())
    with path.open("a") as file:
        file.write("#" * (MAX_SIZE - path.stat().st_size))
    assert load_spec(path)["kind"] == "v.com/c"
    with path.open("a") as file:
        file.write("#")
    with pytest.raises(InvalidSpec, match="is larger than 16 MiB"):
        load_spec(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.yaml"
    path.touch(0)
    with pytest.raises(InvalidSpec, match="cannot be read: Permission denied"):
        load_spec(path)


def test_a_file_that_is_not_there(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InvalidSpec) as caught:
        load_spec(tmp_path / "a.yaml")
    assert caught.value.path == str(tmp_path / "a.yaml")
    (problem,) = caught.value.problems
    assert problem == Problem("", "cannot be read: No such file or directory")


def test_a_file_that_has_nothing_to_read_yet(tmp_path: pathlib.Path) -> None:
    try:
        os.close(os.open("/proc/kmsg", os.O_RDONLY | os.O_NONBLOCK))
    except OSError as error:
        pytest.skip(f"/proc/kmsg, the one regular file that can be empty for now: {error.strerror}")
    path = tmp_path / "a.yaml"
    path.symlink_to("/proc/kmsg")
    with pytest.raises(InvalidSpec, match=r"a\.yaml: (cannot be read|is a link to /proc/kmsg)"):
        load_spec(path)


@pytest.mark.parametrize("secret", ["root:*:19000:0:99999:7:::", "root: 'x", "- root", "{root: [1, {kind: root}]}"])
@pytest.mark.parametrize("steps", [1, 2])
def test_nothing_of_a_file_elsewhere_is_shown(tmp_path: pathlib.Path, secret: str, steps: int) -> None:
    (tmp_path / "secret").write_text(secret)
    directory = tmp_path / "cdi"
    directory.mkdir()
    path = directory / "a.yaml"
    for step in range(1, steps):
        (directory / f"{step}").symlink_to("../secret")
    path.symlink_to("../secret" if steps == 1 else "1")
    with pytest.raises(InvalidSpec) as caught:
        load_spec(path)
    found = str(caught.value)
    assert "root" not in found.replace(str(tmp_path), "")
    assert found.endswith(f"is not a valid spec: see cdictl validate {tmp_path}/secret")


def test_a_link_within_the_directory_is_explained_in_full(tmp_path: pathlib.Path) -> None:
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data/a.yaml").write_text("kid: 1")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")  # as the kubelet lays out a ConfigMap
    with pytest.raises(InvalidSpec, match="kid: is not a known field"):
        load_spec(tmp_path / "a.yaml")
