"""`cdictl explain pod`, with a stand-in for the kubelet's pod-resources and bundles as an engine makes them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cdi_runc.ctl.why import containers
from cdi_runc.kubernetes.wire import podresources_pb2 as wire
from tests.ctl.conftest import Cdictl
from tests.kubernetes.pod_resources import Kubelet


@pytest.fixture
def kubelet() -> Iterator[Kubelet]:
    with tempfile.TemporaryDirectory() as directory:
        yield Kubelet(directory)


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The config of the pod's container; what the test puts into it counts."""
    monkeypatch.setattr(containers, "BUNDLES", (f"{tmp_path}/task/{{id}}",))
    monkeypatch.setattr(containers, "ROOTS", ())
    annotations = {
        "io.kubernetes.cri.sandbox-name": "p",
        "io.kubernetes.cri.sandbox-namespace": "default",
        "io.kubernetes.cri.container-name": "main",
    }
    return {"annotations": annotations, "process": {"env": []}}


def explain(kubelet: Kubelet, cdictl: Cdictl, tmp_path: Path, config: dict[str, Any] | None, pod: str = "p") -> Any:
    """What cdictl says of the pod."""
    if config:
        (tmp_path / "task/c1").mkdir(parents=True)
        (tmp_path / "task/c1/config.json").write_text(json.dumps(config))
    with kubelet.serving():
        done = cdictl("explain", "pod", f"default/{pod}", "--kubelet-dir", str(kubelet.directory), "-o", "json")
        return json.loads(done.stdout)


@pytest.mark.parametrize("has_get", [True, False])
def test_a_device_that_the_engine_put_there(
    has_get: bool, kubelet: Kubelet, bundle: dict[str, Any], cdictl: Cdictl, tmp_path: Path
) -> None:
    kubelet.has_get = has_get
    kubelet.container(devices=[wire.ContainerDevices(resource_name="vendor.com/gpu", device_ids=["1"])])
    bundle["process"]["env"] = ["GPU1=yes"]
    said = explain(kubelet, cdictl, tmp_path, bundle)
    assert said["causes"] == []
    assert [step["text"] for step in said["steps"]] == [
        "container main: the kubelet gave it 1 of vendor.com/gpu",
        "vendor.com/gpu=1 is in the container, put there by the engine",
    ]


def test_an_annotation_asks_for_it_too(
    kubelet: Kubelet, bundle: dict[str, Any], cdictl: Cdictl, tmp_path: Path
) -> None:
    kubelet.container(devices=[wire.ContainerDevices(resource_name="vendor.com/gpu", device_ids=["1::0"])])
    bundle["process"]["env"] = ["GPU1=yes"]
    bundle["annotations"]["cdi.k8s.io/x"] = "vendor.com/gpu=1"
    said = explain(kubelet, cdictl, tmp_path, bundle)
    assert said["steps"][-1]["text"].endswith("cdi-runc or the engine: annotation cdi.k8s.io/x asks for it")


def test_the_kubelet_was_asked(kubelet: Kubelet, bundle: dict[str, Any], cdictl: Cdictl, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("requests: {kubelet: true}\n")
    kubelet.gives("vendor.com/gpu", "1")
    bundle["process"]["env"] = ["GPU1=yes"]
    said = explain(kubelet, partial(cdictl, "--config", tmp_path / "config.yaml"), tmp_path, bundle)
    assert said["steps"][-1]["text"].endswith("put there by cdi-runc, which asks the kubelet, or the engine")


def test_an_engine_that_dropped_the_name_silently(
    kubelet: Kubelet, bundle: dict[str, Any], cdictl: Cdictl, tmp_path: Path
) -> None:
    resource = wire.ClaimResource(device_name="gpu-0", cdi_devices=[wire.CDIDevice(name="vendor.com/gpu=0")])
    claim = wire.DynamicResource(claim_name="c", claim_namespace="default", claim_resources=[resource])
    kubelet.container(dynamic_resources=[claim])
    said = explain(kubelet, cdictl, tmp_path, bundle)
    assert said["steps"][0]["text"] == "container main: the kubelet gave it gpu-0 of claim default/c"
    [cause] = said["causes"]
    assert cause.startswith("vendor.com/gpu=0 did not reach the container: its engine does not know")


def test_a_device_whose_spec_is_gone(kubelet: Kubelet, bundle: dict[str, Any], cdictl: Cdictl, tmp_path: Path) -> None:
    kubelet.container(devices=[wire.ContainerDevices(resource_name="vendor.com/gpu", device_ids=["9"])])
    assert explain(kubelet, cdictl, tmp_path, bundle)["causes"] == ["vendor.com/gpu=9 is in no usable spec file now"]


def test_a_resource_of_somebody_else(kubelet: Kubelet, bundle: dict[str, Any], cdictl: Cdictl, tmp_path: Path) -> None:
    kubelet.container(devices=[wire.ContainerDevices(resource_name="other.com/nic", device_ids=["0"])])
    said = explain(kubelet, cdictl, tmp_path, bundle)
    assert said["causes"] == []
    assert "is of no CDI spec on this node" in said["steps"][-1]["text"]


def test_a_container_that_is_not_on_this_host(kubelet: Kubelet, cdictl: Cdictl, tmp_path: Path) -> None:
    kubelet.container(devices=[wire.ContainerDevices(resource_name="vendor.com/gpu", device_ids=["0"])])
    said = explain(kubelet, cdictl, tmp_path, None)
    assert [step["level"] for step in said["steps"]] == ["ok", "warning"]


def test_a_pod_that_the_kubelet_does_not_know(kubelet: Kubelet, cdictl: Cdictl, tmp_path: Path) -> None:
    said = explain(kubelet, cdictl, tmp_path, None, "q")
    assert said["causes"] == ["the kubelet of this node has no pod default/q"]


def test_no_kubelet(cdictl: Cdictl, tmp_path: Path) -> None:
    done = cdictl("explain", "pod", "p", "--kubelet-dir", str(tmp_path), "-o", "json")
    assert done.exit_code == 1
    [cause] = json.loads(done.stdout)["causes"]
    assert cause.startswith("the kubelet cannot be asked")
    assert "No such file" in cause
