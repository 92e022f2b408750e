"""Claims: the classes, the templates and the pods, and what the cluster knows of the driver's devices.

Knows the objects of resource.k8s.io/v1; starts no driver.
"""

import json
import time
from typing import Any

from integration.cluster.cluster import Cluster
from integration.cluster.lamps import KIND
from integration.engines.cdictl import TREE, cdictl_argv

_SLICES = "resourceslices.resource.k8s.io"
_OBJECTS = f"resourceclaims,resourceclaimtemplates,deviceclasses,{_SLICES}"


def make_classes(cluster: Cluster) -> None:
    """Gives the cluster the classes that cdictl prints on the node, for claims and for extended resources."""
    command = [*cdictl_argv(cluster.host), "kubernetes", "classes", "--extended-resources"]
    printed = cluster.host.run(*command, env={"PYTHONPATH": str(TREE)})
    assert printed.returncode == 0, printed.stderr
    cluster.kubectl("apply", "--filename=-", stdin=printed.stdout)


def has_claims(cluster: Cluster) -> bool:
    """Whether the cluster has claims of the version that is here (Kubernetes 1.34)."""
    return "resource.k8s.io/v1" in cluster.kubectl("api-versions").splitlines()


def remove_all(cluster: Cluster) -> None:
    """Removes every object that these tests make; claims go when their pods have gone."""
    cluster.kubectl("delete", _OBJECTS, "--all", "--all-namespaces", "--timeout=60s")


def claiming(cluster: Cluster, manifest: dict[str, Any], class_: str, **request: object) -> dict[str, Any]:
    """The pod, whose container now claims a device of the class and asks for no resource.

    `request` is what else its claim says, such as a count. The template has the pod's name.
    """
    name = manifest["metadata"]["name"]
    requests = [{"name": "device", "exactly": {"deviceClassName": class_, **request}}]
    template = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaimTemplate",
        "metadata": {"name": name},
        "spec": {"spec": {"devices": {"requests": requests}}},
    }
    cluster.kubectl("apply", "--filename=-", stdin=json.dumps(template))
    manifest["spec"]["resourceClaims"] = [{"name": "device", "resourceClaimTemplateName": name}]
    manifest["spec"]["containers"][0]["resources"] = {"claims": [{"name": "device"}]}
    return manifest


def named(device: str) -> list[object]:
    """The selectors for one device by its name in the spec."""
    return [{"cel": {"expression": f'device.attributes["cdi-runc"].name == "{device}"'}}]


def offered(cluster: Cluster, kind: str = KIND) -> dict[str, list[str]]:
    """The devices of a kind in the cluster's slices, with the effects of their taints."""
    slices = json.loads(cluster.kubectl("get", _SLICES, "--output=json"))["items"]
    return {
        device["attributes"]["name"]["string"]: [taint["effect"] for taint in device.get("taints", [])]
        for slice_ in slices
        for device in slice_["spec"].get("devices", [])
        if device["attributes"]["kind"]["string"] == kind
    }


def wait_for_offer(cluster: Cluster, expected: dict[str, list[str]], kind: str = KIND, seconds: float = 60) -> None:
    """Waits until the slices have these devices of the kind, and no others."""
    deadline = time.monotonic() + seconds
    while (found := offered(cluster, kind)) != expected:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
