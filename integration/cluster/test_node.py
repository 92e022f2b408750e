"""The cluster is a real one: pods run in it as in any other, and with cdi-runc on its node they get their devices."""

import json
from typing import Any

import pytest
import yaml

from integration.bundles import PROBE, WITH, WITHOUT, report, widget_spec
from integration.cluster.cluster import Cluster
from integration.cluster.pods import complaint, pod, run, start
from integration.cluster.shim import KUBERNETES, install

DAEMON_SET = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: everywhere}
spec:
  selector: {matchLabels: {app: everywhere}}
  template:
    metadata: {labels: {app: everywhere}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: "probe:1"}]
"""
UNHEARD_OF = """
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: unheard-of}
handler: unheard-of
"""


def test_a_daemon_set_runs_on_the_node(cluster: Cluster) -> None:
    cluster.kubectl("apply", "--filename=-", stdin=DAEMON_SET)
    cluster.kubectl("rollout", "status", "daemonset/everywhere", "--timeout=60s")
    assert cluster.kubectl("get", "pods", "--output=jsonpath={.items[*].spec.nodeName}") == cluster.node
    cluster.kubectl("delete", "daemonset/everywhere")


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("get --raw /version", '"gitVersion": "v1.'),
        ("get nodes", 'User "system:serviceaccount:default:default" cannot list resource "nodes"'),
    ],
)
def test_a_pod_asks_the_api_server_by_the_name_of_its_service_account(
    cluster: Cluster, question: str, answer: str
) -> None:
    asking = pod("asking", "sh", "-c", f"/programs/kubectl {question} 2>&1 || true")
    asking["spec"]["volumes"] = [{"name": "programs", "hostPath": {"path": str(cluster.programs)}}]
    asking["spec"]["containers"][0]["volumeMounts"] = [{"name": "programs", "mountPath": "/programs"}]
    assert answer in run(cluster, asking)


def test_a_pod_of_an_unknown_handler_does_not_start(cluster: Cluster) -> None:
    cluster.kubectl("apply", "--filename=-", stdin=UNHEARD_OF)
    name = start(cluster, pod("waiting", "true", runtimeClassName="unheard-of"))
    assert "unheard-of" in complaint(cluster, name, "FailedCreatePodSandBox")


@pytest.fixture(scope="module")
def with_cdi_runc(cluster: Cluster) -> Cluster:
    """The cluster, with cdi-runc, its handler and its runtime class as packaging/kubernetes has them, and a widget."""
    install(cluster)
    state = cluster.host.shared / "widget"
    state.mkdir()
    cluster.host.write("/etc/cdi/widget.json", json.dumps(widget_spec(state)))
    return cluster


def the_probe() -> dict[str, Any]:
    """The pod of packaging/kubernetes, which only looks at itself."""
    manifest: dict[str, Any] = yaml.safe_load((KUBERNETES / "pod.yaml").read_text())
    manifest["spec"]["restartPolicy"] = "Never"
    # CRI-O gives it unasked to nobody.
    may_make_nodes = {"capabilities": {"add": ["MKNOD"]}}
    container = {"image": "probe:1", "command": ["sh", "-c", PROBE], "securityContext": may_make_nodes}
    manifest["spec"]["containers"][0] |= container
    return manifest


@pytest.fixture
def probe() -> dict[str, Any]:
    return the_probe()


def test_a_pod_gets_its_device(with_cdi_runc: Cluster, probe: dict[str, Any]) -> None:
    assert report(run(with_cdi_runc, probe)) == WITH


def test_a_pod_that_asks_for_nothing_gets_nothing(with_cdi_runc: Cluster, probe: dict[str, Any]) -> None:
    del probe["metadata"]["annotations"]
    assert report(run(with_cdi_runc, probe)) == WITHOUT


def test_a_pod_of_no_runtime_class_gets_nothing(with_cdi_runc: Cluster, probe: dict[str, Any]) -> None:
    del probe["spec"]["runtimeClassName"]
    assert report(run(with_cdi_runc, probe)) == WITHOUT


def test_an_unknown_device_is_named_in_an_event(with_cdi_runc: Cluster, probe: dict[str, Any]) -> None:
    probe["metadata"]["annotations"] = {"cdi.k8s.io/test": "example.com/widget=none"}
    name = start(with_cdi_runc, probe)
    assert "example.com/widget=none" in complaint(with_cdi_runc, name, "Failed")
