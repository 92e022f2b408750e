"""The chart and the manifests on a real cluster: cdi-runc comes to the node, pods get devices, and no trace stays."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.bundles import WIDGET, WITH, report, widget_spec
from integration.cluster.claiming import claiming, has_claims, make_classes, remove_all, wait_for_offer
from integration.cluster.cluster import DEVICE_PLUGINS, KUBELET, Cluster
from integration.cluster.pods import run, start
from integration.cluster.shim import KUBERNETES
from integration.cluster.test_node import the_probe
from integration.packaging.machine import LISTING

NAMESPACE = "--namespace=cdi-runc"
INSTALL = ("install", "cdi-runc", f"{KUBERNETES}/chart", NAMESPACE, "--create-namespace", "--wait", "--timeout=60s")
# With CRI-O it waits for the kubelet to tidy the pods away that have ended, which that does once a minute.
UNINSTALL = ("uninstall", "cdi-runc", NAMESPACE, "--wait", "--timeout=180s")
# What a cluster itself writes while it runs, and Podman when `cdictl doctor` asks it.
OF_THE_CLUSTER = (
    "/etc/cni/net.d/cni.lock",
    "/var/lib/",
    "/var/log/",
    "/var/cache/",
    "/root/",
    "/run/",
    "/opt/containerd",
    "/opt/cni",
)


class Node:
    """The cluster's node, which can have the image, and has a widget."""

    def __init__(self, cluster: Cluster, archive: Path) -> None:
        self.cluster = cluster
        self.host = cluster.host
        os.link(archive, self.host.shared / "cdi-runc.tar")
        cluster.load(self.host.shared / "cdi-runc.tar")
        state = self.host.shared / "widget"
        state.mkdir()
        self.host.write("/etc/cdi/widget.json", json.dumps(widget_spec(state)))

    def files(self) -> set[str]:
        """A line for every file that is not the cluster's, and the text of the engine's own."""
        lines = self.host.run("sh", "-c", LISTING, str(self.host.shared)).stdout.splitlines()
        texts = self.host.run("sh", "-c", "find /etc/containerd /etc/crio -type f -print -exec cat {} +").stdout
        return {line for line in lines if not line.startswith(OF_THE_CLUSTER)} | {texts}

    def label(self) -> str:
        """The node's label."""
        return self.cluster.kubectl("get", "nodes", r"--output=jsonpath={.items[*].metadata.labels.cdi-runc/ready}")

    def problems(self) -> list[str]:
        """What `cdictl doctor` calls a problem."""
        checks = json.loads(self.host.run("/opt/cdi-runc/bin/cdictl", "-o", "json", "doctor").stdout)["checks"]
        return [check["text"] for check in checks if check["level"] == "problem"]

    def log(self) -> str:
        """What the DaemonSet's pod says."""
        return self.cluster.kubectl("logs", NAMESPACE, "daemonset/cdi-runc")


@pytest.fixture(scope="module")
def node(cluster: Cluster, image_archive: Path) -> Node:
    return Node(cluster, image_archive)


@pytest.fixture
def installed(node: Node) -> Iterator[Node]:
    """The node with cdi-runc by the chart; afterwards it has to be as it was."""
    before = node.files()
    node.cluster.helm(*INSTALL)
    yield node
    node.cluster.helm(*UNINSTALL)
    assert (node.label(), node.files() ^ before) == ("", set())


def test_a_pod_gets_its_device(installed: Node) -> None:
    assert (installed.label(), installed.problems()) == ("true", [])
    assert report(run(installed.cluster, the_probe())) == WITH


def test_a_pod_of_the_daemon_set_that_is_replaced_undoes_nothing(installed: Node) -> None:
    restarts = installed.host.restarts(installed.cluster.engine)
    installed.cluster.kubectl("delete", "pod", NAMESPACE, "--all")
    installed.cluster.kubectl("rollout", "status", NAMESPACE, "daemonset/cdi-runc", "--timeout=60s")
    assert "is registered already" in installed.log()
    assert installed.host.restarts(installed.cluster.engine) == restarts
    assert installed.label() == "true"


def test_it_waits_for_the_pods_that_need_it(node: Node) -> None:
    before = node.files()
    node.cluster.helm(*INSTALL)
    pod = the_probe()
    pod["spec"]["containers"][0]["command"] = ["sleep", "1000"]
    name = start(node.cluster, pod)
    node.cluster.wait("--for=condition=Ready", f"pod/{name}")
    node.cluster.kubectl("delete", NAMESPACE, "daemonset/cdi-runc", "--cascade=foreground", "--wait=false")
    while "trying again" not in (said := node.log()):
        time.sleep(0.5)
    assert "not removed, since an engine still needs it" in said
    assert node.cluster.kubectl("exec", name, "--", "ls", "/dev/widget") == "/dev/widget\n"
    node.cluster.kubectl("delete", "pod", name, "--now")
    node.cluster.kubectl("wait", "--for=delete", NAMESPACE, "daemonset/cdi-runc", "--timeout=180s")
    node.cluster.helm(*UNINSTALL)
    assert (node.label(), node.files() ^ before) == ("", set())


