"""Versions of the standard: which there are, and which one a spec needs (CDI SPEC.md, "Released versions")."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

KNOWN_VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0")
CURRENT_VERSION = KNOWN_VERSIONS[-1]
EARLIEST_VERSION = "0.3.0"  # the first with a specification; the two before it are known and always too low

Path = tuple[str | int, ...]  # where something is in a spec, e.g. ("devices", 0, "name")


def minimum_required_version(spec: Any) -> str:
    """The lowest version of the standard that allows what the spec (as `parse_spec` gives it) contains.

    >>> minimum_required_version({"kind": "vendor.com/gpu", "devices": [{"name": "0"}]})
    '0.5.0'
    """
    return requirement(spec)[0]


def requirement(spec: Any) -> tuple[str, Path]:
    """The lowest version that the spec needs, and the first field that needs it (empty for the earliest version)."""
    return _highest(requirements(spec))


def enforced_requirement(spec: Any) -> tuple[str, Path]:
    """The same, of what the reference checks: of all devices but the last it forgets the hostPath and the mount's type.

    (It keeps pointers to a loop's variable.) Specs that were written by its rules are to be read, too.
    """
    last = len(spec.get("devices", ())) - 1
    return _highest(
        (version, path)
        for version, path in requirements(spec)
        if path[0] != "devices" or path[1] == last or path[-1] not in ("hostPath", "type")
    )


def _highest(found: Iterable[tuple[str, Path]]) -> tuple[str, Path]:
    return max(found, key=lambda each: KNOWN_VERSIONS.index(each[0]), default=(EARLIEST_VERSION, ()))


def requirements(spec: Any) -> Iterator[tuple[str, Path]]:
    """Every field that is newer than the earliest version, with the version that added it."""
    if "." in spec.get("kind", "").partition("/")[2]:
        yield "0.6.0", ("kind",)
    if spec.get("annotations"):
        yield "0.6.0", ("annotations",)
    yield from _edits_requirements(spec.get("containerEdits", {}), ("containerEdits",))
    for place, device in enumerate(spec.get("devices", ())):
        path: Path = ("devices", place)
        if device.get("name", "")[:1] in set("0123456789"):
            yield "0.5.0", (*path, "name")
        if device.get("annotations"):
            yield "0.6.0", (*path, "annotations")
        yield from _edits_requirements(device.get("containerEdits", {}), (*path, "containerEdits"))


def _edits_requirements(edits: Any, path: Path) -> Iterator[tuple[str, Path]]:
    for place, mount in enumerate(edits.get("mounts", ())):
        if mount.get("type"):
            yield "0.4.0", (*path, "mounts", place, "type")
    for place, node in enumerate(edits.get("deviceNodes", ())):
        if node.get("hostPath"):
            yield "0.5.0", (*path, "deviceNodes", place, "hostPath")
    if edits.get("additionalGids"):
        yield "0.7.0", (*path, "additionalGids")
    rdt = edits.get("intelRdt")
    if rdt is not None:
        yield "0.7.0", (*path, "intelRdt")
        if "schemata" in rdt:  # an empty list counts, unlike everywhere else
            yield "1.1.0", (*path, "intelRdt", "schemata")
        if rdt.get("enableMonitoring"):
            yield "1.1.0", (*path, "intelRdt", "enableMonitoring")
    if edits.get("netDevices"):
        yield "1.1.0", (*path, "netDevices")
