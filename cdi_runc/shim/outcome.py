"""HOT. The config that the runtime gets: the edits as the CDI standard makes them, without what is there already.

An engine may have made the same edits, and a bundle may be run again, so this compares results: what is in force stays
as it is. Where no runtime takes what the standard makes, it is changed to what the runtimes take. Reads no file but
those that `cdi.edits` looks at, and writes none.
"""

from cdi_runc.cdi.edits import apply, clean_path, has_user_namespace, mount_depth, oci_mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from cdi_runc.cdi.injection import Group

    Object = dict[str, Any]  # a JSON object

# Hooks that runc before 1.3 starts with the image's own variables if they have none (CVE-2025-23266).
_INHERITING_HOOKS = ("createContainer", "startContainer")
HOOK_ENV = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]


def outcome(config: "Object", groups: "Sequence[Group]", in_user_namespace: "Callable[[], bool]") -> "Object":
    """A copy of the OCI config with the edits in force; equal to the config where they are already.

    in_user_namespace: whether the runtime runs in one, so that it can't make device nodes; asked only if need be.
    Raises InjectionError. The config itself stays as it is.
    """
    binds = _binds(config, groups, in_user_namespace)
    if binds:
        mounts = [mount for mount in _items(config, "mounts") if mount not in binds]
        config = {**config, **({"mounts": mounts} if "mounts" in config else {})}
    made = dict(config)
    apply(made, _without_what_is_there(config, groups))
    _sort_mounts(made, groups)
    _keep_devices(made, config)
    _keep_rules(made, config, groups)
    if binds:
        _bind_nodes(made, binds)
    return made


def _without_what_is_there(config: "Object", groups: "Sequence[Group]") -> "list[Group]":
    """The groups without the hooks and mounts that the config has; the hooks as runtimes can safely run them."""
    hooks = {_hook_key(name, hook) for name in _at(config, "hooks") for hook in _items(config, "hooks", name)}
    in_force = _mounts_in_force([mount for _, edits in groups for mount in edits.get("mounts", ())], config)
    left = []
    for whose, edits in groups:
        needed: Object = dict(edits)
        if "hooks" in edits:
            new = [hook for hook in edits["hooks"] if _hook_key(hook["hookName"], hook) not in hooks]  # type: ignore[arg-type]
            needed["hooks"] = [_with_env(hook) for hook in new]  # type: ignore[arg-type]
        if in_force and "mounts" in edits:
            needed["mounts"] = [
                mount for mount in edits["mounts"] if clean_path(mount["containerPath"]) not in in_force
            ]
        left.append((whose, needed))
    return left  # type: ignore[return-value]  # the same fields


def _hook_key(name: str, hook: "Object") -> str:
    env = hook.get("env") or None
    if env == HOOK_ENV and name in _INHERITING_HOOKS:
        env = None  # an engine made the same hook without it
    return repr((name, hook.get("path"), hook.get("args") or None, env, hook.get("timeout")))


def _with_env(hook: "Object") -> "Object":
    if hook["hookName"] in _INHERITING_HOOKS and not hook.get("env"):
        return {**hook, "env": HOOK_ENV}
    return hook


def _mounts_in_force(mounts: "Sequence[Any]", config: "Object") -> "set[str]":
    """The places (clean paths) at which the config's last mount is the one that the last of these edits would make."""
    if not _at(config, "mounts", of=list):
        return set()
    idmap = has_user_namespace(config)
    last = {clean_path(str(mount.get("destination"))): mount for mount in _items(config, "mounts")}
    wanted = {clean_path(mount["containerPath"]): mount for mount in mounts}
    return {path for path, mount in wanted.items() if last.get(path) == oci_mount(mount, idmap)}


def _sort_mounts(made: "Object", groups: "Sequence[Group]") -> None:
    """Put outer mounts first, which the standard does for every device with mounts: none may hide the device's."""
    if any(edits.get("mounts") for _, edits in groups) and _at(made, "mounts", of=list):
        made["mounts"] = _outer_first(_items(made, "mounts"))


def _keep_devices(made: "Object", config: "Object") -> None:
    """Keep the order of the devices if only the order would change."""
    before, after = _items(config, "linux", "devices"), _items(made, "linux", "devices")
    if len(before) == len(after) and before != after:
        by_path = {device.get("path"): device for device in before}
        if len(by_path) == len(before) and all(by_path.get(device.get("path")) == device for device in after):
            made["linux"] = {**made["linux"], "devices": before}


