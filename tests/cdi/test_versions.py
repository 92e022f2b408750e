"""Which version a spec needs, and that the schema knows the same versions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cdi_runc.cdi.errors import InvalidSpec
from cdi_runc.cdi.schema import schema_errors
from cdi_runc.cdi.spec import parse_spec
from cdi_runc.cdi.versions import (
    EARLIEST_VERSION,
    KNOWN_VERSIONS,
    enforced_requirement,
    minimum_required_version,
    requirement,
)


def device(**edits: Any) -> dict[str, Any]:
    return {"kind": "v.com/c", "devices": [{"name": "a", "containerEdits": edits}]}


@pytest.mark.parametrize(
    ("spec", "version", "field"),
    [
        (device(env=["A=1"]), "0.3.0", ()),
        (device(mounts=[{"type": ""}]), "0.3.0", ()),
        (device(mounts=[{}, {"type": "tmpfs"}]), "0.4.0", ("devices", 0, "containerEdits", "mounts", 1, "type")),
        ({"containerEdits": {"mounts": [{"type": "bind"}]}}, "0.4.0", ("containerEdits", "mounts", 0, "type")),
        (device(deviceNodes=[{"hostPath": ""}]), "0.3.0", ()),
        (
            device(deviceNodes=[{"hostPath": "/dev/x"}]),
            "0.5.0",
            ("devices", 0, "containerEdits", "deviceNodes", 0, "hostPath"),
        ),
        ({"devices": [{"name": "a"}, {"name": "0"}]}, "0.5.0", ("devices", 1, "name")),
        ({"devices": [{"name": "\u0660"}]}, "0.3.0", ()),
        ({"kind": "v.com/c.d"}, "0.6.0", ("kind",)),
        ({"kind": "v.com"}, "0.3.0", ()),
        ({"annotations": {"a": "b"}}, "0.6.0", ("annotations",)),
        ({"annotations": {}}, "0.3.0", ()),
        ({"devices": [{"annotations": {"a": "b"}}]}, "0.6.0", ("devices", 0, "annotations")),
        (device(intelRdt={}), "0.7.0", ("devices", 0, "containerEdits", "intelRdt")),
        (device(additionalGids=[0]), "0.7.0", ("devices", 0, "containerEdits", "additionalGids")),
        (device(additionalGids=[]), "0.3.0", ()),
        (device(intelRdt={"schemata": []}), "1.1.0", ("devices", 0, "containerEdits", "intelRdt", "schemata")),
        (device(intelRdt={"enableMonitoring": False}), "0.7.0", ("devices", 0, "containerEdits", "intelRdt")),
        (
            device(intelRdt={"enableMonitoring": True}),
            "1.1.0",
            ("devices", 0, "containerEdits", "intelRdt", "enableMonitoring"),
        ),
        (device(netDevices=[{}]), "1.1.0", ("devices", 0, "containerEdits", "netDevices")),
        (device(netDevices=[]), "0.3.0", ()),
    ],
)
def test_requirement(spec: dict[str, Any], version: str, field: tuple[str | int, ...]) -> None:
    assert requirement(spec) == (version, field)
    assert minimum_required_version(spec) == version


HOST_PATH = {"deviceNodes": [{"path": "/dev/a", "hostPath": "/dev/null"}]}
TYPE = {"mounts": [{"hostPath": "tmpfs", "containerPath": "/a", "type": "tmpfs"}]}
ENV = {"env": ["A=B"]}


@pytest.mark.parametrize(
    ("edits", "own", "enforced"),
    [
        ([HOST_PATH, ENV], {}, "0.3.0"),
        ([TYPE, ENV], {}, "0.3.0"),
        ([ENV, HOST_PATH], {}, "0.5.0"),
        ([ENV, TYPE], {}, "0.4.0"),
        ([HOST_PATH, TYPE], {}, "0.4.0"),
        ([ENV, ENV], HOST_PATH, "0.5.0"),
        ([{"additionalGids": [1]}, ENV], {}, "0.7.0"),
        ([{"netDevices": [{"hostInterfaceName": "a", "name": "b"}]}, ENV], {}, "1.1.0"),
    ],
)
def test_of_some_fields_only_the_last_device_counts(edits: list[Any], own: Any, enforced: str) -> None:
    devices = [{"name": name, "containerEdits": each} for name, each in zip("ab", edits, strict=True)]
    spec = {"cdiVersion": enforced, "kind": "v.com/c", "devices": devices, "containerEdits": own}
    assert enforced_requirement(spec)[0] == enforced
    assert parse_spec(json.dumps(spec)) == spec
    if enforced != EARLIEST_VERSION:
        with pytest.raises(InvalidSpec, match="is too low"):
            parse_spec(json.dumps({**spec, "cdiVersion": EARLIEST_VERSION}))


@pytest.mark.parametrize("version", KNOWN_VERSIONS)
def test_the_schema_takes_the_versions_that_can_be_enough(version: str) -> None:
    faults = [path for path, _ in schema_errors({"cdiVersion": version, "kind": "v.com/c", "devices": [{"name": "a"}]})]
    assert faults == ([] if version >= EARLIEST_VERSION else [("cdiVersion",)])
