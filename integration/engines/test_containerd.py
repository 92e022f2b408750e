"""containerd: 1.6 and 1.7, by hand with `ctr run`, and as a Kubernetes node with the files of packaging/kubernetes."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from integration.bundles import PROBE, REQUEST, WIDGET, WITH, WITHOUT, report
from integration.engines.conftest import SETTINGS as SHIM_SETTINGS
from integration.engines.devices import NEVER, ONCE, WRONG, Widget
from integration.engines.host import Host
from integration.engines.image import FULL_NAME
from integration.engines.kubelet import Error, Kubelet
from tests.kubernetes.pod_resources import Kubelet as PodResources

TREE = Path(__file__).resolve().parents[2]
KUBERNETES = TREE / "packaging/kubernetes"

# What a node has before cdi-runc comes. The last four lines are for a machine without AppArmor, without the right to
# lower an OOM score, and with a stack of file systems below.
SETTINGS = f"""
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{FULL_NAME}"
  enable_cdi = {{enable_cdi}}
  disable_apparmor = true
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
"""


class Containerd:
    """A containerd in a machine to spoil, with the handler cdi-runc as packaging/kubernetes has it."""

    def __init__(self, host: Host, image: Path) -> None:
        """Starts the daemon and imports the image, for `ctr` and for Kubernetes."""
        self.host = host
        self.version = host.version("containerd", "--version")
        # The widget's spec is of 0.7.0, of 2024: an older CDI would refuse whoever asks for the widget.
        self.has_cdi = self.version >= (1, 7, 24)
        handler = (KUBERNETES / "containerd.toml").read_text()
        settings = SETTINGS if self.version >= (1, 7) else SETTINGS.replace("  enable_cdi = {enable_cdi}\n", "")
        host.write("/etc/containerd/config.toml", settings.format(enable_cdi=str(self.has_cdi).lower()) + handler)
        log = host.shared / "containerd.log"
        daemon = host.start("containerd", log=log)
        host.wait_for("ctr", "version", daemon=daemon, log=log)
        for namespace in ("default", "k8s.io"):
            self("--namespace", namespace, "images", "import", "--snapshotter=native", str(image))

    def __call__(self, *args: str, expect: int = 0) -> "subprocess.CompletedProcess[str]":
        """Runs a command of ctr's, which must end with the status `expect`."""
        done = self.host.run("ctr", *args)
        assert done.returncode == expect, done.stderr
        return done

    def run(self, *options: str, expect: int = 0) -> "subprocess.CompletedProcess[str]":
        """Runs the probe with `ctr run`."""
        shim = ("--snapshotter=native", "--runc-binary=/usr/local/bin/cdi-runc")
        return self("run", "--rm", *shim, *options, FULL_NAME, "probe", "sh", "-c", PROBE, expect=expect)

    def sandbox_config(self, pod: str) -> dict[str, Any]:
        """The OCI config of a running pod's own container."""
        path = f"/run/containerd/io.containerd.runtime.v2.task/k8s.io/{pod}/config.json"
        config: dict[str, Any] = json.loads(self.host.path(path).read_text())
        return config


@pytest.fixture(scope="module")
def containerd(host: Host, image: Path, the_widget: Widget) -> Containerd:
    if not host.has("containerd"):
        pytest.skip("containerd is not installed (make engines)")
    if host.version("containerd", "--version") >= (2, 0):
        pytest.skip("containerd 2 has another config, and was tried by hand (docs/engines.md)")
    return Containerd(host, image)


@pytest.fixture(scope="module")
def kubelet(containerd: Containerd) -> Iterator[Kubelet]:
    host = containerd.host
    kubelet = Kubelet(host.path("/run/containerd/containerd.sock"), FULL_NAME, host.shared / "pods")
    yield kubelet
    kubelet.close()


def test_ctr_run_with_an_annotation(containerd: Containerd, widget: Widget) -> None:
    done = containerd.run("--annotation", f"cdi.k8s.io/test={WIDGET}")

    assert report(done.stdout) == WITH
    assert (widget.standing(), widget.runs()) == (ONCE, 1)


def test_ctr_run_without(containerd: Containerd, widget: Widget) -> None:
    assert report(containerd.run().stdout) == WITHOUT
    assert widget.runs() == 0


@pytest.mark.parametrize("kind", WRONG)
def test_user_of_ctr_sees_what_is_wrong(containerd: Containerd, complaints: dict[str, str], kind: str) -> None:
    device, _ = WRONG[kind]
    done = containerd.run("--annotation", f"cdi.k8s.io/test={device}", expect=1)

    assert complaints[kind] in done.stderr


def test_pod_that_asks(containerd: Containerd, kubelet: Kubelet, widget: Widget) -> None:
    """Each container of the pod gets the widget, and the pod's own container, which sees the same request, does not."""
    pod = kubelet.run_pod(REQUEST)

    for runs in (1, 2):
        assert report(kubelet.run_container(pod, ["sh", "-c", PROBE])) == WITH
        assert (widget.standing(), widget.runs()) == (ONCE, runs)
    sandbox = containerd.sandbox_config(pod)
    assert REQUEST.items() <= sandbox["annotations"].items()
    assert widget.standing_in(sandbox) == NEVER


