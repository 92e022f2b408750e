"""What the chart's pods do on their node: the image for real, beside a containerd, and only the API server stands in.

The pods here are Podman's, with what the chart gives them; integration/cluster has the chart and a real cluster.
"""

import json
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from integration.bundles import static_busybox
from integration.cluster.credentials import Credentials
from integration.engines.host import Host
from integration.engines.test_containerd import SETTINGS
from integration.packaging.conftest import ROOTS, TREE
from integration.packaging.image import IMAGE
from integration.packaging.machine import Machine
from integration.packaging.test_image import CDICTL, ON_HOST

NODE = "/api/v1/nodes/node-1"
DAEMONSET = "/apis/apps/v1/namespaces/gpu/daemonsets/cdi-runc"
DEVICES = "/apis/apps/v1/namespaces/gpu/daemonsets/cdi-node"
CONFIG = SETTINGS.replace("  enable_cdi = {enable_cdi}\n", "")

# Podman's own limits take CAP_SYS_RESOURCE. The API server is in the test, on 127.0.0.1.
OPTIONS = ("--network=host", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")

# The securityContext of the chart's daemonset.yaml and of its cleanup.yaml, as far as Podman has it.
BOTH = "--cap-drop=all --security-opt=no-new-privileges --read-only --read-only-tmpfs=false"
RIGHTS = {
    "node": f"{BOTH} --pid=host --cap-add=SYS_ADMIN,SYS_CHROOT,SYS_PTRACE --tmpfs=/run".split(),
    "cleanup": f"{BOTH} --user=65534".split(),
}

Answer = tuple[int, Any]
STAYS: Answer = (200, {"metadata": {}})
ENDS: Answer = (200, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {}})
REFUSED: Answer = (403, {})
GONE: Answer = (404, {})


def of_node(runtime: str, kubelet: str = "v1.33.1") -> Answer:
    """The node, with what runs its containers and the version of its kubelet."""
    return 200, {"status": {"nodeInfo": {"containerRuntimeVersion": runtime, "kubeletVersion": kubelet}}}


class Request(NamedTuple):
    """What the API server was asked, and by whom."""

    method: str
    path: str
    body: Any = None
    kind: str = "application/json"
    authorization: str = "Bearer the-token"


def label(value: str | None) -> Request:
    """What sets the node's label, or removes it."""
    return Request("PATCH", NODE, {"metadata": {"labels": {"cdi-runc/ready": value}}}, "application/merge-patch+json")


