"""What the kubelet gave to a pod's container, as requests; and why a container does not start without an answer."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cdi_runc.kubernetes.wire import podresources_pb2 as wire
from cdi_runc.shim.decision import decide, from_kubelet
from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.kubelet import given as giving
from cdi_runc.shim.policy import Container, judged
from cdi_runc.shim.requests import Request
from tests.kubernetes.pod_resources import LISTER, Kubelet
from tests.shim.conftest import LIB
from tests.shim.test_decision import Known as Host

CONTAINERD = {
    "io.kubernetes.cri.container-type": "container",
    "io.kubernetes.cri.sandbox-namespace": "default",
    "io.kubernetes.cri.sandbox-name": "p",
    "io.kubernetes.cri.container-name": "main",
}
CRIO = {
    "io.container.manager": "cri-o",
    "io.kubernetes.cri-o.ContainerType": "container",
    "io.kubernetes.pod.namespace": "default",
    "io.kubernetes.pod.name": "p",
    "io.kubernetes.container.name": "main",
}
GIVEN = [("v.com/c=0", "kubelet", "resource v.com/c"), ("v.com/c=1", "kubelet", "resource v.com/c")]


@pytest.fixture
def kubelet() -> Iterator[Kubelet]:
    with tempfile.TemporaryDirectory() as directory:
        yield Kubelet(directory)


def known(kubelet: Kubelet, deadline: int = 20, **settings: Any) -> Host:
    """A host whose settings want the kubelet to be asked."""
    sources: dict[str, Any] = {"annotations": ["cdi.k8s.io/"], "mounts": None, "env": None, "kubelet": True}
    sources |= {"kubelet-dir": str(kubelet.directory), "kubelet-deadline": deadline}
    return Host(**{"requests": sources, **settings})


def asked(kubelet: Kubelet, annotations: Mapping[str, Any] = CONTAINERD) -> list[tuple[str, str, str]]:
    """The requests; none of them comes with a warning."""
    warnings: list[str] = []
    found = from_kubelet({"annotations": annotations}, "create", known(kubelet), warnings.append)
    assert warnings == []
    return [(request.name, request.through, request.where) for request in found]


def refusal(kubelet: Kubelet, annotations: Mapping[str, Any] = CONTAINERD, deadline: int = 20) -> str:
    with pytest.raises(ShimError) as raised:
        from_kubelet({"annotations": annotations}, "create", known(kubelet, deadline), pytest.fail)
    return str(raised.value)


@pytest.mark.parametrize("annotations", [CONTAINERD, CRIO], ids=["containerd", "crio"])
@pytest.mark.parametrize("has_get", [True, False])
def test_devices_of_a_device_plugin(kubelet: Kubelet, annotations: Mapping[str, str], has_get: bool) -> None:
    kubelet.has_get = has_get
    kubelet.gives("v.com/c", "9", container="init")
    kubelet.gives("v.com/c", "0", "1::4", "0::2")  # two shares of one device are one device
    with kubelet.serving():
        assert asked(kubelet, annotations) == GIVEN
    assert kubelet.asked == (["Get"] if has_get else ["List"])


def test_devices_of_a_claim(kubelet: Kubelet) -> None:
    kubelet.gives_by_claim("v.com/c=1", "elsewhere.com/c=b")
    with kubelet.serving():
        assert [name for name, _, where in asked(kubelet) if where == "claim default/c"] == [
            "v.com/c=1",
            "elsewhere.com/c=b",
        ]


def test_a_resource_of_another_plugin_is_passed_over(kubelet: Kubelet) -> None:
    kubelet.gives("other.com/nic", "0")
    kubelet.gives("v.com/c", "another")
    with kubelet.serving():
        assert asked(kubelet) == []


def test_a_container_without_devices_and_one_that_the_kubelet_does_not_tell_of(kubelet: Kubelet) -> None:
    kubelet.container("main")
    with kubelet.serving():
        assert asked(kubelet) == []
        assert asked(kubelet, {**CONTAINERD, "io.kubernetes.cri.container-name": "init"}) == []


def test_a_pod_that_the_kubelet_does_not_have(kubelet: Kubelet) -> None:
    warnings: list[str] = []
    with kubelet.serving():
        config = {"annotations": {**CONTAINERD, "io.kubernetes.cri.sandbox-name": "q"}}
        assert from_kubelet(config, "create", known(kubelet), warnings.append) == []
    assert warnings == ["the kubelet has no pod default/q, so that it gave no device to container main"]
    assert kubelet.asked == ["Get", "List"]


@pytest.mark.parametrize(
    ("annotations", "command", "settings"),
    [
        ({}, "create", {}),
        (None, "create", {}),
        ({"io.kubernetes.pod.name": "p", "io.kubernetes.pod.namespace": "default"}, "create", {}),
        ({**CONTAINERD, "io.kubernetes.cri.container-type": "sandbox"}, "create", {}),
        ({**CRIO, "io.kubernetes.cri-o.ContainerType": "sandbox"}, "create", {}),
        ({**CONTAINERD, "io.container.manager": "libpod"}, "create", {}),  # an image of Podman's can say anything
        (CONTAINERD, "restore", {}),
        (CONTAINERD, "create", {"requests": {"annotations": [], "mounts": None, "env": None, "kubelet": False}}),
        (CONTAINERD, "create", {"requests": {"annotations": [], "mounts": None, "env": None}}),
    ],
)
def test_who_is_not_asked_about(kubelet: Kubelet, annotations: Any, command: str, settings: dict[str, Any]) -> None:
    host = known(kubelet, **settings)
    with kubelet.serving():
        assert from_kubelet({"annotations": annotations}, command, host, pytest.fail) == []
    assert kubelet.asked == []


UID = "3c9b5f0e-0b7c-4f0a-9f5e-1a2b3c4d5e6f"


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directories of the pods' logs."""
    monkeypatch.setattr(giving, "LOGS", str(tmp_path))
    for name in (f"default_p_{UID}", "kube-system_proxy_1", "kube-system_p_2"):
        (tmp_path / name).mkdir()
    return tmp_path