def _keep_rules(made: "Object", config: "Object", groups: "Sequence[Group]") -> None:
    """Keep those of the added cgroup rules that runtimes take and that have an effect."""
    before = _at(config, "linux", "resources", "devices", of=list)
    added = _at(made, "linux", "resources", "devices", of=list)[len(before) :] + _rules_of_unbuffered(made, groups)
    if not added:
        return
    held = _allowed([rule for rule in before if isinstance(rule, dict) and _is_readable(rule)])
    wanted = []
    for rule in added:
        device = rule["type"], rule["major"], rule["minor"]
        if not set(rule.get("access", "")) <= held.get(device, set()):  # a rule without access allows nothing
            held.setdefault(device, set()).update(rule["access"])
            wanted.append(rule)
    linux = dict(made["linux"])
    resources = dict(linux.get("resources") or {})
    if wanted or before:
        resources["devices"] = [*before, *wanted]
    else:
        resources.pop("devices", None)
    if resources or _at(config, "linux").get("resources") is not None:
        linux["resources"] = resources
    else:
        linux.pop("resources", None)
    made["linux"] = linux


def _rules_of_unbuffered(made: "Object", groups: "Sequence[Group]") -> "list[Object]":
    """The rules of devices of type u, which are character devices to a cgroup (config-linux.md, "Devices")."""
    rules = []
    for _, edits in groups:
        for node in edits.get("deviceNodes", ()):
            if node.get("type") == "u":
                device = next(each for each in made["linux"]["devices"] if each.get("path") == node["path"])
                numbers = {"major": device["major"], "minor": device["minor"]}
                access = node.get("permissions") or "rwm"
                rules.append(
                    {"allow": True, "type": "c", **numbers, **({"access": access} if access != "none" else {})}
                )
    return rules


def _is_readable(rule: "Object") -> bool:
    """Whether a rule of the config has values of the right types; a runtime refuses others."""
    texts, numbers = (rule.get("type"), rule.get("access")), (rule.get("major"), rule.get("minor"))
    return all(each is None or isinstance(each, str) for each in texts) and all(
        each is None or isinstance(each, (int, str)) for each in numbers
    )


def _allowed(rules: "Sequence[Object]") -> "dict[tuple[object, object, object], set[str]]":
    """For each device with a rule of its own, the access that it has after the last rule.

    runtime-spec, config-linux.md, "Allowed Device list": entries are applied in their order.
    """
    held: dict[tuple[object, object, object], set[str]] = {}
    for rule in rules:
        access = set(rule.get("access") or "rwm")
        device = rule.get("type") or "a", rule.get("major"), rule.get("minor")
        if rule.get("allow"):
            held.setdefault(device, set()).update(access)
            continue
        for other, has in held.items():
            if _covers(device, other):
                has -= access
    return held


def _covers(rule: "tuple[object, object, object]", device: "tuple[object, object, object]") -> bool:
    if rule[0] == "a":  # which means all devices, whatever numbers it has
        return True
    return rule[0] == device[0] and all(
        wanted in (None, -1) or wanted == number for wanted, number in zip(rule[1:], device[1:], strict=True)
    )


def _binds(config: "Object", groups: "Sequence[Group]", in_user_namespace: "Callable[[], bool]") -> "list[Object]":
    """The mounts that are made in place of device nodes: in a user namespace no node can be made, and runc and crun
    would mount the host's node of the container's path, not the one that the device names."""
    nodes = [node for _, edits in groups for node in edits.get("deviceNodes", ())]
    last = {node["path"]: node.get("hostPath") or node["path"] for node in nodes}
    binds = [
        {"destination": path, "type": "bind", "source": host_path, "options": ["bind"]}
        for path, host_path in last.items()
        if host_path != path
    ]
    return binds if binds and (has_user_namespace(config) or in_user_namespace()) else []


def _bind_nodes(made: "Object", binds: "list[Object]") -> None:
    places = {bind["destination"] for bind in binds}
    devices = [device for device in _items(made, "linux", "devices") if device.get("path") not in places]
    made["linux"] = {**made["linux"], "devices": devices}
    made["mounts"] = _outer_first(_items(made, "mounts") + binds)


def _outer_first(mounts: "list[Object]") -> "list[Object]":
    return sorted(mounts, key=lambda mount: mount_depth(mount.get("destination") or ""))


def _items(config: "Object", *path: str) -> "list[Object]":
    return [item for item in _at(config, *path, of=list) if isinstance(item, dict)]


def _at(config: "Object", *path: str, of: type = dict) -> "Any":
    """What is at the path, or an empty value of the type. `apply` tells what is wrong with it."""
    part: Any = config
    for key in path:
        part = part.get(key) if isinstance(part, dict) else None
    return part if isinstance(part, of) else of()
