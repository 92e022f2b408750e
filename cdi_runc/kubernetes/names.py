"""Names of Kubernetes for devices of CDI in ResourceSlices (docs/kubernetes.md, "Names").

Those of resources are in host/resources.py, since the shim needs them too.
"""

from __future__ import annotations

import re

from cdi_runc.host.resources import cut

_NO_LABEL = re.compile(r"[^a-z0-9]+")


def device_label(kind: str, name: str) -> str:
    """A DNS label for a device, unique among all kinds: how ResourceSlices name it.

    Readable, and with a hash of the qualified name, since labels lack most of what CDI allows: so that it never depends
    on which other devices there are.

    >>> device_label("vendor.com/gpu", "0")
    'gpu-0-d2e8870d'
    """
    class_ = kind.partition("/")[2]
    return cut(_NO_LABEL.sub("-", f"{class_}-{name}".lower()).strip("-"), f"{kind}={name}", always=True)
