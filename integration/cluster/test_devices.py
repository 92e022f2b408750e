"""cdi-node on a real node: pods get its devices as resources, whatever the kubelet, the engine and the hardware do."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from integration.cluster.cluster import Cluster
from integration.cluster.lamps import KIND, LOOK, Lamps, lit, seen
from integration.cluster.pods import pod, run, start
from integration.cluster.service import Service
from integration.cluster.shim import HANDLERS, configure, install

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
        self.wait_for("allocatable", 0)


@pytest.fixture(scope="module")
def prepared(cluster: Cluster) -> Node:
    return Node(cluster)


@pytest.fixture
def node(prepared: Node) -> Iterator[Node]:
    """The node, whose lamps no container has had yet."""
    prepared.lamps.forget()
    yield prepared
    prepared.restore()


@pytest.fixture
def service(node: Node) -> Service:
    """cdi-node, of which the cluster knows."""
    service = node.serve()
    node.wait_for("allocatable", 2)
    return service


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


@pytest.mark.usefixtures("service")
def test_a_pod_gets_what_it_asks_for_once(node: Node) -> None:
    assert seen(run(node.cluster, user(lamps=2))) == lit("a", "b")
    assert sorted(node.lamps.switched_on()) == ["a", "b"]


@pytest.fixture
def engine_with_cdi(node: Node) -> Iterator[None]:
    """The engine, as long as it reads CDI specs itself."""
    path = HANDLERS["containerd"][0]
    if node.cluster.engine != "containerd" or node.host.version("containerd", "--version") < (1, 7):
        pytest.skip("this engine has no CDI that could be switched on")
    text = node.host.path(path).read_text()
    section = '[plugins."io.containerd.grpc.v1.cri"]\n'
    configure(node.cluster, text.replace(section, f"{section}  enable_cdi = true\n"))
    yield
    configure(node.cluster, text)


@pytest.mark.usefixtures("service", "engine_with_cdi")
@pytest.mark.parametrize("handler", ["cdi-runc", None])
def test_an_engine_with_cdi_and_cdi_runc_give_it_once(node: Node, handler: str | None) -> None:
    said = seen(run(node.cluster, user(lamps=2, handler=handler)))
    assert (said, sorted(node.lamps.switched_on())) == (lit("a", "b"), ["a", "b"])


@pytest.fixture
def asking(node: Node) -> Iterator[None]:
    """cdi-runc, as long as it heeds no annotation and asks the kubelet."""
    path = "/etc/cdi-runc/config.yaml"
    node.host.write(path, "requests:\n  annotations: []\n  kubelet: true\n")
    yield
    node.host.path(path).unlink()


@pytest.mark.usefixtures("service", "asking")
def test_the_kubelet_says_what_a_pod_has(node: Node) -> None:
    assert seen(run(node.cluster, user(lamps=2))) == lit("a", "b")
    assert sorted(node.lamps.switched_on()) == ["a", "b"]


def test_a_kubelet_that_is_killed_gets_the_devices_again(node: Node, service: Service) -> None:
    holder = start(node.cluster, sleeper("holder"))
    node.cluster.wait("--for=condition=Ready", f"pod/{holder}")
    node.host.run("sh", "-c", "kill -9 $(cat /run/units/kubelet.pid)")
    service.wait_until_it_says(REGISTERED, times=2)
    run(node.cluster, user())
    # The kubelet has not forgotten who has the other one.
    assert sorted(node.lamps.switched_on()) == ["a", "b"]
    assert "lamp-" in node.cluster.kubectl("exec", holder, "--", "ls", "/dev")


def test_a_plugin_that_is_killed_is_missed_until_another_comes(node: Node, service: Service) -> None:
    service.end("KILL")
    node.wait_for("allocatable", 0)
    node.serve()
    node.wait_for("allocatable", 2)
    assert seen(run(node.cluster, user(lamps=2))) == lit("a", "b")


def test_a_new_version_takes_over_from_the_old_one(node: Node, service: Service) -> None:
    new = node.serve()
    new.wait_until_it_says("another cdi-node serves this node")
    service.end()
    new.wait_until_it_says(REGISTERED)
    node.wait_for("allocatable", 2)
    assert seen(run(node.cluster, user(lamps=2))) == lit("a", "b")


@pytest.mark.usefixtures("service")
def test_a_lamp_that_is_unplugged_cannot_be_had_until_it_is_back(node: Node) -> None:
    node.lamps.unplug("a")
    node.wait_for("allocatable", 1)
    node.wait_for("capacity", 2)
    assert seen(run(node.cluster, user())) == lit("b")
    node.lamps.plug_in("a")
    node.wait_for("allocatable", 2)


@pytest.mark.usefixtures("service")
def test_a_spec_that_comes_is_a_resource_and_one_that_goes_is_none(node: Node) -> None:
    spec = {**node.lamps.spec("a"), "kind": "example.com/torch"}
    node.host.write("/etc/cdi/torch.json", json.dumps(spec))
    node.wait_for("allocatable", 1, "example.com/torch")
    node.host.path("/etc/cdi/torch.json").unlink()
    node.wait_for("capacity", 0, "example.com/torch")


def test_a_cluster_without_claims_is_told_of_once(node: Node) -> None:
    """Kubernetes before 1.32."""
    if "resource.k8s.io" in node.cluster.kubectl("api-versions"):
        pytest.skip("this cluster has resource.k8s.io")
    account = (f"--kubeconfig={node.cluster.kubeconfig('kubelet')}", f"--node-name={node.cluster.node}")
    service = node.serve("both", *account)
    service.wait_until_it_says("no resource.k8s.io")
    node.wait_for("allocatable", 2)
    assert seen(run(node.cluster, user(lamps=2))) == lit("a", "b")
    service.end()
    assert sum("resource.k8s.io" in line for line in service.said()) == 1
