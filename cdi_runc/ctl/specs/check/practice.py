"""What the standard or its reference accepts, but what fails in practice. Looks at the spec alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cdi_runc import is_qualified_name, minimum_required_version, qualified_name
from cdi_runc.cdi.names import split_kind
from cdi_runc.cdi.spec import field_text
from cdi_runc.cdi.versions import KNOWN_VERSIONS, requirement
from cdi_runc.ctl.specs.check.finding import Check, Remark, each_edit, each_edits


def version_higher_than_needed(spec: Any) -> Iterator[Remark]:
    """Older engines refuse a version that they do not know, whatever the file contains. Use `cdictl spec minimise`."""
    version, needed = spec["cdiVersion"].removeprefix("v"), minimum_required_version(spec)
    if KNOWN_VERSIONS.index(version) > KNOWN_VERSIONS.index(needed):
        yield ("cdiVersion",), f"is {version} where {needed} would do, which more engines can read"


def version_too_low(spec: Any) -> Iterator[Remark]:
    """The reference checks the version of hostPath and of a mount's type only in the last device; others check all."""
    version, (needed, field) = spec["cdiVersion"].removeprefix("v"), requirement(spec)
    if KNOWN_VERSIONS.index(version) < KNOWN_VERSIONS.index(needed):
        yield ("cdiVersion",), f"is {version}, but {field_text(field)} needs {needed}: strict readers refuse the file"


def version_with_a_letter(spec: Any) -> Iterator[Remark]:
    """SPEC.md asks for Semantic Versioning, the reference takes a leading v too. Leave it out for other readers."""
    if spec["cdiVersion"].startswith("v"):
        yield ("cdiVersion",), f"is {spec['cdiVersion']!r}: not every engine takes the leading v"


def name_not_to_be_asked_for(spec: Any) -> Iterator[Remark]:
    """A request is a qualified name, and its vendor and class begin with a letter. A spec may declare others."""
    for place, device in enumerate(spec["devices"]):
        name = qualified_name(*split_kind(spec["kind"]), device["name"])
        if not is_qualified_name(name):
            yield ("devices", place, "name"), f"no annotation can ask for {name}: vendor and class begin with a letter"


def kind_too_long(spec: Any) -> Iterator[Remark]:
    """SPEC.md, "Kind": the vendor is a DNS subdomain of at most 253 characters, and the class has at most 63."""
    vendor, class_ = split_kind(spec["kind"])
    if len(vendor) > 253 or len(class_) > 63:
        yield ("kind",), "has a vendor of more than 253 or a class of more than 63 characters, which SPEC.md forbids"


def variable_set_twice(spec: Any) -> Iterator[Remark]:
    """Of two settings of one variable in one list the last one counts. Remove the other one."""
    yield from _twice(spec, "env", lambda entry: entry.partition("=")[0], "sets the variable {} a second time")


def path_made_twice(spec: Any) -> Iterator[Remark]:
    """Of two edits in one list for one path in the container the last one counts. Remove the other one."""
    yield from _twice(spec, "deviceNodes", lambda node: node["path"], "makes {} a second time")
    yield from _twice(spec, "mounts", lambda mount: mount["containerPath"], "mounts to {} a second time")


def path_not_absolute(spec: Any) -> Iterator[Remark]:
    """Runtimes resolve a relative path from their working directory, or refuse it. Write the whole path."""
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
    """SPEC.md calls a device's edits optional, but the reference refuses the whole file. Give it an edit."""
    for place, device in enumerate(spec["devices"]):
        if not any(edits is not None and edits != [] for edits in device.get("containerEdits", {}).values()):
            yield ("devices", place), "has no edits of its own: other engines refuse the whole file for it"


def mount_of_no_type(spec: Any) -> Iterator[Remark]:
    """Runtimes bind only what has the option bind or rbind, and know no file system without a type. Add one of them."""
    for path, mount in each_edit(spec, "mounts"):
        if not mount.get("type") and not {"bind", "rbind"} & set(mount.get("options", ())):
            yield path, "has neither a type nor the option bind or rbind: runtimes will not know what to mount"


