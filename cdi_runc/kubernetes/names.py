"""Names of Kubernetes for kinds and devices of CDI, which has other rules for its own (docs/kubernetes.md, "Names").

Each mapping leaves a name alone where Kubernetes takes it as it is, and is the same on every node.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_CLASS = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_NO_LABEL = re.compile(r"[^a-z0-9]+")
MAX_NAME = 63
MAX_PREFIX = 253 - len("requests.")  # quotas put this in front


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
    if len(prefix) > MAX_PREFIX or not _SUBDOMAIN.fullmatch(prefix):
        raise Unmappable(f"{kind}: the vendor {vendor!r} is no DNS name, so that it cannot be a resource of Kubernetes")
    if f"{prefix}/".endswith("kubernetes.io/") or prefix.startswith("requests."):
        raise Unmappable(f"{kind}: names of Kubernetes itself cannot be extended resources")
    if not _CLASS.fullmatch(class_):
        raise Unmappable(f"{kind}: the class {class_!r} cannot be the name of a resource")
    return f"{prefix}/{class_ if len(class_) <= MAX_NAME else _cut(class_, class_)}"


def resource_names(kinds: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
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


def device_label(kind: str, name: str) -> str:
    """A DNS label for a device, unique among all kinds: how ResourceSlices name it.

    Readable, and with a hash of the qualified name, since labels lack most of what CDI allows: so that it never depends
    on which other devices there are.

    >>> device_label("vendor.com/gpu", "0")
    'gpu-0-d2e8870d'
    """
    class_ = kind.partition("/")[2]
    return _cut(_NO_LABEL.sub("-", f"{class_}-{name}".lower()).strip("-"), f"{kind}={name}", always=True)


def _cut(text: str, whole: str, always: bool = False) -> str:
    """The text with a hash of the whole at its end, where it is too long or always."""
    if len(text) <= MAX_NAME and not always:
        return text
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    return f"{text[: MAX_NAME - len(digest) - 1].rstrip('-._')}-{digest}"
