"""Every field of a spec can be set and removed by its name."""

from __future__ import annotations

from typing import Any

import click
import pytest

import cdi_runc as cdi
from cdi_runc.cdi.schema import follow, shared_schema
from cdi_runc.ctl.specs.fields import pruned, remove_field, set_field

NODE = {"path": "/dev/b.c"}
MOUNT = {"hostPath": "/usr", "containerPath": "/opt"}
HOOK = {"hookName": "createRuntime", "path": "/bin/x", "args": ["x", "y"]}


def spec() -> Any:
    return {
        "cdiVersion": "1.1.0",
        "kind": "v.com/x",
        "devices": [
            {
                "name": "a",
                "containerEdits": {
                    "env": ["A=1", "B=2"],
                    "deviceNodes": [{"path": "/dev/a"}, dict(NODE)],
                    "netDevices": [{"hostInterfaceName": "eth1", "name": "net0"}],
                    "mounts": [dict(MOUNT)],
                    "hooks": [{**HOOK, "args": ["x", "y"]}],
                    "additionalGids": [44, 1],
                },
            }
        ],
    }


@pytest.mark.parametrize(
    ("field", "value", "kind", "now"),
    [
        ("deviceNodes[/dev/b.c].fileMode", "0660", "deviceNodes", [{"path": "/dev/a"}, {**NODE, "fileMode": 0o660}]),
        ("deviceNodes[0].uid", "0", "deviceNodes", [{"path": "/dev/a", "uid": 0}, {"path": "/dev/b.c"}]),
        ("DEVICENODES[0].TYPE", "c", "deviceNodes", [{"path": "/dev/a", "type": "c"}, {"path": "/dev/b.c"}]),
        ("mounts[/opt].type", "tmpfs", "mounts", [{**MOUNT, "type": "tmpfs"}]),
        ("mounts[/opt].options", "[ro, a=b]", "mounts", [{**MOUNT, "options": ["ro", "a=b"]}]),
        ("hooks[/bin/x].timeout", "5", "hooks", [{**HOOK, "timeout": 5}]),
        ("hooks[0].env", "[PATH=/bin]", "hooks", [{**HOOK, "env": ["PATH=/bin"]}]),
        ("hooks[0].args[1]", "5", "hooks", [{**HOOK, "args": ["x", "5"]}]),
        ("netDevices[eth1].name", "net1", "netDevices", [{"hostInterfaceName": "eth1", "name": "net1"}]),
        ("intelRdt.closID", "1", "intelRdt", {"closID": "1"}),
        ("intelRdt.enableMonitoring", "true", "intelRdt", {"enableMonitoring": True}),
        ("env[B]", "B=3", "env", ["A=1", "B=3"]),
        ("containerEdits.additionalGids[1]", "2", "additionalGids", [44, 2]),
    ],
)
def test_set(field: str, value: str, kind: str, now: Any) -> None:
    made = spec()
    set_field(made["devices"][0], field, value)
    assert made["devices"][0]["containerEdits"][kind] == now
    cdi.validate_spec(made)
    if field.endswith(("Mode", "uid", "TYPE", "type", "options", "timeout", "env", "closID")):
        remove_field(made["devices"][0], field)
        cdi.validate_spec(made)
        assert made["devices"][0]["containerEdits"].get(kind) != now


def test_the_names_that_validate_gives() -> None:
    made = spec()
    set_field(made, "devices[0].containerEdits.deviceNodes[1].gid", "4")
    set_field(made, "devices[a].annotations[x.y/z]", "1")
    set_field(made, "annotations[x]", "y=z")
    set_field(made, "env", "[A=1]")
    assert made["devices"][0]["containerEdits"]["deviceNodes"][1]["gid"] == 4
    assert made["devices"][0]["annotations"] == {"x.y/z": "1"}
    assert (made["annotations"], made["containerEdits"]) == ({"x": "y=z"}, {"env": ["A=1"]})


@pytest.mark.parametrize(
    "field", ["env[A]", "deviceNodes[/dev/a]", "mounts[0]", "netDevices[eth1]", "hooks[0].args", "additionalGids[44]"]
)
def test_remove(field: str) -> None:
    made = spec()
    remove_field(made["devices"][0], field)
    pruned(made)
    assert made != spec()
    cdi.validate_spec(made)
    kind = field.partition("[")[0]
    assert made["devices"][0]["containerEdits"].get(kind) != []


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("deviceNodes[/dev/z]", r"there is no deviceNodes\[/dev/z\]; there are /dev/a, /dev/b.c"),
        ("deviceNodes[7].uid", r"there is no deviceNodes\[7\].uid; there are /dev/a"),
        ("nodes[0]", "there is no field nodes; there are cdiVersion"),
        ("hooks[0].timeout", r"there is no hooks\[0\].timeout"),
        ("intelRdt", "there is no intelRdt"),
        ("annotations[x]", r"there is no annotations\[x\]"),
        ("hooks[0].path.x", r"there is no hooks\[0\].path.x"),
    ],
)
def test_remove_what_is_not_there(field: str, message: str) -> None:
    with pytest.raises(click.ClickException, match=message):
        remove_field({**spec(), **spec()["devices"][0]}, field)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("deviceNodes[0].uid", "x", r"deviceNodes\[0\].uid: is a text, not an integer"),
        ("deviceNodes[0].uid", "", r"deviceNodes\[0\].uid: is null, not an integer"),
        ("intelRdt.enableMonitoring", "5", "is an integer, not a boolean"),
        ("hooks[0].args", "x", "is a text, not a list"),
        ("hooks[0].args", "[x", "is no YAML"),
        ("..", "x", "is not the name of a field"),
        ("mounts[/new].type", "x", r"there is no mounts\[/new\].type"),
    ],
)
def test_values_that_do_not_fit(field: str, value: str, message: str) -> None:
    with pytest.raises(click.ClickException, match=message):
        set_field(spec()["devices"][0], field, value)


@pytest.mark.parametrize(
    ("kind", "place"),
    [("deviceNodes", "[0]"), ("netDevices", "[0]"), ("mounts", "[0]"), ("hooks", "[0]"), ("intelRdt", "")],
)
def test_every_field_of_the_schema(kind: str, place: str) -> None:
    form = follow(shared_schema()["definitions"]["containerEdits"]["properties"][kind])
    form = follow(form.get("items", form))
    examples = {"string": "/x", "integer": "7", "boolean": "true", "array": "[a]"}
    for name, each in form["properties"].items():
        made = spec()
        set_field(made["devices"][0], f"{kind}{place}.{name}", examples[follow(each)["type"]])
        remove_field(made["devices"][0], f"{kind}{place}.{name}")
