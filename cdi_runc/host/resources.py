"""What CDI's kinds and devices are called by Kubernetes, and back (docs/kubernetes.md, "Names").

Pure functions, which the front ends of cdi-node and the shim share. Imports nothing at its start, since the shim waits.
A mapping leaves a name alone where Kubernetes takes it as it is, and is the same on every node.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAX_NAME = 63
MAX_PREFIX = 253 - len("requests.")  # quotas put this in front
REPLICA = "::"  # between a device's name and the number of a share of it; CDI names have no two colons at their end

_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_LETTERS = _LOWER | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_IN_LABELS = _LOWER | {"-"}
_IN_CLASSES = _LETTERS | frozenset("-_.")


class Unmappable(ValueError):
    """A kind that cannot be a resource, and why."""


def resource_name(kind: str) -> str:
    """The extended resource for a kind (k8s.io/kubernetes pkg/apis/core/v1/helper, IsExtendedResourceName).

    The vendor becomes lower case, with `-` for `_`. A class of more than 63 letters is cut, with a hash for the rest.
    Raises Unmappable.

    >>> resource_name("vendor.com/gpu"), resource_name("Vendor_X.com/GPU")
    ('vendor.com/gpu', 'vendor-x.com/GPU')
    """
    vendor, _, class_ = kind.partition("/")
    prefix = vendor.lower().replace("_", "-")
    if len(prefix) > MAX_PREFIX or not all(map(_is_label, prefix.split("."))):
        raise Unmappable(f"{kind}: the vendor {vendor!r} is no DNS name, so that it cannot be a resource of Kubernetes")
    if f"{prefix}/".endswith("kubernetes.io/") or prefix.startswith("requests."):
        raise Unmappable(f"{kind}: names of Kubernetes itself cannot be extended resources")
    if not _is_made_of(class_, _IN_CLASSES, _LETTERS):
        raise Unmappable(f"{kind}: the class {class_!r} cannot be the name of a resource")
    return f"{prefix}/{class_ if len(class_) <= MAX_NAME else cut(class_, class_)}"


def resource_names(kinds: "Iterable[str]") -> tuple[dict[str, str], dict[str, str]]:
    """The resources of kinds, and why the others have none. Of two with one name, the one that is spelled so has it.

    >>> resource_names(["a.com/x", "A.com/x"])
    ({'a.com/x': 'a.com/x'}, {'A.com/x': 'A.com/x: its resource would be a.com/x, which is that of the kind a.com/x'})
    """
    names: dict[str, str] = {}
    faults: dict[str, str] = {}
    taken: dict[str, str] = {}
    for kind in kinds:
        try:
            names[kind] = resource_name(kind)
        except Unmappable as fault:
            faults[kind] = str(fault)
    for kind in sorted(names, key=lambda kind: (kind != names[kind], kind)):
        first = taken.setdefault(names[kind], kind)
        if first != kind:
            faults[kind] = f"{kind}: its resource would be {names[kind]}, which is that of the kind {first}"
    return {kind: name for kind, name in names.items() if kind not in faults}, faults


def device_of(identifier: str) -> str:
    """The device's name in the ID that the kubelet knows, which may be that of a share.

    >>> device_of("gpu0::3"), device_of("0:1")
    ('gpu0', '0:1')
    """
    name, separator, number = identifier.rpartition(REPLICA)
    return name if separator and number.isdecimal() else identifier


def qualified_name_of(
    resource: str, identifier: str, is_there: "Callable[[str], object]", names: "Callable[[], Iterable[str]]"
) -> str:
    """The CDI name of a device that the kubelet gave away by a resource and an ID; '' where no spec here has it.

    is_there: whether this host has a device of that qualified name. names: the qualified names of all its devices,
    asked for only where no kind is spelled like the resource.

    >>> here = ["Vendor_X.com/gpu=0"]
    >>> qualified_name_of("vendor-x.com/gpu", "0::1", here.__contains__, lambda: here)
    'Vendor_X.com/gpu=0'
    """
    device = device_of(identifier)
    spelled = f"{resource}={device}"
    if is_there(spelled):
        return spelled
    kinds = sorted({name.partition("=")[0] for name in names()})
    kind = next((kind for kind, its in resource_names(kinds)[0].items() if its == resource), "")
    return f"{kind}={device}" if kind and is_there(f"{kind}={device}") else ""


def cut(text: str, whole: str, always: bool = False) -> str:
    """The text with a hash of the whole at its end, where it is too long for Kubernetes, or always."""
    if len(text) <= MAX_NAME and not always:
        return text
    from hashlib import sha256

    digest = sha256(whole.encode()).hexdigest()[:8]
    return f"{text[: MAX_NAME - len(digest) - 1].rstrip('-._')}-{digest}"


def _is_label(text: str) -> bool:
    return len(text) <= MAX_NAME and _is_made_of(text, _IN_LABELS, _LOWER)


def _is_made_of(text: str, within: frozenset[str], at_the_ends: frozenset[str]) -> bool:
    return bool(text) and within.issuperset(text) and text[0] in at_the_ends and text[-1] in at_the_ends