def test_pods_get_devices_as_resources_and_nothing_of_them_stays(node: Node) -> None:
    before = node.files()
    node.cluster.helm(*INSTALL, "--set=devicePlugin=true")
    allocatable = r"--for=jsonpath={.status.allocatable.example\.com/widget}"
    node.cluster.wait(f"{allocatable}=1", f"node/{node.cluster.node}")
    manifest = the_probe()
    del manifest["metadata"]["annotations"]
    manifest["spec"]["containers"][0]["resources"] = {"limits": {WIDGET.partition("=")[0]: 1}}
    assert report(run(node.cluster, manifest)) == WITH
    node.cluster.helm(*UNINSTALL)
    node.cluster.wait(f"{allocatable}=0", f"node/{node.cluster.node}")
    sockets = [path.name for path in node.host.path(DEVICE_PLUGINS).iterdir() if path.is_socket()]
    left = list(node.host.path(f"{KUBELET}/plugins").iterdir())
    assert (sockets, left, node.label(), node.files() ^ before) == (["kubelet.sock"], [], "", set())


def test_pods_get_devices_by_claims_and_nothing_of_them_stays(node: Node) -> None:
    if not has_claims(node.cluster):
        pytest.skip("this cluster has no resource.k8s.io/v1 (Kubernetes 1.34)")
    before, kind = node.files(), WIDGET.partition("=")[0]
    node.cluster.helm(*INSTALL, "--set=dra=true", "--set=kubeletRequests=true")
    device = WIDGET.partition("=")[2]
    wait_for_offer(node.cluster, {device: []}, kind)
    make_classes(node.cluster)
    manifest = the_probe()
    del manifest["metadata"]["annotations"]
    assert report(run(node.cluster, claiming(node.cluster, manifest, "widget.example.com"))) == WITH
    node.cluster.helm(*UNINSTALL)
    wait_for_offer(node.cluster, {}, kind)
    remove_all(node.cluster)
    left = [path for name in ("plugins", "plugins_registry") for path in node.host.path(f"{KUBELET}/{name}").iterdir()]
    assert (left, node.label(), node.files() ^ before) == ([], "", set())


@pytest.fixture(scope="module")
def policed(node: Node) -> Iterator[Node]:
    """The node with cdi-runc by the manifests; after the last test it has to be as it was."""
    if "validatingadmissionpolicies" not in node.cluster.kubectl("api-resources", "--output=name"):
        pytest.skip("this cluster has no ValidatingAdmissionPolicy (Kubernetes 1.30 and later)")
    before = node.files()
    node.cluster.kubectl("apply", f"--kustomize={KUBERNETES}/manifests")
    node.cluster.kubectl("rollout", "status", NAMESPACE, "daemonset/cdi-runc", "--timeout=60s")
    yield node
    node.cluster.kubectl("delete", NAMESPACE, "daemonset/cdi-runc", "--cascade=foreground", "--timeout=180s")
    node.cluster.kubectl("delete", "--ignore-not-found", f"--kustomize={KUBERNETES}/manifests")
    assert (node.label(), node.files() ^ before) == ("", set())


@pytest.mark.parametrize(
    ("change", "on", "refused"),
    [
        ("label node node-1 cdi-runc/ready=soon --overwrite", "node-1", None),
        ("label node node-1 cdi-runc/ready=later --overwrite", "node-2", "labels no node but its own"),
        ("label node node-1 zone=mine", "node-1", "no label of a node but cdi-runc/ready"),
        ("label node node-1 kubernetes.io/os-", "node-1", "no label of a node but cdi-runc/ready"),
        ("annotate node node-1 note=mine", "node-1", "nothing of a node but its label"),
        ("taint node node-1 gone=yes:NoExecute", "node-1", "nothing of a node but its label"),
        ("delete node node-1", "node-1", "forbidden"),
        ("get secrets", "node-1", "forbidden"),
    ],
)
def test_its_pods_may_do_one_thing(policed: Node, change: str, on: str, refused: str | None) -> None:
    account = "system:serviceaccount:cdi-runc:cdi-runc"
    extra = f"--as-user-extra=authentication.kubernetes.io/node-name={on}"
    command = [*change.split(), f"--as={account}", extra]
    if refused is None:
        policed.cluster.kubectl(*command)
    else:
        with pytest.raises(RuntimeError, match=refused):
            policed.cluster.kubectl(*command)