class ApiServer:
    """Gives each kind of request its answers one after the other, the last one for good, and notes down what it got."""

    def __init__(self, credentials: Credentials) -> None:
        credentials.issue("server", ["IP:127.0.0.1"])
        self.asked = asked = list[Request]()
        self._answers = answers = {
            f"GET {NODE}": [of_node("containerd://1.7.24")],
            f"PATCH {NODE}": [(200, {})],
            f"GET {DAEMONSET}": [STAYS],
            f"DELETE {DAEMONSET}": [STAYS],
            f"GET {DEVICES}": [ENDS],
            f"DELETE {DEVICES}": [STAYS],
        }

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or "null")
                kind, who = self.headers["Content-Type"], self.headers["Authorization"]
                asked.append(Request(self.command, self.path, body, kind, who))
                left = answers[f"{self.command} {self.path}"]
                status, said = left.pop(0) if len(left) > 1 else left[0]
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(said).encode())

            do_GET = do_PATCH = do_DELETE = answer  # noqa: N815  the names that http.server has for them

            def log_message(self, *words: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(credentials.certificate("server"), credentials.key("server"))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def answer(self, request: str, *answers: Answer | None) -> None:
        """What it answers from now on; with None it can't be reached any more."""
        if None in answers:
            self.close()
        self._answers[request] = [answer for answer in answers if answer]

    def close(self) -> None:
        """From now on nobody is there; can be called again."""
        self._server.shutdown()
        self._thread.join(30)
        self._server.server_close()


class Pods:
    """The pods of one test, on a node where containerd is running."""

    def __init__(self, node: Machine, api: ApiServer, account: Path) -> None:
        self.node, self.api, self._account = node, api, account
        self.log = account.with_name("pod.log")

    def start(self, job: str, engine: str = "", **values: str) -> "subprocess.Popen[bytes]":
        """Starts a pod that does a job of /in-cluster, with these variables besides."""
        self.log.write_text("")
        said = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": self.api.port}
        said |= {"NODE_NAME": "node-1", "NAMESPACE": "gpu", "ENGINE": engine, **values}
        options = [*OPTIONS, *RIGHTS[job], *(f"--env={name}={value}" for name, value in said.items())]
        account = f"--volume={self._account}:/var/run/secrets/kubernetes.io/serviceaccount:ro"
        what = ("--rm", "--name=pod", "--entrypoint=/in-cluster", IMAGE, job)
        return self.node.host.start("podman", "--log-level=error", "run", *options, account, *what, log=self.log)

    def wait_until_ready(self, pod: "subprocess.Popen[bytes]") -> None:
        """Waits as the readiness probe does."""
        probe = ("podman", "exec", "pod", "test", "-e", "/run/ready")
        self.node.host.wait_for(*probe, daemon=pod, log=self.log, seconds=90)

    def end(self, pod: "subprocess.Popen[bytes]") -> int:
        """Ends a pod as the kubelet does, and gives its status."""
        self.node.must("podman kill --signal=TERM pod")
        return pod.wait(90)

    def changes(self) -> set[str]:
        """What is no longer on the node as it was before all pods, but for what containerd keeps."""
        changed = {line for line in self.node.changes() if "containerd" not in line}
        return changed | ({"config"} if self.node.must("cat /etc/containerd/config.toml") != CONFIG else set())


@pytest.fixture(scope="module")
def node(image_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with the image, and with containerd, as a node has it before the chart comes."""
    if static_busybox() is None:
        pytest.skip("busybox-static is not installed (make deps)")
    if not (ROOTS / "debian-13-ready").exists():
        pytest.skip(f"no debian-13-ready in {ROOTS} (make clean-roots)")
    try:
        host = Host(ROOTS / "debian-13-ready", tmp_path_factory.mktemp("node"), TREE)
    except RuntimeError as error:
        pytest.skip(f"no machine to spoil can be made here: {error}")
    node = Machine(host)
    os.link(image_archive, node.shared / "cdi-runc.tar")
    node.must('podman load --input "$0"/cdi-runc.tar', str(node.shared))
    host.write("/etc/containerd/config.toml", CONFIG)
    host.run_unit("containerd", "containerd", ready="ctr version", log=node.shared / "containerd.log")
    node.before = node.files()
    yield node
    host.close()


@pytest.fixture
def pods(node: Machine, tmp_path: Path) -> Iterator[Pods]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, which makes the API server's certificate")
    credentials = Credentials(tmp_path / "credentials")
    account = node.shared / tmp_path.name / "account"
    account.mkdir(parents=True)
    (account / "token").write_text("the-token")
    shutil.copy(credentials.certificate("ca"), account / "ca.crt")
    node.host.path("/run/units/containerd.restarts").unlink(missing_ok=True)
    api = ApiServer(credentials)
    yield Pods(node, api, account)
    api.close()
    node.must(f"podman rm --force --ignore pod; [ ! -e /opt/cdi-runc ] || {ON_HOST} uninstall")


@pytest.mark.parametrize(("engine", "asks"), [("", [Request("GET", NODE)]), ("containerd", [])])
def test_the_node_gets_its_label_when_its_engine_has_the_handler(pods: Pods, engine: str, asks: list[Request]) -> None:
    pods.wait_until_ready(pods.start("node", engine))
    assert pods.api.asked == [*asks, label("true")]
    assert pods.node.host.restarts("containerd") == 1
    assert "containerd: cdi-runc is /opt/cdi-runc/bin/cdi-runc" in pods.node.must(f"{CDICTL} engine status")


def test_the_kubelet_is_asked_where_the_chart_wants_it_and_no_more_later(pods: Pods) -> None:
    wants = {"KUBELET_REQUESTS": "true", "KUBELET_DIR": "/k"}
    for values, lines, then in ((wants, 1, STAYS), ({}, 0, STAYS), (wants, 1, ENDS)):
        pod = pods.start("node", "containerd", **values)
        pods.wait_until_ready(pod)
        said = pods.node.must("cat /etc/cdi-runc/config.yaml")
        assert said.count("\nrequests: {kubelet: true, kubelet-dir: /k} #") == lines
        pods.api.answer(f"GET {DAEMONSET}", then)
        assert pods.end(pod) == 0
    assert pods.changes() == set()


def test_a_node_whose_settings_are_its_own_is_not_ready(pods: Pods) -> None:
    pods.node.host.write("/etc/cdi-runc/config.yaml", "requests: {env: X}\n")
    assert pods.start("node", "containerd", KUBELET_REQUESTS="true").wait(90) == 1
    assert pods.api.asked == []
    assert "has requests of its own: write 'kubelet: true'" in pods.log.read_text()
    pods.node.must("rm -r /etc/cdi-runc")


@pytest.mark.parametrize(
    ("answer", "engine"),
    [(of_node("cri-o://1.30.0"), "crio"), (of_node("containerd://1.7.24-k3s1", "v1.33.1+k3s1"), "k3s")],
    ids=["crio", "k3s"],
)
def test_no_label_where_the_engine_does_not_get_the_handler(pods: Pods, answer: Answer, engine: str) -> None:
    pods.api.answer(f"GET {NODE}", answer)
    assert pods.start("node").wait(90) == 1
    assert pods.api.asked == [Request("GET", NODE)]
    assert engine in pods.log.read_text().splitlines()[-1]


def test_the_next_pod_takes_the_node_over_and_restarts_nothing(pods: Pods) -> None:
    for _ in range(2):
        pod = pods.start("node")
        pods.wait_until_ready(pod)
        assert pods.end(pod) == 0
    assert pods.node.host.restarts("containerd") == 1


@pytest.mark.parametrize("answer", [STAYS, (500, {}), None], ids=["stays", "error", "out of reach"])
def test_nothing_is_undone_unless_the_daemonset_goes(pods: Pods, answer: Answer | None) -> None:
    pod = pods.start("node", engine="containerd")
    pods.wait_until_ready(pod)
    pods.api.answer(f"GET {DAEMONSET}", answer)
    assert pods.end(pod) == 0
    assert pods.api.asked == [label("true"), *([Request("GET", DAEMONSET)] if answer else [])]
    assert "cdi-runc is /opt/cdi-runc" in pods.node.must(f"{CDICTL} engine status")


@pytest.mark.parametrize(("answer", "may"), [(GONE, True), (ENDS, True), (REFUSED, True), ((401, {}), False)])
def test_all_is_undone_when_the_daemonset_goes(pods: Pods, answer: Answer, may: bool) -> None:
    pod = pods.start("node", engine="containerd")
    pods.wait_until_ready(pod)
    pods.api.answer(f"GET {DAEMONSET}", answer)
    pods.api.answer(f"PATCH {NODE}", (200, {}) if may else answer)
    assert pods.end(pod) == 0
    assert pods.api.asked == [label("true"), Request("GET", DAEMONSET), label(None)]
    assert ("the label cdi-runc/ready stays" in pods.log.read_text()) != may
    assert pods.changes() == set()
    assert pods.node.host.restarts("containerd") == 2


@pytest.mark.parametrize(
    ("job", "asked", "answer", "says"),
    [
        ("node", f"GET {NODE}", of_node("docker://28.1.1"), "pods run in docker, which has no handlers"),
        ("node", f"GET {NODE}", REFUSED, f"refuses https://127.0.0.1:PORT{NODE}: 403"),
        ("node", f"GET {NODE}", None, "the API server can't be reached: "),
        ("cleanup", f"DELETE {DAEMONSET}", REFUSED, f"refuses https://127.0.0.1:PORT{DAEMONSET}: 403"),
        ("cleanup", f"DELETE {DAEMONSET}", None, "the API server can't be reached: "),
    ],
)
def test_why_it_cannot_is_said_in_a_line(pods: Pods, job: str, asked: str, answer: Answer | None, says: str) -> None:
    pods.api.answer(asked, answer)
    assert pods.start(job).wait(90) == 1
    said = pods.log.read_text()
    assert (said.count("\n"), says.replace("PORT", str(pods.api.port)) in said) == (1, True), said
    assert pods.changes() == set()


@pytest.mark.parametrize("times", [0, 2])
def test_cleanup_returns_when_the_daemonset_is_gone(pods: Pods, times: int) -> None:
    pods.api.answer(f"DELETE {DAEMONSET}", STAYS if times else GONE)
    pods.api.answer(f"GET {DAEMONSET}", *[ENDS] * times, GONE)
    assert pods.start("cleanup").wait(90) == 0
    delete, *others = pods.api.asked
    assert (delete.method, delete.path, delete.body["propagationPolicy"]) == ("DELETE", DAEMONSET, "Foreground")
    assert others == [Request("GET", DAEMONSET)] * (times + 1 if times else 0)
    assert "cdi-runc is gone from all nodes" in pods.log.read_text()


def test_cleanup_waits_for_each_of_the_daemonsets(pods: Pods) -> None:
    pods.api.answer(f"GET {DEVICES}", ENDS, GONE)
    pods.api.answer(f"GET {DAEMONSET}", GONE)
    assert pods.start("cleanup", DAEMONSETS="cdi-node cdi-runc").wait(90) == 0
    asked = [(request.method, request.path) for request in pods.api.asked]
    both = [DEVICES, DAEMONSET]
    assert asked == [*(("DELETE", path) for path in both), *(("GET", path) for path in both), ("GET", DEVICES)]
    assert "waiting for the nodes of cdi-node: 0" in pods.log.read_text()
