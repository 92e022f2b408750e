"""Pods that do one thing and end, and what they printed.

Knows the manifest of a pod and how far one gets; knows nothing of what is run in it.
"""

import json
import time
from typing import Any

from integration.cluster.cluster import Cluster


def pod(name: str, *command: str, **spec: object) -> dict[str, Any]:
    """The manifest of a pod that runs this command once, in the image probe:1; `spec` is what else its spec says."""
    container = {"name": "main", "image": "probe:1", "command": command}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [container], "restartPolicy": "Never", **spec},
    }


def start(cluster: Cluster, manifest: dict[str, Any]) -> str:
    """Hands a manifest to the cluster and gives its name."""
    cluster.kubectl("apply", "--filename=-", stdin=json.dumps(manifest))
    name: str = manifest["metadata"]["name"]
    return name


def run(cluster: Cluster, manifest: dict[str, Any]) -> str:
    """What a pod printed that has to end well; then it is deleted."""
    name = start(cluster, manifest)
    try:
        cluster.wait("--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}")
        return cluster.kubectl("logs", name)
    except RuntimeError:
        raise AssertionError(cluster.kubectl("describe", "pod", name)) from None
    finally:
        cluster.kubectl("delete", "pod", name, "--now")


def complaint(cluster: Cluster, name: str, reason: str) -> str:
    """What the first event with this reason says of a pod, which there must be within a minute; the pod is deleted."""
    query = f"--field-selector=involvedObject.name={name},reason={reason}"
    deadline = time.monotonic() + 60
    while not (said := cluster.kubectl("get", "events", query, "--output=jsonpath={.items[*].message}")):
        assert time.monotonic() < deadline, cluster.kubectl("describe", "pod", name)
        time.sleep(0.2)
    cluster.kubectl("delete", "pod", name, "--now")
    return said
