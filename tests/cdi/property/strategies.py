"""Specs, edits and OCI configs out of thin air, for the property tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Strategy = st.SearchStrategy[Any]

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SOME_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
UINT32 = st.integers(0, 2**32 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)

VENDOR = st.from_regex(r"[A-Za-z]([A-Za-z0-9_.-]*[A-Za-z0-9])?", fullmatch=True)
DEVICE = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?", fullmatch=True)
VARIABLE = st.builds("{}={}".format, st.text("AB", min_size=1, max_size=2), TEXT)
# Few of them, so that edits meet and override each other.
PATH = st.sampled_from(["/a", "/a/b", "/a/", "//b", "b"])
HOOK = st.sampled_from(["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"])


def objects(required: dict[str, Strategy], **optional: Strategy) -> Strategy:
    return st.fixed_dictionaries(required, optional=optional)


def some(items: Strategy) -> Strategy:
    return st.lists(items, max_size=3)


DEVICE_NODE = objects(
    {"path": PATH},
    hostPath=st.sampled_from(["/dev/null", "/dev/zero", "/absent", "/etc", ""]),
    type=st.sampled_from(["b", "c", "u", "p", ""]),
    major=INT64,
    minor=INT64,
    fileMode=UINT32,
    permissions=st.sampled_from(["", "r", "rwm", "none"]),
    uid=UINT32,
    gid=UINT32,
)
MOUNT = objects(
    {"hostPath": PATH, "containerPath": PATH},
    type=st.sampled_from(["bind", "tmpfs", ""]),
    options=some(st.sampled_from(["ro", "bind", "rbind", "idmap"])),
)
INTEL_RDT = objects(
    {},
    closID=st.sampled_from(["", "/", "a"]),
    l3CacheSchema=TEXT,
    memBwSchema=TEXT,
    schemata=some(TEXT),
    enableMonitoring=st.booleans(),
)
EDITS = objects(
    {},
    env=some(VARIABLE),
    deviceNodes=some(DEVICE_NODE),
    netDevices=st.lists(objects({"hostInterfaceName": SOME_TEXT, "name": SOME_TEXT}), max_size=1),
    mounts=some(MOUNT),
    hooks=some(objects({"hookName": HOOK, "path": PATH}, args=some(TEXT), env=some(VARIABLE), timeout=INT64)),
    intelRdt=INTEL_RDT,
    additionalGids=some(UINT32),
)
ANNOTATIONS = st.dictionaries(TEXT, TEXT, max_size=3)
SPEC = objects(
    {
        "cdiVersion": st.sampled_from(["1.1.0", "v1.1.0"]),
        "kind": st.builds("{}/{}".format, VENDOR, VENDOR),
        "devices": st.lists(
            objects({"name": DEVICE}, annotations=ANNOTATIONS, containerEdits=EDITS),
            min_size=1,
            max_size=3,
            unique_by=lambda device: device["name"],
        ),
    },
    annotations=ANNOTATIONS,
    containerEdits=EDITS,
)

SCALAR = st.none() | st.booleans() | st.integers() | TEXT
ANYTHING = st.recursive(SCALAR, lambda inner: some(inner) | st.dictionaries(TEXT, inner))
CONFIG = objects(
    {"unknown": ANYTHING},
    process=objects(
        {"unknown": ANYTHING},
        env=some(VARIABLE | TEXT),
        user=objects({}, uid=UINT32, gid=UINT32, additionalGids=some(UINT32)),
    ),
    linux=objects(
        {"unknown": ANYTHING},
        devices=some(objects({"path": PATH}, unknown=ANYTHING)),
        resources=objects({}, devices=some(objects({}, allow=st.booleans())), unknown=ANYTHING),
        namespaces=some(objects({"type": st.sampled_from(["user", "mount"])})),
        intelRdt=INTEL_RDT | st.none(),
    ),
    mounts=some(objects({"destination": PATH})) | st.none(),
    hooks=st.dictionaries(HOOK, some(objects({"path": PATH}))),
)