def of_docker(kubelet: Kubelet, source: str = f"pods/{UID}/containers/main/a6f1c2d3") -> dict[str, Any]:
    """A config as Docker makes it for cri-dockerd."""
    mounts: list[Any] = [
        {"source": "proc"},
        {},
        "",
        {"source": f"{kubelet.directory}/pods/{UID}/etc-hosts", "destination": "/etc/hosts"},
        {"source": f"{kubelet.directory}/{source}", "destination": "/dev/termination-log"},
    ]
    return {"mounts": mounts}


def test_a_container_of_cri_dockerds_is_known_by_its_mount(kubelet: Kubelet, logs: Path) -> None:
    kubelet.gives("v.com/c", "0")
    with kubelet.serving():
        found = from_kubelet(of_docker(kubelet), "create", known(kubelet), pytest.fail)
    assert [request.name for request in found] == ["v.com/c=0"]


@pytest.mark.parametrize("source", ["other/x", f"pods/{UID}/volumes/x/y", f"pods/{UID}/containers/main", "pods/a//b/c"])
def test_other_mounts_make_no_container_of_a_pod(kubelet: Kubelet, logs: Path, source: str) -> None:
    assert from_kubelet(of_docker(kubelet, source), "create", known(kubelet), pytest.fail) == []


@pytest.mark.parametrize("names", [[], [f"more_than_two_{UID}"], [f"default_p_{UID}", f"default_q_{UID}"]])
def test_a_uid_of_no_pod_or_of_two(kubelet: Kubelet, logs: Path, names: list[str]) -> None:
    (logs / f"default_p_{UID}").rmdir()
    for name in names:
        (logs / name).mkdir()
    with pytest.raises(ShimError, match=f"does not tell which pod has the UID {UID}"):
        from_kubelet(of_docker(kubelet), "create", known(kubelet), pytest.fail)


