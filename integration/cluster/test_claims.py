"""cdi-node as a driver for claims, on a real node: whatever the kubelet, the engine and the hardware do.

Needs a cluster with resource.k8s.io/v1 (Kubernetes 1.34), and for extended resources by claims 1.36.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from integration.cluster.claiming import claiming, has_claims, make_classes, named, remove_all, wait_for_offer
from integration.cluster.lamps import KIND, lit, seen
from integration.cluster.node import Node, sleeper, user
from integration.cluster.pods import complaint, run, start
from integration.cluster.service import Service

CLASS = "lamp.example.com"
BOTH: dict[str, list[str]] = {"a": [], "b": []}
REGISTERED = "the driver is registered with the kubelet"


@pytest.fixture
def claims(node: Node) -> Iterator[None]:
    """The classes, in a cluster that has claims; afterwards there is no object of claims any more."""
    if not has_claims(node.cluster):
        pytest.skip("this cluster has no resource.k8s.io/v1 (Kubernetes 1.34)")
    make_classes(node.cluster)
    yield
    node.restore()  # a driver that is there would make its slices again
    remove_all(node.cluster)


def drive(node: Node) -> Service:
    """Starts the driver, with the kubelet's own identity."""
    return node.serve("dra", f"--kubeconfig={node.cluster.kubeconfig('kubelet')}", f"--node-name={node.cluster.node}")


@pytest.fixture
def service(node: Node, claims: None) -> Service:
    """The driver, whose devices the cluster has."""
    service = drive(node)
    service.wait_until_it_says(REGISTERED)
    wait_for_offer(node.cluster, BOTH)
    return service


def claimant(node: Node, name: str = "user", handler: str | None = "cdi-runc", **request: object) -> dict[str, Any]:
    """A pod that claims a lamp and looks at it."""
    return claiming(node.cluster, user(name, handler=handler), CLASS, **request)


def start_holder(node: Node, **request: object) -> str:
    """Starts a pod that has a lamp until it is deleted, and gives its name."""
    name = start(node.cluster, claiming(node.cluster, sleeper("holder"), CLASS, **request))
    node.cluster.wait("--for=condition=Ready", f"pod/{name}")
    return name


@pytest.mark.usefixtures("service", "asking")
def test_an_engine_without_cdi_gives_what_the_kubelet_says_once(node: Node) -> None:
    assert seen(run(node.cluster, claimant(node, count=2))) == lit("a", "b")
    assert sorted(node.lamps.switched_on()) == ["a", "b"]


@pytest.mark.usefixtures("service", "asking", "engine_with_cdi")
@pytest.mark.parametrize("handler", ["cdi-runc", None])
def test_an_engine_with_cdi_gives_it_once(node: Node, handler: str | None) -> None:
    said = seen(run(node.cluster, claimant(node, count=2, handler=handler)))
    assert (said, sorted(node.lamps.switched_on())) == (lit("a", "b"), ["a", "b"])


@pytest.mark.usefixtures("service", "asking")
@pytest.mark.parametrize("lamp", ["a", "b"])
def test_a_claim_can_choose_by_name(node: Node, lamp: str) -> None:
    assert seen(run(node.cluster, claimant(node, selectors=named(lamp)))) == lit(lamp)


@pytest.mark.usefixtures("service", "asking")
def test_a_pod_that_knows_nothing_of_claims_gets_it_by_the_name_of_the_resource(node: Node) -> None:
    server = json.loads(node.cluster.kubectl("version", "--output=json"))["serverVersion"]
    if (int(server["major"]), int(server["minor"])) < (1, 36):
        pytest.skip("this cluster has no extended resources by claims (Kubernetes 1.36)")
    assert seen(run(node.cluster, user(lamps=2))) == lit("a", "b")
    assert KIND not in node.cluster.kubectl("get", "nodes", "--output=jsonpath={.items[*].status.allocatable}")


@pytest.mark.usefixtures("claims", "asking")
def test_a_pod_waits_until_there_is_a_driver(node: Node) -> None:
    name = start(node.cluster, claimant(node))
    assert "cannot allocate all claims" in complaint(node.cluster, name, "FailedScheduling")
    start(node.cluster, claimant(node))
    drive(node)
    node.cluster.wait("--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}")
    assert len(node.lamps.switched_on()) == 1


@pytest.mark.usefixtures("asking")
def test_a_pod_that_comes_while_the_driver_is_away_waits_for_it(node: Node, service: Service) -> None:
    service.end()
    name = start(node.cluster, claimant(node))
    query = f"--field-selector=involvedObject.name={name},reason=FailedPrepareDynamicResources"
    while not node.cluster.kubectl("get", "events", query, "--output=name"):
        time.sleep(0.1)
    drive(node)
    # The kubelet tries again when it looks at the pod the next time, after 60 to 90 s.
    node.cluster.wait("--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--timeout=120s")


@pytest.mark.usefixtures("asking")
def test_a_kubelet_that_is_killed_gets_the_driver_again(node: Node, service: Service) -> None:
    holder = start_holder(node)
    node.host.run("sh", "-c", "kill -9 $(cat /run/units/kubelet.pid)")
    service.wait_until_it_says(REGISTERED, times=2)
    run(node.cluster, claimant(node))
    assert sorted(node.lamps.switched_on()) == ["a", "b"]
    assert "lamp-" in node.cluster.kubectl("exec", holder, "--", "ls", "/dev")


