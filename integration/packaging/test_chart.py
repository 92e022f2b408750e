"""The chart and the manifests that are made of it: what Helm, kubectl and the schemas of Kubernetes say of them."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import cdi_runc
from integration.cluster.cluster import PLACE, find
from integration.conftest import BIN
from integration.packaging.conftest import TREE

KUBERNETES = TREE / "packaging/kubernetes"
POLICY = "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"


def call(program: str, *args: str) -> "subprocess.CompletedProcess[str]":
    """Calls helm or kubectl, in PLACE or on PATH."""
    path = find(program)
    if path is None:
        pytest.skip(f"no {program} in {PLACE} or on PATH (make kubernetes-tools, on x86_64)")
    return subprocess.run([path, *args], capture_output=True, text=True, timeout=300)


def rendered(*options: str) -> list[dict[str, Any]]:
    """What the chart is with these options of `helm template`."""
    done = call("helm", "template", "cdi-runc", str(KUBERNETES / "chart"), "--namespace=cdi-runc", *options)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def names(documents: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Kind and name of each object."""
    return {(document["kind"], document["metadata"]["name"]) for document in documents}


def test_helm_finds_no_fault() -> None:
    done = call("helm", "lint", "--strict", str(KUBERNETES / "chart"))
    assert done.returncode == 0, done.stdout


