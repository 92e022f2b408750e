"""HOT. Who may have which device: the administrator's rules. The first rule that matches a request decides.

The rules come checked and compiled in the snapshot (host/policy.py), which hands out those that may match. Knows what a
container's config says of it, and nothing of devices but their names and edits.
"""

from cdi_runc.cdi.edits import has_user_namespace
from cdi_runc.shim.errors import Denied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from cdi_runc.cdi.injection import Group
    from cdi_runc.host.snapshot import Rule
    from cdi_runc.shim.requests import Request

    Glob = tuple[str, ...]  # the parts of a pattern between its stars
    Rules = Callable[[str, Callable[[str], str]], Iterable[Rule]]  # host/known.py, `rules`

# Where the annotations of engines have a pod's names: containerd's CRI, CRI-O.
NAMES = {
    "namespace": ("io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"),
    "pod": ("io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"),
    "container": ("io.kubernetes.cri.container-name", "io.kubernetes.container.name"),
    "image": ("io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName"),
}
CRIO_LABELS = "io.kubernetes.cri-o.Labels"  # the pod's, as a JSON object
# Where the shims of containerd have bundles; Docker's are in its namespace moby, or in a containerd of Docker's own.
BUNDLES = (
    ("/docker/containerd/", "docker"),
    ("/io.containerd.runtime.v2.task/moby/", "docker"),
    ("/io.containerd.runtime.v2.task/", "containerd"),
)
# Systems that call us by hooks of their own, where there is no runtime and no bundle of an engine's.
HOOKED = ("lxc", "incus")
# Podman writes annotations with the prefix of CRI-O too, but both say who they are.
MANAGER = "io.container.manager"
MANAGERS = {"libpod": "podman", "cri-o": "crio"}
# Prefixes of annotations that an engine writes.
ENGINES = (
    ("io.kubernetes.cri-o.", "crio"),
    ("io.kubernetes.cri.", "containerd"),
    ("io.podman.", "podman"),
)


class Container:
    """What a config says of its container, found out when a rule asks for it."""

    __slots__ = ("_config", "_texts", "annotations", "bundle", "command", "runtime")

    def __init__(self, config: "Mapping[str, Any]", command: str, runtime: str, bundle: str = "") -> None:
        self._config, self.command, self.runtime, self.bundle = config, command, runtime, bundle
        annotations = config.get("annotations")
        self.annotations: dict[str, Any] = annotations if isinstance(annotations, dict) else {}
        self._texts: dict[str, str] = {}

    def text(self, what: str) -> str:
        """What `named` knows, the `uid`, or the label in `label NAME`, as a text; '' where nothing tells."""
        if what not in self._texts:
            if what == "uid":
                self._texts[what] = str(self.uid)
            elif what.startswith("label "):
                self._texts[what] = self.label(what[len("label ") :]) or ""
            else:
                self._texts[what] = self.named(what)
        return self._texts[what]

    def named(self, what: str) -> str:
        """Its `namespace`, `pod`, `container`, `image`, `engine`, `command` or `runtime`; '' where nothing tells."""
        if what in NAMES:
            return next((str(self.annotations[key]) for key in NAMES[what] if key in self.annotations), "")
        if what == "engine":
            return self._engine()
        return self.command if what == "command" else self.runtime

    def _engine(self) -> str:
        if self.runtime in HOOKED:
            return self.runtime
        for part, name in BUNDLES:
            if part in self.bundle:  # some engines let their users write annotations, and none the place of a bundle
                return name
        manager = self.annotations.get(MANAGER)
        if isinstance(manager, str) and manager in MANAGERS:
            return MANAGERS[manager]
        found = (name for prefix, name in ENGINES for key in self.annotations if key.startswith(prefix))
        return next(found, "")

    def label(self, name: str) -> "str | None":
        """The value of a label, where the engine's annotations have it."""
        value = self.annotations.get(name)
        if value is None and CRIO_LABELS in self.annotations:
            from json import loads  # rare, and so not loaded before

            try:
                value = loads(self.annotations[CRIO_LABELS]).get(name)
            except (AttributeError, TypeError, ValueError):
                return None
        return value if isinstance(value, str) else None

    @property
    def uid(self) -> int:
        """The user id of its process."""
        process = self._config.get("process")
        user = process.get("user") if isinstance(process, dict) else None
        uid = user.get("uid") if isinstance(user, dict) else None
        return uid if isinstance(uid, int) else 0

    @property
    def has_user_namespace(self) -> bool:
        """Whether it has a user namespace of its own."""
        return has_user_namespace(dict(self._config))


