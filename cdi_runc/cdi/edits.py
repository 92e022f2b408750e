"""HOT. Container edits made to an OCI config: what SPEC.md, "OCI Edits", and the reference's container-edits.go say.

The edits come normalised (as `parse_spec` gives them) and are not checked again; the config can come from anybody and
is checked wherever it is touched. Knows neither where the edits nor where the config come from.
"""

import posix

from cdi_runc.cdi.errors import InjectionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from cdi_runc.cdi.types import ContainerEdits, DeviceNode, Hook, IntelRdt, LinuxNetDevice, Mount

    Object = dict[str, Any]  # a JSON object
    Groups = Sequence[tuple[str, ContainerEdits]]

# stat(2) and inode(7); the module `stat` would have to be imported for them.
S_IFMT = 0o170000
S_IFLNK = 0o120000
_DEVICE_TYPES = {0o060000: "b", 0o020000: "c", 0o010000: "p"}


def apply(config: "Object", groups: "Groups") -> None:
    """Make the edits of all groups to an OCI config, or none of them.

    A group is (provenance, edits), in the order of injection; later ones win. Parts of the config that change are
    replaced by changed copies, and only when every edit has been made; fields this library does not know are kept.
    Raises InjectionError, naming the provenance where one group is at fault, and leaves the config as it was.

    >>> config = {"process": {"env": ["PATH=/bin", "A=1"]}}
    >>> apply(config, [("vendor.com/gpu=0", {"env": ["A=2", "B=3"]})])
    >>> config
    {'process': {'env': ['PATH=/bin', 'A=2', 'B=3']}}
    """
    if not isinstance(config, dict):
        raise InjectionError(f"the OCI config is {_kind(config)}, not an object")
    draft = dict(config)
    for kind, editor in _EDITORS.items():
        made: list[Any] = [(whose, edit) for whose, edits in groups for edit in edits.get(kind, ())]  # type: ignore[attr-defined]
        if made:
            editor(draft, made)
    for _, edits in groups:
        if (rdt := edits.get("intelRdt")) is not None:
            _object(draft, "linux")["intelRdt"] = oci_intel_rdt(rdt)
    config.update(draft)


def _set_env(draft: "Object", made: "list[tuple[str, str]]") -> None:
    """A variable that is there is replaced in its place; of several of one name, the last."""
    env = _list(draft, "process.env", str)
    places = {entry.partition("=")[0]: place for place, entry in enumerate(env)}
    for _, entry in made:
        place = places.setdefault(entry.partition("=")[0], len(env))
        env[place : place + 1] = [entry]


def _add_device_nodes(draft: "Object", made: "list[tuple[str, DeviceNode]]") -> None:
    devices = _list(draft, "linux.devices", dict)
    places: dict[str, list[int]] = {}
    for place, device in enumerate(devices):
        if isinstance(path := device.get("path"), str):
            places.setdefault(path, []).append(place)
    rules = []
    for provenance, node in made:
        try:
            device = oci_device(node)
        except InjectionError as error:
            raise InjectionError(f"{provenance}: {error}") from None
        for owner in ("uid", "gid"):
            if owner not in device and (process_id := _process_id(draft, owner)) > 0:
                device[owner] = process_id
        _replace_device(devices, places, device)
        if rule := device_rule(node, device):
            rules.append(rule)
    devices[:] = [device for device in devices if device is not _GONE]
    if rules:
        _list(draft, "linux.resources.devices", dict).extend(rules)


def _replace_device(devices: "list[Object]", places: "dict[str, list[int]]", device: "Object") -> None:
    """The first device of this path goes and the new one comes last, or in the place of a second one of the path.

    `places` has the places of each path's devices. What goes leaves a mark, so that no place moves.
    """
    same = places.setdefault(device["path"], [])
    if same:
        devices[same.pop(0)] = _GONE
    if same:
        devices[same[0]] = device
    else:
        same.append(len(devices))
        devices.append(device)


_GONE: "Object" = {}


def _process_id(config: "Object", owner: str) -> int:
    found = _get(_get(config, "process", "process"), "user", "process.user").get(owner)
    if found is None:
        return 0
    if type(found) is not int:
        raise InjectionError(f"process.user.{owner} in the OCI config is {_kind(found)}, not an integer")
    return found


