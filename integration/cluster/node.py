"""A cluster's node that has cdi-runc and lamps, and cdi-node, which comes and goes; and pods that ask for lamps."""

from typing import Any

from integration.cluster.cluster import Cluster
from integration.cluster.lamps import KIND, LOOK, Lamps
from integration.cluster.pods import pod
from integration.cluster.service import Service
from integration.cluster.shim import install

REGISTERED = f"{KIND}: registered with the kubelet"


class Node:
    """The node, which has cdi-runc, the lamps, and cdi-node, which can be replaced."""

    def __init__(self, cluster: Cluster) -> None:
        install(cluster)
        self.cluster = cluster
        self.host = cluster.host
        self.lamps = Lamps(cluster.host)
        self.services: list[Service] = []

    def serve(self, *args: str) -> Service:
        """Starts cdi-node, by default as a device plugin."""
        self.services.append(Service(self.cluster, *(args or ("device-plugin",))))
        return self.services[-1]

    def wait_for(self, what: str, number: int, kind: str = KIND) -> None:
        """Waits until the node's status has so many devices as its `capacity`, or as `allocatable`."""
        name = kind.replace(".", r"\.")
        self.cluster.wait(f"--for=jsonpath={{.status.{what}.{name}}}={number}", f"node/{self.cluster.node}")

    def restore(self) -> None:
        """Ends the pods and cdi-node."""
        self.cluster.kubectl("delete", "pods", "--all", "--now")
        for service in self.services:
            service.end()
        self.services.clear()
        if KIND in self.cluster.kubectl("get", "nodes", "--output=jsonpath={.items[*].status.allocatable}"):
            self.wait_for("allocatable", 0)


def user(name: str = "user", lamps: int = 1, handler: str | None = "cdi-runc") -> dict[str, Any]:
    """A pod that asks for lamps and looks at them."""
    manifest = pod(name, *LOOK, **({"runtimeClassName": handler} if handler else {}))
    manifest["spec"]["containers"][0]["resources"] = {"limits": {KIND: lamps}}
    return manifest


def sleeper(name: str) -> dict[str, Any]:
    """A pod that has a lamp until it is deleted."""
    manifest = user(name)
    manifest["spec"]["containers"][0]["command"] = ["sleep", "1000"]
    return manifest
