"""cdi-node on a real node: pods get its devices as resources, whatever the kubelet, the engine and the hardware do."""

import json

import pytest

from integration.cluster.lamps import lit, seen
from integration.cluster.node import REGISTERED, Node, sleeper, user
from integration.cluster.pods import run, start
from integration.cluster.service import Service


@pytest.fixture
def service(node: Node) -> Service:
    """cdi-node, of which the cluster knows."""
    service = node.serve()
    node.wait_for("allocatable", 2)
    return service


@pytest.mark.usefixtures("service")
def test_a_pod_gets_what_it_asks_for_once(node: Node) -> None:
    assert seen(run(node.cluster, user(lamps=2))) == lit("a", "b")
    assert sorted(node.lamps.switched_on()) == ["a", "b"]


@pytest.mark.usefixtures("service", "engine_with_cdi")
@pytest.mark.parametrize("handler", ["cdi-runc", None])
def test_an_engine_with_cdi_and_cdi_runc_give_it_once(node: Node, handler: str | None) -> None:
    said = seen(run(node.cluster, user(lamps=2, handler=handler)))
    assert (said, sorted(node.lamps.switched_on())) == (lit("a", "b"), ["a", "b"])


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