def test_what_is_not_used_is_not_loaded() -> None:
    program = (
        "from cdi_runc.shim.decision import from_kubelet; import sys\n"
        "class Known: settings = {'requests': {'kubelet': True, 'kubelet-dir': '/k'}, 'restore': 'ignore'}\n"
        "from_kubelet({'annotations': {'cdi.k8s.io/x': 'v.com/c=0'}}, 'create', Known, print)\n"
        "print(*[name for name in sys.modules if 'kubelet' in name or name == '_socket'])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=LIB, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("\n", "")


def test_no_slow_module_is_needed() -> None:
    program = (
        "import sys; before = set(sys.modules); sys.path.insert(0, '.')\n"
        "from cdi_runc.shim.kubelet import given\n"
        "print(*{name for name in sys.modules if not name.startswith('cdi_runc')} - before)"
    )
    argv = [sys.executable, "-I", "-S", "-c", program]
    done = subprocess.run(argv, cwd=LIB, capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_a_kubelet_that_comes_back(kubelet: Kubelet) -> None:
    kubelet.gives("v.com/c", "0")
    found: list[Any] = []
    asking = threading.Thread(target=lambda: found.extend(asked(kubelet)))
    asking.start()
    time.sleep(0.1)
    with kubelet.serving():
        asking.join(20)
    assert found == GIVEN[:1]


def test_too_many_calls_at_once_are_tried_again(kubelet: Kubelet) -> None:
    kubelet.gives("v.com/c", "0")
    kubelet.refusals = 3
    with kubelet.serving():
        assert asked(kubelet) == GIVEN[:1]
    assert kubelet.asked == ["Get"] * 4


def test_without_a_kubelet_there_is_one_clear_error(kubelet: Kubelet) -> None:
    assert refusal(kubelet, deadline=1) == (
        f"{kubelet.socket}: No such file or directory, so that the devices of container main of the pod default/p are "
        "not known: start the kubelet, or set 'requests: {kubelet: false}'"
    )


def test_a_refusal_of_the_kubelet_has_its_words(kubelet: Kubelet) -> None:
    kubelet.refusals = 1000
    with kubelet.serving():
        said = refusal(kubelet, deadline=1)
    assert "the kubelet refuses to say (status 8 of gRPC: rejected by rate limit), so that" in said


def test_a_name_that_is_none(kubelet: Kubelet) -> None:
    kubelet.gives_by_claim("nonsense")
    with kubelet.serving():
        said = refusal(kubelet)
    assert said == "the kubelet names 'nonsense' for the claim default/c, which is not a CDI device name"


@pytest.mark.parametrize(
    ("annotations", "said"),
    [
        ({**CONTAINERD, **CRIO}, "the annotations are those of containerd and of CRI-O"),
        (
            {"io.kubernetes.cri.container-type": "container"},
            "the annotation io.kubernetes.cri.sandbox-namespace is missing",
        ),
        ({**CRIO, "io.kubernetes.container.name": ""}, "the annotation io.kubernetes.container.name is missing"),
        (
            {**CONTAINERD, "io.kubernetes.cri.sandbox-name": 5},
            "the annotation io.kubernetes.cri.sandbox-name is missing",
        ),
    ],
)
def test_annotations_that_do_not_tell_whose_it_is(kubelet: Kubelet, annotations: Any, said: str) -> None:
    assert refusal(kubelet, annotations).startswith(said)


def test_what_the_kubelet_gave_comes_last_and_no_device_twice(kubelet: Kubelet) -> None:
    kubelet.gives("v.com/c", "0", "1")
    config = {"annotations": {**CONTAINERD, "cdi.k8s.io/x": "v.com/c=1"}}
    host = known(kubelet)
    with kubelet.serving():
        decision = decide(config, "create", host, given=from_kubelet(config, "create", host, pytest.fail))
    assert [(request.name, request.through) for request in decision.requests] == [
        ("v.com/c=1", "annotation"),
        ("v.com/c=0", "kubelet"),
    ]
    assert [whose for whose, _ in decision.groups] == ["/etc/cdi/v.yaml", "v.com/c=1", "v.com/c=0"]


def test_a_policy_can_be_about_the_kubelet() -> None:
    rule = {"place": "policy.yaml:1", "action": "deny", "message": "", "match": {"through": ["kubelet"]}, "limits": {}}

    def rules(name: str, text: object) -> list[dict[str, Any]]:
        return [rule]

    container = Container({}, "create", "runc")
    judged([Request("v.com/c=0", "annotation", "x")], container, rules, pytest.fail)
    with pytest.raises(ShimError, match=r"v\.com/c=0: denied by the policy"):
        judged([Request("v.com/c=0", "kubelet", "resource v.com/c")], container, rules, pytest.fail)


def test_real_grpc_is_understood(kubelet: Kubelet) -> None:
    """The C core of gRPC, which codes headers and splits frames in its own way."""
    grpc = pytest.importorskip("grpc", exc_type=ImportError)  # its C core may be made for another Python
    from concurrent.futures import ThreadPoolExecutor

    kubelet.gives("v.com/c", "0")
    pods = [wire.PodResources(name="x" * 1000, namespace=str(n)) for n in range(2000)] + kubelet.pods
    answer = wire.ListPodResourcesResponse(pod_resources=pods).SerializeToString()

    def get(request: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.UNKNOWN, "pod p in namespace default not fünd")
        raise AssertionError

    handlers = {
        "Get": grpc.unary_unary_rpc_method_handler(get),
        "List": grpc.unary_unary_rpc_method_handler(lambda request, context: answer),
    }
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(LISTER.strip("/"), handlers),))
    before = os.umask(0o077)
    try:
        server.add_insecure_port(f"unix:{kubelet.socket}")
    finally:
        os.umask(before)
    server.start()
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: server.stop(None).wait(20))
        assert asked(kubelet) == GIVEN[:1]