def test_its_version_is_that_of_cdi_runc() -> None:
    chart = yaml.safe_load((KUBERNETES / "chart/Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (cdi_runc.__version__, cdi_runc.__version__)


@pytest.mark.parametrize("version", ["1.25", "1.29", "1.30", "1.33", "1.37"])
def test_every_object_is_as_this_kubernetes_wants_it(version: str, tmp_path: Path) -> None:
    documents = rendered(f"--kube-version={version}.0", *([f"--api-versions={POLICY}"] if version >= "1.30" else []))
    assert ("ValidatingAdmissionPolicy", "cdi-runc") in names(documents) or version < "1.30"
    path = tmp_path / "chart.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    command = [str(BIN / "kubernetes-validate"), "--strict", "--kubernetes-version", version, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("version", ["1.25", "1.30", "1.37"])
def test_what_offers_devices_is_as_this_kubernetes_wants_it(version: str, tmp_path: Path) -> None:
    policy = [f"--api-versions={POLICY}"] if version >= "1.30" else []
    documents = rendered(f"--kube-version={version}.0", "--set=devicePlugin=true,dra=true", *policy)
    path = tmp_path / "chart.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    command = [str(BIN / "kubernetes-validate"), "--strict", "--kubernetes-version", version, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


EVENTS, ITSELF = ("default", "events", "create patch"), ("cdi-runc", "daemonsets", "get")
LABEL, OWNER = ("", "nodes", "patch"), ("", "nodes", "get")
CLAIMS = ("", "resourceclaims", "get list")
SLICES = ("", "resourceslices", "get list watch create update delete")


@pytest.mark.parametrize(
    ("values", "how", "rights", "policies"),
    [
        ("devicePlugin=true", "device-plugin", {LABEL}, {"cdi-node-label"}),
        ("devicePlugin=true,nodeLabel=false", "device-plugin", set(), set()),
        ("dra=true", "dra", {LABEL, OWNER, CLAIMS, SLICES}, {"cdi-node", "cdi-node-label"}),
        ("dra=true,nodeLabel=false", "dra", {OWNER, CLAIMS, SLICES}, {"cdi-node"}),
        ("devicePlugin=true,dra=true", "both", {LABEL, OWNER, CLAIMS, SLICES}, {"cdi-node", "cdi-node-label"}),
    ],
)
def test_devices_are_offered_as_the_values_say_and_with_no_more_rights(
    values: str, how: str, rights: set[tuple[str, str, str]], policies: set[str]
) -> None:
    documents = rendered(f"--set={values}", "--kube-version=1.30.0", f"--api-versions={POLICY}")
    pod = pod_of(documents, "cdi-node")
    command = pod["containers"][0]["command"]
    assert command[:2] == ["/cdi-node", how]
    assert ("--label-node" in command) == (LABEL in rights)
    assert "--daemon-set=cdi-runc/cdi-node" in command
    assert set(rights_of(documents, "cdi-node")) == rights | {EVENTS, ITSELF}
    bound = {each["spec"]["policyName"] for each in documents if each["kind"] == "ValidatingAdmissionPolicyBinding"} - {
        "cdi-runc"
    }
    assert bound == policies | {"cdi-node-events"}
    assert {("ValidatingAdmissionPolicy", name) for name in bound} <= names(documents)
    writable = [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"] if not mount.get("readOnly")]
    assert all(path.startswith("/var/lib/kubelet/") for path in writable)


def pod_of(documents: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The pod of a DaemonSet."""
    [pod] = [
        document["spec"]["template"]["spec"]
        for document in documents
        if (document["kind"], document["metadata"]["name"]) == ("DaemonSet", name)
    ]
    return dict(pod)


def rights_of(documents: list[dict[str, Any]], account: str) -> Iterator[tuple[str, str, str]]:
    """Namespace ('' for all), resource and verbs of what a service account may do."""
    roles = {
        (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each.get("rules", [])
        for each in documents
    }
    for binding in documents:
        if binding["kind"] in ("RoleBinding", "ClusterRoleBinding") and binding["subjects"][0]["name"] == account:
            namespace = binding["metadata"].get("namespace", "")
            for rule in roles[binding["roleRef"]["kind"], namespace, binding["roleRef"]["name"]]:
                for resource in rule["resources"]:
                    yield namespace, resource, " ".join(rule["verbs"])


@pytest.mark.parametrize(
    ("values", "daemon_sets"),
    [("generate=true", ["cdi-runc"]), ("dra=true", ["cdi-node", "cdi-runc"])],
)
def test_before_all_else_goes_the_daemon_sets_go(values: str, daemon_sets: list[str]) -> None:
    documents = rendered(f"--set={values}")
    [job] = [document for document in documents if document["kind"] == "Job"]
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["/in-cluster", "cleanup"]
    assert {"name": "DAEMONSETS", "value": " ".join(daemon_sets)} in container["env"]
    [rule] = next(
        each["rules"] for each in documents if (each["kind"], each["metadata"]["name"]) == ("Role", "cdi-runc-cleanup")
    )
    assert rule["resourceNames"] == daemon_sets
    hooks = {
        each["metadata"]["name"] for each in documents if "helm.sh/hook" in each["metadata"].get("annotations", {})
    }
    assert hooks == {"cdi-runc-cleanup"}


def test_the_manifests_are_made_from_the_chart(tmp_path: Path) -> None:
    helm = call("helm", "version", "--short").args[0]
    subprocess.run([KUBERNETES / "render", tmp_path], env={**os.environ, "HELM": helm}, check=True, timeout=300)
    made = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*.yaml")}
    assert made == {name: (KUBERNETES / "manifests" / name).read_text() for name in made}, "make manifests"


# What a directory of the manifests is, by the values of the chart; and those with which the chart has only the rest.
MANIFESTS = [
    ("", "nodeLabel=true", None),
    ("kubelet-requests", "kubeletRequests=true", None),
    ("device-plugin", "devicePlugin=true", "devicePlugin=false"),
    ("dra", "dra=true", "dra=false"),
    ("both", "devicePlugin=true,dra=true", "dra=false"),
]


@pytest.mark.parametrize(("directory", "values", "without"), MANIFESTS)
def test_kustomize_gives_what_helm_gives(directory: str, values: str, without: str | None, tmp_path: Path) -> None:
    done = call("kubectl", "kustomize", str(KUBERNETES / "manifests" / directory))
    assert done.returncode == 0, done.stderr
    options = ("--no-hooks", "--kube-version=1.30.0", f"--api-versions={POLICY}")
    rest = rendered(*options, f"--set={without}") if without else []
    helms = [document for document in rendered(*options, f"--set={values}") if document not in rest]
    documents = [each for each in yaml.safe_load_all(done.stdout) if each["kind"] != "Namespace"]
    assert sorted(map(repr, map(by_key, documents))) == sorted(map(repr, map(by_key, helms)))
    path = tmp_path / "manifests.yaml"
    path.write_text(done.stdout)
    command = [str(BIN / "kubernetes-validate"), "--strict", "--kubernetes-version", "1.37", str(path)]
    valid = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert valid.returncode == 0, valid.stdout + valid.stderr


def test_only_the_whole_of_the_manifests_has_the_namespace() -> None:
    """Who removes one part with kubectl must not remove the others with their namespace."""
    for directory, *_ in MANIFESTS:
        done = call("kubectl", "kustomize", str(KUBERNETES / "manifests" / directory))
        kinds = {kind for kind, _ in names(list(yaml.safe_load_all(done.stdout)))}
        assert ("Namespace" in kinds) == (directory == "")


def by_key(value: Any) -> Any:
    """The same with all keys in order."""
    if isinstance(value, dict):
        return {key: by_key(value[key]) for key in sorted(value)}
    return [by_key(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("engine=docker", "engine"),
        ("kubeletRequests=perhaps", "kubeletRequests"),
        ("nodeLabel=maybe", "nodeLabel"),
        ("image.repo=example.com/cdi-runc", "additional properties 'repo' not allowed"),
        ("image.repository=", "/image/repository"),
        ("image.repository=example.com/cdi-runc:1", "/image/repository"),
        ("terminationGracePeriodSeconds=5", "/terminationGracePeriodSeconds"),
        ("tolerations[0].operator=Exist", "/tolerations/0/operator"),
    ],
)
def test_a_wrong_value_is_named(value: str, says: str) -> None:
    done = call("helm", "template", str(KUBERNETES / "chart"), "--set", value)
    assert done.returncode != 0
    assert says in done.stderr


def test_values_come_where_they_belong() -> None:
    options = ("image.repository=example.com:5000/cdi-runc", "image.tag=v2", "engine=crio", "nodeSelector.gpu=yes")
    documents = rendered(*(f"--set={option}" for option in options))
    [daemon_set] = [document for document in documents if document["kind"] == "DaemonSet"]
    pod = daemon_set["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux", "gpu": "yes"}
    assert pod["containers"][0]["image"] == "example.com:5000/cdi-runc:v2"
    env = pod["containers"][0]["env"]
    assert {"name": "ENGINE", "value": "crio"} in env
    assert {"name": "KUBELET_REQUESTS", "value": "false"} in env


def test_the_kubelet_is_asked_where_the_values_say_so() -> None:
    documents = rendered("--set=kubeletRequests=true,kubeletDir=/var/lib/k0s/kubelet")
    [daemon_set] = [document for document in documents if document["kind"] == "DaemonSet"]
    env = daemon_set["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "KUBELET_REQUESTS", "value": "true"} in env
    assert {"name": "KUBELET_DIR", "value": "/var/lib/k0s/kubelet"} in env