def oci_device(node: "DeviceNode") -> "Object":
    """The OCI device for a device node; what the node leaves out is as lstat(2) finds it on this host, now.

    A node that gives type and major (or is a pipe) needs no device on the host and is not compared with it; all others
    must be there, and be of the type that they give. Raises InjectionError.
    """
    type_, major, minor, mode = node.get("type", ""), node.get("major", 0), node.get("minor", 0), node.get("fileMode")
    complete = type_ == "p" or bool(type_ and major)
    if mode is None or not complete:
        host_path = node.get("hostPath") or node["path"]
        try:
            found, found_major, found_minor, found_mode = _host_device(host_path)
        except InjectionError:
            if not complete:
                raise
        else:
            mode = found_mode if mode is None else mode
            if not complete:
                if type_ not in ("", found):
                    raise InjectionError(f"host device {host_path!r} is of type {found}, not {type_} as the spec says")
                type_ = found
                if found != "p" and not major:
                    major, minor = found_major, found_minor
    device = {"path": node["path"], "type": type_, "major": major, "minor": minor}
    given = {"fileMode": mode, "uid": node.get("uid"), "gid": node.get("gid")}
    return device | {field: value for field, value in given.items() if value is not None}


def _host_device(path: str) -> tuple[str, int, int, int]:
    """Type, major, minor and mode bits of a device node or pipe on this host; links are not followed."""
    try:
        # In UTF-8, as runtimes read the config, whatever the locale says.
        found = posix.lstat(path.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise InjectionError(f"host device {path!r}: {error.strerror}") from None
    except ValueError:  # NUL or a lone surrogate: no file can have this name
        raise InjectionError(f"host device {path!r} cannot be the name of a file") from None
    type_ = _DEVICE_TYPES.get(found.st_mode & S_IFMT)
    if type_ is None:
        if found.st_mode & S_IFMT == S_IFLNK:
            raise InjectionError(
                f"host device {path!r} is a symbolic link: the spec must name the device that it leads to"
            )
        raise InjectionError(f"host device {path!r} is not a block device, a character device or a pipe")
    return type_, posix.major(found.st_rdev), posix.minor(found.st_rdev), found.st_mode & ~S_IFMT


def device_rule(node: "DeviceNode", device: "Object") -> "Object | None":
    """The cgroup rule that lets the container use the device; None for a type that cgroups do not know."""
    if device["type"] not in ("b", "c"):
        return None
    rule = {"allow": True, "type": device["type"], "major": device["major"], "minor": device["minor"]}
    access = node.get("permissions") or "rwm"
    return rule if access == "none" else rule | {"access": access}


def _set_net_devices(draft: "Object", made: "list[tuple[str, LinuxNetDevice]]") -> None:
    devices = _object(draft, "linux.netDevices")
    for _, device in made:
        devices[device["hostInterfaceName"]] = {"name": device["name"]}


def _add_mounts(draft: "Object", made: "list[tuple[str, Mount]]") -> None:
    """A mount takes the place of the first with its destination; then all are sorted, outer ones first."""
    mounts = _list(draft, "mounts", dict)
    places: dict[str, list[int]] = {}
    for place, mount in enumerate(mounts):
        destination = mount.get("destination") or ""
        if not isinstance(destination, str):
            raise InjectionError("mounts in the OCI config has a destination that is not a text")
        places.setdefault(destination, []).append(place)
    idmap = has_user_namespace(draft)
    for _, mount in made:
        same = places.setdefault(mount["containerPath"], [])
        if same:
            mounts[same.pop(0)] = _GONE
        same.append(len(mounts))
        mounts.append(oci_mount(mount, idmap))
    mounts[:] = [mount for mount in mounts if mount is not _GONE]
    mounts.sort(key=lambda mount: mount_depth(mount.get("destination") or ""))


def oci_mount(mount: "Mount", idmap: bool) -> "Object":
    """The OCI mount for a mount; with `idmap`, in a container with a user namespace, its ids are mapped."""
    options = list(mount.get("options") or ())
    if idmap and "idmap" not in options and "ridmap" not in options:
        # A bind mount in a user namespace needs its ids mapped; the last of bind and rbind says how deep.
        binds = [option for option in ("bind" if mount.get("type") == "bind" else "", *options) if option in _ID_MAPS]
        options += [_ID_MAPS[bind] for bind in binds[-1:]]
    given = {
        "destination": mount["containerPath"],
        "type": mount.get("type"),
        "source": mount["hostPath"],
        "options": options,
    }
    return {field: value for field, value in given.items() if value}


_ID_MAPS = {"bind": "idmap", "rbind": "ridmap"}


def has_user_namespace(config: "Object") -> bool:
    """Whether the container has a user namespace of its own. Raises InjectionError for namespaces of a wrong type."""
    namespaces = _get(config, "linux", "linux").get("namespaces") or ()
    if not isinstance(namespaces, (list, tuple)) or not all(isinstance(each, dict) for each in namespaces):
        raise InjectionError("linux.namespaces in the OCI config is not a list of objects")
    return any(namespace.get("type") == "user" for namespace in namespaces)


def mount_depth(path: str) -> int:
    """The number of slashes in the cleaned path: `/` and `//a/` have one, `a` has none.

    >>> [mount_depth(path) for path in ("/", "//a/", "/a/../b/./c", "a", "", "../a")]
    [1, 1, 2, 0, 0, 1]
    """
    cleaned = clean_path(path)
    return cleaned.count("/")


def clean_path(path: str) -> str:
    """The path without `.`, `..` and doubled slashes, as Go's path/filepath.Clean gives it; `.` for no path.

    >>> [clean_path(path) for path in ("/", "//a/", "/a/../b/./c", "a", "", "../a", "a/..")]
    ['/', '/a', '/b/c', 'a', '.', '../a', '.']
    """
    rooted = path.startswith("/")
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part not in ("", ".") and not (part == ".." and rooted):
            parts.append(part)
    return "/" + "/".join(parts) if rooted else "/".join(parts) or "."


def _add_hooks(draft: "Object", made: "list[tuple[str, Hook]]") -> None:
    for _, hook in made:
        _list(draft, "hooks." + hook["hookName"], dict).append(oci_hook(hook))


def oci_hook(hook: "Hook") -> "Object":
    """The OCI hook for a hook; a timeout is kept as it is, 0 too."""
    given = {
        "path": hook["path"],
        "args": list(hook.get("args") or ()) or None,
        "env": list(hook.get("env") or ()) or None,
        "timeout": hook.get("timeout"),
    }
    return {field: value for field, value in given.items() if value is not None}


def oci_intel_rdt(rdt: "IntelRdt") -> "Object":
    """The OCI intelRdt for an intelRdt; empty values say nothing and are left out."""
    return {field: list(value) if isinstance(value, list) else value for field, value in rdt.items() if value}


def _add_gids(draft: "Object", made: "list[tuple[str, int]]") -> None:
    """Group 0 is ignored (SPEC.md, "OCI Edits"), and what is there is not added again."""
    wanted = [gid for _, gid in made if gid]
    if wanted:
        gids = _list(draft, "process.user.additionalGids", int)
        for gid in wanted:
            if gid not in gids:
                gids.append(gid)


# The order is the reference's. No editor reads what another writes, so it only decides which fault is told first.
_EDITORS: "dict[str, Any]" = {
    "env": _set_env,
    "deviceNodes": _add_device_nodes,
    "netDevices": _set_net_devices,
    "mounts": _add_mounts,
    "hooks": _add_hooks,
    "additionalGids": _add_gids,
}


def _object(draft: "Object", path: str) -> "Object":
    """The object at a path like `linux.resources`, copied on the way so that the config itself stays as it is."""
    part, where = draft, ""
    for key in path.split("."):
        where = f"{where}.{key}" if where else key
        inner = dict(_get(part, key, where))
        part[key] = inner
        part = inner
    return part


def _get(parent: "Object", key: str, where: str) -> "Object":
    found = parent.get(key)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InjectionError(f"{where} in the OCI config is {_kind(found)}, not an object")
    return found


def _list(draft: "Object", path: str, of: type) -> "list[Any]":
    """The list at a path like `process.env`, copied likewise; all its items are of the type."""
    outer, _, key = path.rpartition(".")
    parent = _object(draft, outer) if outer else draft
    found = parent.get(key)
    if found is None:
        found = []
    if not isinstance(found, (list, tuple)) or not all(isinstance(item, of) for item in found):
        raise InjectionError(f"{path} in the OCI config is {_kind(found, of)}, not a list of {_PLURALS[of]}")
    copy = parent[key] = list(found)
    return copy


_PLURALS = {str: "texts", int: "integers", dict: "objects"}


def _kind(value: object, of: "type | None" = None) -> str:
    if isinstance(value, (list, tuple)):
        return "a list with other things" if of else "a list"
    names = {
        dict: "an object",
        str: "a text",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        type(None): "null",
    }
    return names.get(type(value), f"a {type(value).__name__}")