def judged(
    requests: "Sequence[Request]",
    container: Container,
    rules: "Rules",
    audit: "Callable[[str], None]",
) -> "dict[str, Rule]":
    """The rule that allows each device, by the device's name; none for a device that no rule is about.

    rules: those that may be about a device, see host/known.py. audit: gets one line for a request that a rule
    reports. Raises Denied for a denied request.
    """
    allowed: dict[str, Rule] = {}
    for request in requests:
        for rule in rules(request.name, container.text):
            if not _matches(rule["match"], request, container):
                continue
            if rule["action"] == "allow":
                allowed[request.name] = rule
                break
            said = f"{request.name}: {rule['message'] or 'denied by the policy'} ({rule['place']})"
            if rule["action"] == "deny":
                raise Denied(said, request.name, rule["place"])
            audit(f"{request.name}: asked for by {request} ({rule['place']})")
    return allowed


def limited(
    groups: "Sequence[Group]", files: "Mapping[str, str]", allowed: "Mapping[str, Rule]", warn: "Callable[[str], None]"
) -> "list[Group]":
    """The groups of edits as far as the rules that allow their devices let them be.

    files: the spec file of each device; the edits of a file have the limits of all its devices. warn: is told of each
    edit that is left out. Raises Denied for an edit that a rule forbids.
    """
    kept = []
    for whose, edits in groups:
        rules = [allowed[name] for name in allowed if whose in (name, files[name])]
        for rule in rules:
            if rule["limits"]:
                edits = _limited(whose, edits, rule, warn)  # type: ignore[assignment]
        kept.append((whose, edits))
    return kept


def matches(globs: "Iterable[Glob]", text: str) -> bool:
    """Whether a text is as one of the patterns says.

    >>> matches([("nvidia.com/gpu=", "")], "nvidia.com/gpu=0"), matches([("a", "c", "")], "abd")
    (True, False)
    """
    return any(_fits(glob, text) for glob in globs)


def _fits(glob: "Glob", text: str) -> bool:
    first, *rest = glob
    if not rest:
        return text == first
    last = rest.pop()
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    place, end = len(first), len(text) - len(last)
    for part in rest:
        place = text.find(part, place, end)
        if place < 0:
            return False
        place += len(part)
    return True


def _matches(match: "Mapping[str, Any]", request: "Request", container: Container) -> bool:
    for what, wanted in match.items():
        if what == "device":
            holds = matches(wanted, request.name)
        elif what == "through":
            holds = request.through in wanted
        elif what == "uid":
            holds = container.uid in wanted
        elif what == "user-namespace":
            holds = container.has_user_namespace is wanted
        elif what == "labels":
            labels = ((container.label(name), globs) for name, globs in wanted)
            holds = all(value is not None and matches(globs, value) for value, globs in labels)
        else:
            holds = matches(wanted, container.text(what))
        if not holds:
            return False
    return True


def _limited(whose: str, edits: "Any", rule: "Rule", warn: "Callable[[str], None]") -> "dict[str, Any]":
    kept = dict(edits)
    for kind, refuses in _REFUSALS.items():
        if kind not in edits:
            continue
        left = []
        for edit in edits[kind]:
            reason = refuses(edit, rule["limits"])
            if not reason:
                left.append(edit)
                continue
            said = f"{whose}: {reason} is beyond the limits of the policy ({rule['place']})"
            if rule["limits"].get("exceeded") != "drop":
                raise Denied(f"{said}{rule['message'] and ': '}{rule['message']}", whose, rule["place"])
            warn(f"{said}; it is left out")
        kept[kind] = left
    return kept


def _refused_hook(hook: "Any", limits: "Mapping[str, Any]") -> str:
    return "" if "hooks" not in limits or matches(limits["hooks"], hook["path"]) else f"the hook {hook['path']}"


def _refused_mount(mount: "Any", limits: "Mapping[str, Any]") -> str:
    for limit, field in (("mount-sources", "hostPath"), ("mount-targets", "containerPath")):
        if limit in limits and not matches(limits[limit], mount[field]):
            return f"the mount of {mount['hostPath']} at {mount['containerPath']}"
    return ""


def _refused_node(node: "Any", limits: "Mapping[str, Any]") -> str:
    if limits.get("block-devices") is False and _is_block(node):
        return f"the block device {node['path']}"
    access = node.get("permissions") or "rwm"
    if "permissions" in limits and access != "none" and not set(access) <= set(limits["permissions"]):
        return f"the access {access} to {node['path']}"
    return ""


def _refused_gid(gid: int, limits: "Mapping[str, Any]") -> str:
    return "" if "gids" not in limits or gid in limits["gids"] or not gid else f"the group {gid}"


_REFUSALS = {
    "hooks": _refused_hook,
    "mounts": _refused_mount,
    "deviceNodes": _refused_node,
    "additionalGids": _refused_gid,
}


def _is_block(node: "Any") -> bool:
    from cdi_runc.cdi.edits import oci_device
    from cdi_runc.cdi.errors import InjectionError

    try:
        return oci_device(node)["type"] == "b"  # type: ignore[no-any-return]
    except InjectionError:
        return False  # which is told when the edits are made