def file_mode_decimal(spec: Any) -> Iterator[Remark]:
    """A file mode in decimal digits is another mode: 666 is 01232, as JSON has no octal numbers. 0666 is 438 there."""
    for path, node in each_edit(spec, "deviceNodes"):
        mode = node.get("fileMode", 0)
        if mode > 0o777 and set(str(mode)) <= set("01234567") and len(str(mode)) <= 4:
            wanted = int(str(mode), 8)
            yield (*path, "fileMode"), f"is {mode}, that is mode {mode:05o}; did you mean {wanted:04o} ({wanted})?"
        elif mode > 0o7777:
            yield (*path, "fileMode"), f"is {mode}, which has more bits than a file mode: 07777 (4095) at most"


def wildcard_number(spec: Any) -> Iterator[Remark]:
    """A cgroup rule may have a number of -1, which is any number. A device node needs its own: runtimes refuse it."""
    for path, node in each_edit(spec, "deviceNodes"):
        for field in ("major", "minor"):
            if node.get(field, 0) < 0:
                yield (*path, field), f"is {node[field]}: no device has this number, and runtimes refuse the container"


def type_u(spec: Any) -> Iterator[Remark]:
    """The type u is a character device, but in cgroup rules its type is c. With u, it allows nothing."""
    for path, node in each_edit(spec, "deviceNodes"):
        if node.get("type") == "u":
            yield (*path, "type"), "is u: engines then write a cgroup rule that allows nothing; write c"


def permissions_none(spec: Any) -> Iterator[Remark]:
    """Engines write a cgroup rule without access for it, and runc and crun refuse that. cdi-runc writes no rule."""
    for path, node in each_edit(spec, "deviceNodes"):
        if node.get("permissions") == "none":
            message = "is none: with an engine's own CDI, runc and crun refuse the container; with cdi-runc it works"
            yield (*path, "permissions"), message


def group_too_high(spec: Any) -> Iterator[Remark]:
    """Runtimes refuse groups above 2147483647, and the container does not start."""
    for path, gid in each_edit(spec, "additionalGids"):
        if gid > 0x7FFFFFFF:
            yield path, f"is {gid}: runtimes refuse groups above {0x7FFFFFFF}"


def hook_without_env(spec: Any) -> Iterator[Remark]:
    """With runc before 1.3.0 a hook in the container's namespaces that has no env runs with the image's variables.

    Then an image can make it load the image's library, as root of the host (CVE-2025-23266). Give the hook an env, for
    example `env: [PATH=/usr/sbin:/usr/bin:/sbin:/bin]`. cdi-runc gives such hooks one."""
    for path, hook in each_edit(spec, "hooks"):
        if hook["hookName"] in ("createContainer", "startContainer") and not hook.get("env"):
            message = "has no env: with runc before 1.3.0 it runs with the image's variables (CVE-2025-23266)"
            yield path, message


def timeout_not_positive(spec: Any) -> Iterator[Remark]:
    """SPEC.md, "Hooks": a timeout is greater than zero. Runtimes stop a hook with 0 or less at once."""
    for path, hook in each_edit(spec, "hooks"):
        if hook.get("timeout", 1) <= 0:
            yield (*path, "timeout"), f"is {hook['timeout']}: SPEC.md requires a timeout greater than zero"


PRACTICE: tuple[Check, ...] = (
    version_higher_than_needed,
    version_too_low,
    version_with_a_letter,
    name_not_to_be_asked_for,
    kind_too_long,
    variable_set_twice,
    path_made_twice,
    path_not_absolute,
    device_without_edits,
    mount_of_no_type,
    file_mode_decimal,
    wildcard_number,
    type_u,
    permissions_none,
    group_too_high,
    hook_without_env,
    timeout_not_positive,
)


def _twice(spec: Any, kind: str, name: Any, message: str) -> Iterator[Remark]:
    for path, edits in each_edits(spec):
        seen = set()
        for place, edit in enumerate(edits.get(kind, ())):
            if name(edit) in seen:
                yield (*path, kind, place), message.format(name(edit))
            seen.add(name(edit))
