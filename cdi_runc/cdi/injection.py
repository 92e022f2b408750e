"""From the names that are asked for to the edits that are to be made: resolving, and leaving out what is made already.

Knows devices only through a function that finds them, so that the registry and the shim's snapshot serve alike.

Loaded at every container create under `python3 -I -S`: no imports but of its kind.
"""

from cdi_runc.cdi.edits import device_rule, oci_device, oci_hook, oci_intel_rdt
from cdi_runc.cdi.errors import InjectionError, UnresolvableDevices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from cdi_runc.cdi.types import ContainerEdits

    Found = tuple[str, ContainerEdits, ContainerEdits]  # path of the spec file, its own edits, the device's edits
    Group = tuple[str, ContainerEdits]  # provenance (path of the spec file or name of the device) and edits
    Object = dict[str, Any]  # a JSON object
    Key = tuple[str, str]


def resolve(names: "Iterable[str]", find: "Callable[[str], Found | None]") -> "list[Group]":
    """The groups of edits that the named devices bring, in the order in which they are to be applied.

    A spec file's own edits come once, just before its first device; a device asked for twice comes twice. Raises
    UnresolvableDevices with every name that `find` does not know.

    >>> resolve(["v.com/gpu=0"], {"v.com/gpu=0": ("/etc/cdi/v.yaml", {"env": ["A=1"]}, {"env": ["B=2"]})}.get)
    [('/etc/cdi/v.yaml', {'env': ['A=1']}), ('v.com/gpu=0', {'env': ['B=2']})]
    """
    groups: list[Group] = []
    missing = []
    files = set()
    for name in names:
        found = find(name)
        if found is None:
            missing.append(name)
            continue
        path, spec_edits, device_edits = found
        if path not in files:
            files.add(path)
            groups.append((path, spec_edits))
        groups.append((name, device_edits))
    if missing:
        raise UnresolvableDevices(missing)
    return groups


def pending(config: "Object", groups: "Sequence[Group]") -> "list[Group]":
    """The edits that are not in the config yet, so that an engine's own injection or a second run is not doubled.

    Of edits that set one thing (a variable, a device path, a mount's destination) the last counts, and where that one
    is in the config, the others are settled too. A group of which nothing is left does not come back.
    """
    last = {_key(kind, edit): edit for _, edits in groups for kind, edit in _each(edits)}
    settled = {key for key, edit in last.items() if _STANDS[key[0]](config, edit)}
    for _, edits in groups:
        for node in edits.get("deviceNodes", ()):
            # A later device of the same path brings its own cgroup rule, not that of this one.
            if _key("deviceNodes", node) in settled and not _rule_stands(config, node):
                settled.remove(_key("deviceNodes", node))
    left = [(provenance, _without(edits, settled)) for provenance, edits in groups]
    return [(provenance, edits) for provenance, edits in left if edits]


def _each(edits: "ContainerEdits") -> "Iterable[tuple[str, Any]]":
    for kind, value in edits.items():
        if kind == "intelRdt":
            yield kind, value
        else:
            for edit in value:  # type: ignore[attr-defined]  # every other kind is a list
                yield kind, edit


def _key(kind: str, edit: "Any") -> "Key":
    """What an edit sets: the same for two edits of which the later overrides, or only repeats, the earlier."""
    if kind == "env":
        return kind, edit.partition("=")[0]
    if kind == "intelRdt":
        return kind, ""
    field = {"deviceNodes": "path", "mounts": "containerPath", "netDevices": "hostInterfaceName"}.get(kind)
    return kind, edit[field] if field else repr(edit)


def _without(edits: "ContainerEdits", settled: "set[Key]") -> "ContainerEdits":
    kept: Object = {}
    for kind, edit in _each(edits):
        if _key(kind, edit) not in settled:
            if kind == "intelRdt":
                kept[kind] = edit
            else:
                kept.setdefault(kind, []).append(edit)
    return kept  # type: ignore[return-value]  # the same fields, fewer edits


def _device_stands(config: "Object", node: "Any") -> bool:
    try:
        device = oci_device(node)
    except InjectionError:
        return False
    fields = ("path", "type", "major", "minor", *(field for field in ("fileMode", "uid", "gid") if field in node))
    wanted = {field: device[field] for field in fields}
    return any(wanted.items() <= other.items() for other in _items(config, "linux", "devices"))


def _rule_stands(config: "Object", node: "Any") -> bool:
    try:
        rule = device_rule(node, oci_device(node))
    except InjectionError:
        return False
    if rule is None:
        return True
    rule = _NO_ACCESS | rule
    rules = _items(config, "linux", "resources", "devices")
    return any(rule.items() <= (_NO_ACCESS | other).items() for other in rules)


_NO_ACCESS = {"access": ""}  # what a rule without the field means


def _mount_stands(config: "Object", mount: "Any") -> bool:
    return any(
        other.get("destination") == mount["containerPath"]
        and other.get("source") == mount["hostPath"]
        and set(mount.get("options") or ()) <= set(other.get("options") or ())
        for other in _items(config, "mounts")
    )


def _hook_stands(config: "Object", hook: "Any") -> bool:
    wanted = oci_hook(hook)
    hooks = _items(config, "hooks", hook["hookName"])
    return any(
        {field: other[field] for field in _HOOK_FIELDS if other.get(field) not in (None, [])} == wanted
        for other in hooks
    )


_HOOK_FIELDS = ("path", "args", "env", "timeout")

_STANDS: "dict[str, Callable[[Object, Any], bool]]" = {
    "deviceNodes": _device_stands,
    "env": lambda config, entry: entry in _at(config, "process", "env", of=list),
    "netDevices": lambda config, device: (
        _at(config, "linux", "netDevices", device["hostInterfaceName"]).get("name") == device["name"]
    ),
    "mounts": _mount_stands,
    "hooks": _hook_stands,
    "intelRdt": lambda config, rdt: _at(config, "linux", "intelRdt", of=object) == oci_intel_rdt(rdt),
    "additionalGids": lambda config, gid: gid == 0 or gid in _at(config, "process", "user", "additionalGids", of=list),
}


def _items(config: "Object", *path: str) -> "list[Object]":
    return [item for item in _at(config, *path, of=list) if isinstance(item, dict)]


def _at(config: "Object", *path: str, of: type = dict) -> "Any":
    """What stands at the path, or an empty thing of the type where nothing of it does; faults are for apply to tell."""
    part: Any = config
    for key in path:
        part = part.get(key) if isinstance(part, dict) else None
    return part if isinstance(part, of) else of()
