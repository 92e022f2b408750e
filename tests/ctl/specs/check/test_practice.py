from typing import Any

import pytest

from cdi_runc.cdi.spec import field_text
from cdi_runc.ctl.specs.check.finding import rule_of
from cdi_runc.ctl.specs.check.practice import PRACTICE

NODE = {"path": "/dev/a", "type": "c", "major": 1}
MOUNT = {"hostPath": "/a", "containerPath": "/a", "options": ["bind"]}
HOOK = {"hookName": "createRuntime", "path": "/a"}
FIRST_NODE = "devices[0].containerEdits.deviceNodes[0]"


def spec(edits: Any, version: str = "0.3.0", kind: str = "v.com/x", name: str = "a") -> dict[str, Any]:
    return {"cdiVersion": version, "kind": kind, "devices": [{"name": name, "containerEdits": edits}]}


def remarks(data: Any) -> dict[str, str]:
    """The rule of every remark, by the field that it is about."""
    return {field_text(path): rule_of(check) for check in PRACTICE for path, _ in check(data)}


def test_a_spec_in_order_gets_no_remark() -> None:
    nodes = [NODE | {"path": f"/dev/{mode}", "fileMode": mode} for mode in (0, 0o666, 0o1666, 0o7777, 400)]
    hook = HOOK | {"hookName": "startContainer", "env": ["PATH=/bin"]}
    edits = {"env": ["A=1", "B=1"], "deviceNodes": nodes, "mounts": [MOUNT], "hooks": [HOOK, hook]}
    assert remarks(spec(edits)) == {}


@pytest.mark.parametrize(
    ("data", "field", "rule"),
    [
        (spec({"env": ["A=1"]}, version="1.1.0"), "cdiVersion", "version-higher-than-needed"),
        (spec({"env": ["A=1"]}, version="v0.3.0"), "cdiVersion", "version-with-a-letter"),
        (spec({"env": ["A=1"]}, kind="3com.com/x"), "devices[0].name", "name-not-to-be-asked-for"),
        (spec({"env": ["A=1"]}, kind="v.com/" + "x" * 64), "kind", "kind-too-long"),
        (spec({"env": ["A=1"]}, kind="v" * 254 + "/x"), "kind", "kind-too-long"),
        (spec({"env": ["A=1", "B=1", "A=2"]}), "devices[0].containerEdits.env[2]", "variable-set-twice"),
        (spec({"deviceNodes": [NODE, NODE]}), "devices[0].containerEdits.deviceNodes[1]", "path-made-twice"),
        (spec({"mounts": [MOUNT, MOUNT]}), "devices[0].containerEdits.mounts[1]", "path-made-twice"),
        (
            spec({"deviceNodes": [NODE | {"path": "a"}]}),
            "devices[0].containerEdits.deviceNodes[0].path",
            "path-not-absolute",
        ),
        (spec({"hooks": [HOOK | {"path": "a"}]}), "devices[0].containerEdits.hooks[0].path", "path-not-absolute"),
        (
            spec({"mounts": [MOUNT | {"containerPath": "a"}]}),
            "devices[0].containerEdits.mounts[0].containerPath",
            "path-not-absolute",
        ),
        (spec({"deviceNodes": [NODE | {"fileMode": 666}]}), f"{FIRST_NODE}.fileMode", "file-mode-decimal"),
        (spec({"deviceNodes": [NODE | {"fileMode": 777}]}), f"{FIRST_NODE}.fileMode", "file-mode-decimal"),
        (spec({"deviceNodes": [NODE | {"fileMode": 99999999}]}), f"{FIRST_NODE}.fileMode", "file-mode-decimal"),
        (spec({"deviceNodes": [NODE | {"minor": -1}]}), f"{FIRST_NODE}.minor", "wildcard-number"),
        (spec({"deviceNodes": [NODE | {"type": "u"}]}), f"{FIRST_NODE}.type", "type-u"),
        (spec({"deviceNodes": [NODE | {"permissions": "none"}]}), f"{FIRST_NODE}.permissions", "permissions-none"),
        (
            spec({"additionalGids": [1, 1 << 31]}, version="0.7.0"),
            "devices[0].containerEdits.additionalGids[1]",
            "group-too-high",
        ),
        (
            spec({"hooks": [HOOK | {"hookName": "createContainer"}]}),
            "devices[0].containerEdits.hooks[0]",
            "hook-without-env",
        ),
        (spec({"additionalGids": [1]}, version="0.6.0"), "cdiVersion", "version-too-low"),
        (spec({}), "devices[0]", "device-without-edits"),
        (spec({"env": []}), "devices[0]", "device-without-edits"),
        (spec({"mounts": [MOUNT | {"options": ["ro"]}]}), "devices[0].containerEdits.mounts[0]", "mount-of-no-type"),
        (
            spec({"hooks": [HOOK | {"timeout": 0}]}),
            "devices[0].containerEdits.hooks[0].timeout",
            "timeout-not-positive",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "-" in value else "",
)
def test_each_remark(data: Any, field: str, rule: str) -> None:
    assert remarks(data) == {field: rule}
