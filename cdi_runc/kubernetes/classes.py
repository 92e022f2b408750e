"""DeviceClasses: how people ask for the devices of a kind by a claim, one for each kind (k8s.io/api resource/v1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cdi_runc.host.resources import resource_names
from cdi_runc.kubernetes.slices import DRIVER, short

Object = dict[str, Any]


def device_classes(
    kinds: Iterable[str], version: str = "v1", resources: bool = False
) -> tuple[list[Object], list[str]]:
    """The DeviceClasses, and what is wrong with kinds that have none.

    With `resources`, pods may also ask for them as extended resources, without a device plugin (Kubernetes 1.36).
    """
    names, faults = resource_names(sorted(kinds))
    found = []
    for kind, resource in names.items():
        expression = f'device.driver == "{DRIVER}" && device.attributes["{DRIVER}"].kind == "{short(kind)}"'
        spec: Object = {"selectors": [{"cel": {"expression": expression}}]}
        if resources:
            spec["extendedResourceName"] = resource
        found.append(
            {
                "apiVersion": f"resource.k8s.io/{version}",
                "kind": "DeviceClass",
                "metadata": {"name": class_name(resource)},
                "spec": spec,
            }
        )
    return found, list(faults.values())


def class_name(resource: str) -> str:
    """The name of the class for a resource.

    >>> class_name("vendor.com/GPU_a")
    'gpu-a.vendor.com'
    """
    vendor, _, class_ = resource.partition("/")
    return f"{class_.lower().replace('_', '-')}.{vendor}"
