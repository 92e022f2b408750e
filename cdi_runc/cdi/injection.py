"""From the names that are asked for to the edits that are to be made: resolving, and leaving out what is made already.

Knows devices only through a function that finds them, so that the registry and the shim's snapshot serve alike.

Loaded at every container create under `python3 -I -S`: no imports but of its kind.
"""

from cdi_runc.cdi.edits import device_rule, oci_device, oci_intel_rdt
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
    there: dict[Key, list[Any]] = {}
    for key, entry in _entries(config):
        there.setdefault(key, []).append(entry)
    keyed = [(name, [(_key(kind, edit), kind, edit) for kind, edit in _each(edits)]) for name, edits in groups]
    last = {key: (kind, edit) for _, edits in keyed for key, kind, edit in edits}
    settled = {key for key, (kind, edit) in last.items() if _stands(kind, edit, there.get(key, ()))}
    for _, edits in keyed:
        for key, kind, edit in edits:
            # A later device of the same path brings its own cgroup rule, not that of this one.
            if key in settled and kind == "deviceNodes" and not _rule_stands(config, edit):
                settled.remove(key)
    left = [(name, _without(edits, settled)) for name, edits in keyed]
    return [(name, edits) for name, edits in left if edits]


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
    if kind == "hooks":
        return kind, _hook_key(edit["hookName"], edit)
    field = {"deviceNodes": "path", "mounts": "containerPath", "netDevices": "hostInterfaceName"}.get(kind)
    return kind, edit[field] if field else "" if kind == "intelRdt" else str(edit)


def _hook_key(name: str, hook: "Object") -> str:
    return repr((name, [hook.get(field) or None for field in ("path", "args", "env")], hook.get("timeout")))


def _entries(config: "Object") -> "Iterable[tuple[Key, Any]]":
    """What the config has, with the keys of the edits that would set it; faults are for apply to tell."""
    for entry in _at(config, "process", "env", of=list):
        if isinstance(entry, str):
            yield _key("env", entry), entry
    for device in _items(config, "linux", "devices"):
        yield ("deviceNodes", str(device.get("path"))), device
    for interface, device in _at(config, "linux", "netDevices").items():
        yield ("netDevices", interface), device
    for mount in _items(config, "mounts"):
        yield ("mounts", str(mount.get("destination"))), mount
    for name in _at(config, "hooks"):
        for hook in _items(config, "hooks", name):
            yield ("hooks", _hook_key(name, hook)), hook
    for gid in _at(config, "process", "user", "additionalGids", of=list):
        yield ("additionalGids", str(gid)), gid
    yield ("intelRdt", ""), _at(config, "linux", "intelRdt", of=object)


def _stands(kind: str, edit: "Any", entries: "Sequence[Any]") -> bool:
    """Whether one of the entries of the same key is what the edit would make."""
    if kind in ("env", "additionalGids"):
        return edit in entries or edit == 0  # 0 is no edit
    if kind == "deviceNodes":
        return _device_stands(edit, entries)
    if kind == "mounts":
        options = set(edit.get("options") or ())
        return any(
            mount.get("source") == edit["hostPath"] and options <= set(mount.get("options") or ()) for mount in entries
        )
    if kind == "netDevices":
        return any(isinstance(device, dict) and device.get("name") == edit["name"] for device in entries)
    return bool(entries) if kind == "hooks" else oci_intel_rdt(edit) in entries


def _without(keyed: "Iterable[tuple[Key, str, Any]]", settled: "set[Key]") -> "ContainerEdits":
    kept: Object = {}
    for key, kind, edit in keyed:
        if key not in settled:
            if kind == "intelRdt":
                kept[kind] = edit
            else:
                kept.setdefault(kind, []).append(edit)
    return kept  # type: ignore[return-value]  # the same fields, fewer edits


def _device_stands(node: "Any", devices: "Sequence[Object]") -> bool:
    if not devices:
        return False
    try:
        device = oci_device(node)
    except InjectionError:
        return False
    fields = ("path", "type", "major", "minor", *(field for field in ("fileMode", "uid", "gid") if field in node))
    wanted = {field: device[field] for field in fields}
    return any(wanted.items() <= other.items() for other in devices)


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


def _items(config: "Object", *path: str) -> "list[Object]":
    return [item for item in _at(config, *path, of=list) if isinstance(item, dict)]


def _at(config: "Object", *path: str, of: type = dict) -> "Any":
    """What stands at the path, or an empty thing of the type where nothing of it does; faults are for apply to tell."""
    part: Any = config
    for key in path:
        part = part.get(key) if isinstance(part, dict) else None
    return part if isinstance(part, of) else of()