@pytest.mark.usefixtures("asking")
def test_a_driver_that_is_killed_knows_afterwards_who_has_what(node: Node, service: Service) -> None:
    holder = start_holder(node)
    service.end("KILL")
    drive(node).wait_until_it_says(REGISTERED)
    wait_for_offer(node.cluster, BOTH)
    run(node.cluster, claimant(node))
    assert sorted(node.lamps.switched_on()) == ["a", "b"]
    node.cluster.kubectl("delete", "pod", holder, "--now")
    assert seen(run(node.cluster, claimant(node, "heir", count=2))) == lit("a", "b")


@pytest.mark.usefixtures("asking")
def test_a_new_version_takes_over_without_a_gap(node: Node, service: Service) -> None:
    new = drive(node)
    new.wait_until_it_says(REGISTERED)
    service.end()
    wait_for_offer(node.cluster, BOTH)
    assert seen(run(node.cluster, claimant(node, count=2))) == lit("a", "b")


@pytest.mark.usefixtures("service", "asking")
def test_a_lamp_that_is_unplugged_is_taken_from_its_pod(node: Node) -> None:
    holder = start_holder(node, selectors=named("a"))
    node.lamps.unplug("a")
    wait_for_offer(node.cluster, {"a": ["NoExecute"], "b": []})
    node.cluster.wait("--for=delete", f"pod/{holder}")
    assert seen(run(node.cluster, claimant(node))) == lit("b")
    node.lamps.plug_in("a")
    wait_for_offer(node.cluster, BOTH)
    assert seen(run(node.cluster, claimant(node, "again", selectors=named("a")))) == lit("a")


@pytest.mark.usefixtures("asking")
def test_what_is_withdrawn_is_in_no_slice(node: Node, service: Service) -> None:
    service.end("USR1")
    wait_for_offer(node.cluster, {})


@pytest.mark.usefixtures("service", "asking")
def test_the_health_of_a_pods_lamp_is_in_its_status(node: Node) -> None:
    endure = [{"key": "cdi-runc/unhealthy", "operator": "Exists"}]
    holder = start_holder(node, selectors=named("a"), tolerations=endure)
    health = "{.status.containerStatuses[0].allocatedResourcesStatus[0].resources[0].health}"
    node.cluster.wait(f"--for=jsonpath={health}=Healthy", f"pod/{holder}", "--timeout=120s")
    node.lamps.unplug("a")
    node.cluster.wait(f"--for=jsonpath={health}=Unhealthy", f"pod/{holder}", "--timeout=120s")
    status = node.cluster.kubectl("get", "pod", holder, "--output=jsonpath={.status.containerStatuses[0]}")
    assert "device node /run/lamps/a: No such file or directory" in status
    node.lamps.plug_in("a")
    node.cluster.wait(f"--for=jsonpath={health}=Healthy", f"pod/{holder}", "--timeout=120s")


@pytest.fixture
def torches(node: Node, service: Service) -> Iterator[str]:
    """Another kind: two devices, `all` that is made of both, and `shared`, which two may have. Gives its class."""
    path, nodes = "/etc/cdi/torch.json", ["/dev/zero", "/dev/full"]
    devices: list[dict[str, Any]] = [
        {"name": name, "containerEdits": {"deviceNodes": [{"path": node} for node in own]}}
        for name, own in (("a", nodes[:1]), ("b", nodes[1:]), ("all", nodes), ("shared", ["/dev/random"]))
    ]
    devices[-1]["annotations"] = {"cdi-runc/replicas": "2"}
    spec = {"cdiVersion": "0.6.0", "kind": "example.com/torch", "devices": devices}
    node.host.write(path, json.dumps(spec))
    make_classes(node.cluster)
    wait_for_offer(node.cluster, {"a": [], "b": [], "all": [], "shared": []}, "example.com/torch")
    yield "torch.example.com"
    node.host.path(path).unlink()
    wait_for_offer(node.cluster, {}, "example.com/torch")


def start_sleeper(node: Node, class_: str, name: str, device: str) -> str:
    """Starts a pod that has this device of a class until it is deleted, and gives its name."""
    return start(node.cluster, claiming(node.cluster, sleeper(name), class_, selectors=named(device)))


def wait_until_ready(node: Node, *pods: str) -> None:
    """Waits until all these pods run."""
    node.cluster.wait("--for=condition=Ready", *(f"pod/{pod}" for pod in pods), "--timeout=120s")


@pytest.mark.usefixtures("asking")
def test_a_device_that_is_made_of_others_excludes_them(node: Node, torches: str) -> None:
    whole = start_sleeper(node, torches, "whole", "all")
    wait_until_ready(node, whole)
    part = start_sleeper(node, torches, "part", "a")
    node.cluster.wait("--for=condition=PodScheduled=false", f"pod/{part}")
    node.cluster.kubectl("delete", "pod", whole, "--now")
    wait_until_ready(node, part, start_sleeper(node, torches, "other", "b"))


@pytest.mark.usefixtures("asking")
def test_a_shared_device_goes_to_as_many_as_it_has_shares(node: Node, torches: str) -> None:
    first, second = (start_sleeper(node, torches, name, "shared") for name in ("first", "second"))
    wait_until_ready(node, first, second)
    third = start_sleeper(node, torches, "third", "shared")
    node.cluster.wait("--for=condition=PodScheduled=false", f"pod/{third}")
    node.cluster.kubectl("delete", "pod", first, "--now")
    wait_until_ready(node, third)