def test_container_that_asks(kubelet: Kubelet, widget: Widget) -> None:
    pod = kubelet.run_pod()

    assert report(kubelet.run_container(pod, ["sh", "-c", PROBE], REQUEST)) == WITH
    assert (widget.standing(), widget.runs()) == (ONCE, 1)
    assert report(kubelet.run_container(pod, ["sh", "-c", PROBE])) == WITHOUT


def test_pod_that_does_not_ask_has_nothing(kubelet: Kubelet, widget: Widget) -> None:
    kubelet.run_pod(REQUEST)
    pod = kubelet.run_pod()

    assert report(kubelet.run_container(pod, ["sh", "-c", PROBE])) == WITHOUT
    assert widget.runs() == 0


@pytest.mark.parametrize("kind", WRONG)
def test_kubelet_is_told_what_is_wrong(kubelet: Kubelet, complaints: dict[str, str], kind: str) -> None:
    """The error is what `kubectl describe pod` shows."""
    device, _ = WRONG[kind]
    pod = kubelet.run_pod({"cdi.k8s.io/test": device})

    with pytest.raises(Error) as raised:
        kubelet.run_container(pod, ["true"])

    assert complaints[kind] in str(raised.value.details())


def test_field_of_the_cri_for_devices(containerd: Containerd, kubelet: Kubelet, widget: Widget) -> None:
    """containerd makes the edits; an annotation for the same device beside the field makes none twice."""
    if not containerd.has_cdi:
        pytest.skip("this containerd has no CDI, or one of before 2024, which does not know the widget's spec")
    for annotations in ({}, REQUEST):
        widget.forget()
        pod = kubelet.run_pod(annotations)

        assert report(kubelet.run_container(pod, ["sh", "-c", PROBE], devices=[WIDGET])) == WITH
        assert (widget.standing(), widget.runs()) == (ONCE, 1)


@pytest.fixture
def pod_resources(containerd: Containerd) -> Iterator[PodResources]:
    """What this node's kubelet gave away, of which containerd learns nothing; cdi-runc asks it."""
    host = containerd.host
    host.write("/etc/cdi-runc/config.yaml", f"{SHIM_SETTINGS}  kubelet: true\n  kubelet-deadline: 2\n")
    found = PodResources(host.path("/var/lib/kubelet"))
    found.pods[0].name = f"pod-{time.monotonic_ns()}"
    yield found
    host.write("/etc/cdi-runc/config.yaml", SHIM_SETTINGS)


@pytest.mark.parametrize("way", ["claim", "device plugin", "device plugin, no Get"])
def test_devices_that_only_the_kubelet_knows(
    containerd: Containerd, kubelet: Kubelet, pod_resources: PodResources, widget: Widget, way: str
) -> None:
    pod_resources.has_get = way != "device plugin, no Get"
    if way == "claim":
        pod_resources.gives_by_claim(WIDGET)
    else:
        pod_resources.gives("example.com/widget", "one::0")
    pod_resources.container("other")
    with pod_resources.serving():
        pod = kubelet.run_pod(name=pod_resources.pods[0].name)
        assert report(kubelet.run_container(pod, ["sh", "-c", PROBE], name="main")) == WITH
        assert (widget.standing(), widget.runs()) == (ONCE, 1)
        assert report(kubelet.run_container(pod, ["sh", "-c", PROBE], name="other")) == WITHOUT
        assert report(kubelet.run_container(pod, ["sh", "-c", PROBE], name="init")) == WITHOUT
        asked = len(pod_resources.asked)
        assert asked == 3
        kubelet.run_pod()  # the pause container alone asks for nothing
        containerd.run()
    assert len(pod_resources.asked) == asked
    assert widget.standing_in(containerd.sandbox_config(pod)) == NEVER


def test_what_the_engine_injected_too_is_there_once(
    containerd: Containerd, kubelet: Kubelet, pod_resources: PodResources, widget: Widget
) -> None:
    devices = [WIDGET] if containerd.has_cdi else []
    pod_resources.gives_by_claim(WIDGET)
    with pod_resources.serving():
        pod = kubelet.run_pod(REQUEST, name=pod_resources.pods[0].name)
        assert report(kubelet.run_container(pod, ["sh", "-c", PROBE], devices=devices, name="main")) == WITH
    assert (widget.standing(), widget.runs()) == (ONCE, 1)


def test_without_the_kubelet_no_container_of_a_pod_starts_and_all_others_do(
    containerd: Containerd, kubelet: Kubelet, pod_resources: PodResources, widget: Widget
) -> None:
    name = pod_resources.pods[0].name
    pod = kubelet.run_pod(name=name)  # the pause container needs no answer
    with pytest.raises(Error) as raised:
        kubelet.run_container(pod, ["true"], name="main")
    said = str(raised.value.details())
    assert "kubelet.sock: No such file or directory, so that the devices" in said
    assert f"of container main of the pod default/{name} are not known" in said
    assert report(containerd.run().stdout) == WITHOUT
    pod_resources.container("main")
    with pod_resources.serving():  # and with its next try all is well
        assert report(kubelet.run_container(pod, ["sh", "-c", PROBE], name="main")) == WITHOUT


def test_runtime_class_names_the_handler() -> None:
    runtime_class = yaml.safe_load((KUBERNETES / "runtimeclass.yaml").read_text())
    pod = yaml.safe_load((KUBERNETES / "pod.yaml").read_text())

    assert f"runtimes.{runtime_class['handler']}]" in (KUBERNETES / "containerd.toml").read_text()
    assert pod["spec"]["runtimeClassName"] == runtime_class["metadata"]["name"]
