"""How long a real kubelet and a real cluster take to see what cdi-node offers: `python -m integration.cluster.times`.

Prints medians, in seconds. The kubelet's own view is its checkpoint, which it writes when a list of devices has come.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from integration.cluster.claiming import claiming, has_claims, make_classes, remove_all, wait_for_offer
from integration.cluster.cluster import DEVICE_PLUGINS, Cluster
from integration.cluster.lamps import KIND
from integration.cluster.node import REGISTERED, Node, sleeper, user
from integration.cluster.parts import ADDRESSES
from integration.cluster.pods import run, start
from integration.engines.host import Host
from integration.packaging.conftest import ROOTS, TREE

LIMIT = 60.0
CHECKPOINT = f"{DEVICE_PLUGINS}/kubelet_internal_checkpoint"


def until(condition: Callable[[], object]) -> float:
    """Waits until it holds, and gives the time."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "this never came"
        time.sleep(0.005)
    return time.monotonic()


def at_kubelet(node: Node, kind: str = KIND) -> list[str] | None:
    """The devices of the kind that the kubelet can give away; None before it has heard of the kind."""
    try:
        data = json.loads(node.host.path(CHECKPOINT).read_text())["Data"]
    except (OSError, ValueError):  # not there, or half written
        return None
    found = data["RegisteredDevices"].get(kind)
    return None if found is None else sorted(found)


def measure(node: Node) -> dict[str, float]:
    """Each way once, with cdi-node from its start to its end."""
    times: dict[str, float] = {}
    began = time.monotonic()
    service = node.serve()
    # The checkpoint still has the devices of the last run.
    service.wait_until_it_says(REGISTERED)
    times["cdi-node's start: registered with the kubelet"] = time.monotonic() - began
    node.wait_for("allocatable", 2)
    times["cdi-node's start: in the node's status"] = time.monotonic() - began

    began = time.monotonic()
    node.host.write("/etc/cdi/torch.json", json.dumps({**node.lamps.spec("a"), "kind": "example.com/torch"}))
    times["a new spec: at the kubelet"] = until(lambda: at_kubelet(node, "example.com/torch") == ["a"]) - began
    began = time.monotonic()
    node.host.path("/etc/cdi/torch.json").unlink()
    times["a spec is removed: at the kubelet"] = until(lambda: not at_kubelet(node, "example.com/torch")) - began

    began = time.monotonic()
    node.lamps.unplug("a")
    times["a device is unplugged: at the kubelet"] = until(lambda: at_kubelet(node) == ["b"]) - began
    node.wait_for("allocatable", 1)
    times["a device is unplugged: in the node's status"] = time.monotonic() - began
    node.lamps.plug_in("a")
    node.wait_for("allocatable", 2)

    began = time.monotonic()
    run(node.cluster, user())
    times["a pod with a device, from apply to its end"] = time.monotonic() - began
    began = time.monotonic()
    name = start(node.cluster, sleeper("sleeper"))
    node.cluster.wait("--for=condition=Ready", f"pod/{name}")
    times["a pod with a device, from apply to ready"] = time.monotonic() - began
    node.cluster.kubectl("delete", "pod", name, "--now")

    times |= of_restart(node, lambda: sum(REGISTERED in line for line in service.said()))
    node.restore()
    return times | (of_claims(node) if has_claims(node.cluster) else {})


def of_claims(node: Node) -> dict[str, float]:
    """The same by claims, with the driver from its start to its end."""
    times: dict[str, float] = {}
    make_classes(node.cluster)
    began = time.monotonic()
    node.serve("dra", f"--kubeconfig={node.cluster.kubeconfig('kubelet')}", f"--node-name={node.cluster.node}")
    wait_for_offer(node.cluster, {"a": [], "b": []})
    times["the driver's start: in the cluster's slices"] = time.monotonic() - began
    began = time.monotonic()
    node.lamps.unplug("a")
    wait_for_offer(node.cluster, {"a": ["NoExecute"], "b": []})
    times["a device is unplugged: in the slices"] = time.monotonic() - began
    node.lamps.plug_in("a")
    wait_for_offer(node.cluster, {"a": [], "b": []})
    manifest = claiming(node.cluster, sleeper("claimant"), "lamp.example.com")
    began = time.monotonic()
    name = start(node.cluster, manifest)
    node.cluster.wait("--for=condition=Ready", f"pod/{name}")
    times["a pod with a claim, from apply to ready"] = time.monotonic() - began
    node.restore()
    remove_all(node.cluster)
    return times


def of_restart(node: Node, registrations: Callable[[], int]) -> dict[str, float]:
    """The kubelet is killed, and started again at once."""
    before, socket = registrations(), node.host.path(f"{DEVICE_PLUGINS}/kubelet.sock")
    old = socket.stat().st_ino
    began = time.monotonic()
    node.host.run("sh", "-c", "kill -9 $(cat /run/units/kubelet.pid)")
    listens = until(lambda: socket.exists() and socket.stat().st_ino != old)
    registered = until(lambda: registrations() > before)
    return {
        "the kubelet is killed: its new socket": listens - began,
        "the kubelet's new socket: registered again": registered - listens,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default="debian-12-ready", help="Debian of the node, in /var/cache/cdi-runc")
    parser.add_argument("--times", type=int, default=5, help="how often (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        cluster = Cluster(Host(ROOTS / options.root, Path(directory), TREE, ADDRESSES))
        try:
            node = Node(cluster)
            node.serve().wait_until_it_says(REGISTERED)  # which fetches what it imports
            node.restore()
            found = [measure(node) for _ in range(options.times)]
        finally:
            cluster.close()
    for what in found[0]:
        values = [each[what] for each in found]
        print(f"{what:50} {statistics.median(values):6.2f}   ({min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    main()
