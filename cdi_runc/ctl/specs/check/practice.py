"""What the standard or its reference lets pass, and what goes wrong all the same. Looks at the spec alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cdi_runc import is_qualified_name, minimum_required_version, qualified_name
from cdi_runc.cdi.names import split_kind
from cdi_runc.cdi.versions import KNOWN_VERSIONS
from cdi_runc.ctl.specs.check.finding import Check, Remark, each_edit, each_edits


def version_higher_than_needed(spec: Any) -> Iterator[Remark]:
    """Older engines refuse a version that they do not know, whatever the file contains."""
    version, needed = spec["cdiVersion"].removeprefix("v"), minimum_required_version(spec)
    if KNOWN_VERSIONS.index(version) > KNOWN_VERSIONS.index(needed):
        yield ("cdiVersion",), f"is {version} where {needed} would do, which more engines can read"


def version_with_a_letter(spec: Any) -> Iterator[Remark]:
    """SPEC.md wants Semantic Versioning, the reference takes a leading v."""
    if spec["cdiVersion"].startswith("v"):
        yield ("cdiVersion",), f"is {spec['cdiVersion']!r}: not every engine takes the leading v"


def name_not_to_be_asked_for(spec: Any) -> Iterator[Remark]:
    """A spec may declare names that a request, which is a qualified name, can't hold."""
    for place, device in enumerate(spec["devices"]):
        name = qualified_name(*split_kind(spec["kind"]), device["name"])
        if not is_qualified_name(name):
            yield ("devices", place, "name"), f"no annotation can ask for {name}: vendor and class begin with a letter"


def kind_too_long(spec: Any) -> Iterator[Remark]:
    """SPEC.md, "Kind": a DNS subdomain of at most 253 characters, and a name of at most 63."""
    vendor, class_ = split_kind(spec["kind"])
    if len(vendor) > 253 or len(class_) > 63:
        yield ("kind",), "has a vendor of more than 253 or a class of more than 63 characters, which SPEC.md forbids"


def variable_set_twice(spec: Any) -> Iterator[Remark]:
    """Of two settings in one list the last counts."""
    yield from _twice(spec, "env", lambda entry: entry.partition("=")[0], "sets the variable {} a second time")


def path_made_twice(spec: Any) -> Iterator[Remark]:
    """Of two edits of one list for one path in the container the last counts."""
    yield from _twice(spec, "deviceNodes", lambda node: node["path"], "makes {} a second time")
    yield from _twice(spec, "mounts", lambda mount: mount["containerPath"], "mounts to {} a second time")


def path_not_absolute(spec: Any) -> Iterator[Remark]:
    """Runtimes take a relative path from wherever they happen to be, or refuse it."""
    for kind, fields in {
        "deviceNodes": ("path", "hostPath"),
        "mounts": ("containerPath",),
        "hooks": ("path",),
    }.items():
        for path, edit in each_edit(spec, kind):
            for field in fields:
                if edit.get(field) and not edit[field].startswith("/"):
                    yield (*path, field), f"is {edit[field]!r}, not an absolute path"


def device_without_edits(spec: Any) -> Iterator[Remark]:
    """SPEC.md calls a device's edits optional; the reference refuses the whole file."""
    for place, device in enumerate(spec["devices"]):
        if not any(edits is not None and edits != [] for edits in device.get("containerEdits", {}).values()):
            yield ("devices", place), "has no edits of its own: other engines refuse the whole file for it"


def mount_of_no_type(spec: Any) -> Iterator[Remark]:
    """runc-style runtimes bind only what says `bind` or `rbind`, and know no file system of no type."""
    for path, mount in each_edit(spec, "mounts"):
        if not mount.get("type") and not {"bind", "rbind"} & set(mount.get("options", ())):
            yield path, "has neither a type nor the option bind or rbind: runtimes will not know what to mount"


def timeout_not_positive(spec: Any) -> Iterator[Remark]:
    """SPEC.md, "Hooks": greater than zero."""
    for path, hook in each_edit(spec, "hooks"):
        if hook.get("timeout", 1) <= 0:
            yield (*path, "timeout"), f"is {hook['timeout']}: SPEC.md wants a timeout greater than zero"


PRACTICE: tuple[Check, ...] = (
    version_higher_than_needed,
    version_with_a_letter,
    name_not_to_be_asked_for,
    kind_too_long,
    variable_set_twice,
    path_made_twice,
    path_not_absolute,
    device_without_edits,
    mount_of_no_type,
    timeout_not_positive,
)


def _twice(spec: Any, kind: str, name: Any, message: str) -> Iterator[Remark]:
    for path, edits in each_edits(spec):
        seen = set()
        for place, edit in enumerate(edits.get(kind, ())):
            if name(edit) in seen:
                yield (*path, kind, place), message.format(name(edit))
            seen.add(name(edit))
