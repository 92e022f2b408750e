import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cdi_runc.ctl.why import containers, explain
from cdi_runc.ctl.why.containers import Container
from cdi_runc.ctl.why.live import access, node_in
from tests.ctl.conftest import Cdictl
from tests.kubernetes.pod_resources import Kubelet

Bundle = Callable[[dict[str, Any]], Path]


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Makes a bundle of a config and gives its directory back."""

    def make(config: dict[str, Any]) -> Path:
        directory = tmp_path / "bundle"
        directory.mkdir()
        (directory / "config.json").write_text(json.dumps(config))
        return directory

    return make


@pytest.fixture(autouse=True)
def no_engine_but_a_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PATH holds a runc, and no Docker or Podman to ask for a container's name."""
    runtime = tmp_path / "bin" / "runc"
    runtime.parent.mkdir()
    runtime.write_text("#!/bin/sh\n")
    runtime.chmod(0o755)
    monkeypatch.setenv("PATH", str(runtime.parent))


def asks(value: str, key: str = "cdi.k8s.io/x") -> dict[str, Any]:
    return {"annotations": {key: value}}


MOUNT = {"mounts": [{"destination": "/cdi/vendor.com/gpu/0", "source": "/dev/null", "type": "bind"}]}


POD = {
    "io.kubernetes.cri.container-type": "container",
    "io.kubernetes.cri.sandbox-namespace": "default",
    "io.kubernetes.cri.sandbox-name": "p",
    "io.kubernetes.cri.container-name": "main",
}


@pytest.fixture
def kubelet(tmp_path: Path) -> Iterator[Kubelet]:
    """A kubelet that is asked."""
    with tempfile.TemporaryDirectory() as directory:
        (tmp_path / "config.yaml").write_text(
            f"requests: {{kubelet: true, kubelet-dir: {directory}, kubelet-deadline: 1}}\n"
        )
        yield Kubelet(directory)


def said(cdictl: Cdictl, tmp_path: Path, *args: str | Path) -> list[str]:
    result = cdictl("--config", tmp_path / "config.yaml", *args)
    return [line.strip() for line in result.stdout.splitlines()]


def test_what_the_kubelet_gave(cdictl: Cdictl, bundle: Bundle, kubelet: Kubelet, tmp_path: Path) -> None:
    kubelet.gives("vendor.com/gpu", "1")
    config = bundle({"annotations": POD})
    with kubelet.serving():
        lines = said(cdictl, tmp_path, "explain", "bundle", config)
        assert lines[0] == "nothing is wrong"
        assert "-> the kubelet gave it vendor.com/gpu=1, by the resource vendor.com/gpu" in lines
        assert "-> cdi-runc will make the edits of vendor.com/gpu=1" in lines
        assert '+ process.env[0]: "GPU1=yes"' in said(cdictl, tmp_path, "diff", config)
        assert said(cdictl, tmp_path, "policy", "test", config)[0].startswith("vendor.com/gpu=1: allowed")
        kubelet.pods.clear()
        lines = said(cdictl, tmp_path, "explain", "bundle", config)
        assert "-> the kubelet has no pod default/p, so that it gave no device to container main" in lines


def test_a_kubelet_that_does_not_answer_is_the_cause(
    cdictl: Cdictl, bundle: Bundle, kubelet: Kubelet, tmp_path: Path
) -> None:
    result = cdictl(
        "--config", tmp_path / "config.yaml", "explain", "bundle", bundle({"annotations": POD}), "-o", "json"
    )
    [cause] = json.loads(result.stdout)["causes"]
    assert cause.startswith(f"{kubelet.socket}: No such file or directory, so that the devices of container main of")


def test_a_container_of_a_pod_whose_kubelet_is_not_asked(cdictl: Cdictl, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("")
    lines = said(cdictl, tmp_path, "explain", "bundle", bundle({"annotations": POD}))
    assert "-> the kubelet is not asked for the container's devices: 'requests: {kubelet: true}' does that" in lines


@pytest.mark.parametrize(
    ("config", "cause"),
    [
        (asks("vendor.com/gpu=O"), "defines vendor.com/gpu=O; did you mean vendor.com/gpu="),
        (asks("vendor.con/gpu=0"), "defines vendor.con/gpu=0; did you mean vendor.com/gpu=0?"),
        (
            asks("gpu=0"),
            "is not a qualified device name (vendor.com/class=name): it has no vendor; did you mean vendor",
        ),
        (asks("vendor.com/gpu:0"), "it has no device name; did you mean vendor.com/gpu=0?"),
        (asks("vendor.com/gpu=0, vendor.com/gpu=1"), "annotation 'cdi.k8s.io/x': ' vendor.com/gpu=1' is not a qual"),
        (
            asks("vendor.com/gpu=0", "cdi.k8.io/x"),
            "annotation cdi.k8.io/x is not a request, because of its prefix; did you mean",
        ),
        (asks("vendor.com/gpu=0", "cdi.k8s.io.x"), "annotation cdi.k8s.io.x names the device vendor.com/gpu=0, but is"),
        (asks("vendor.com/gpu=0", "gpu"), "is not a request; cdi.k8s.io/gpu would be"),
        ({}, "the container asks for no device: that is done by annotations with cdi.k8s.io/"),
        ({"process": {"env": ["CDI_DEVICES=vendor.com/gpu=0"]}}, "the variable CDI_DEVICES=vendor.com/gpu=0 is no"),
        (MOUNT, "the mount to /cdi/vendor.com/gpu/0 is not a request unless config.yaml says so"),
        (
            {"annotations": {"io.kubernetes.cri.container-type": "sandbox", "cdi.k8s.io/x": "vendor.com/gpu=0"}},
            "a pod's sandbox gets no devices, so not vendor.com/gpu=0",
        ),
        ({"annotations": ["cdi"]}, "config.json: annotations: expected an object"),
        ({**asks("vendor.com/gpu=0"), "process": {"env": 1}}, "process.env in the OCI config is a number"),
    ],
    ids=str,
)
def test_the_cause_is_in_the_first_lines(cdictl: Cdictl, bundle: Bundle, config: dict[str, Any], cause: str) -> None:
    result = cdictl("explain", "bundle", bundle(config))
    assert result.exit_code == ("problem: " in result.stdout)
    assert cause in "\n".join(result.stdout.splitlines()[:3])
    assert result.stdout.count("problem: ") == len(set(result.stdout.split("problem: ")[1:]))


def test_a_device_in_conflict(cdictl: Cdictl, bundle: Bundle, spec_dir: Path) -> None:
    shutil.copy(spec_dir / "gpu.json", spec_dir / "same.json")
    first, *_ = cdictl("explain", "bundle", bundle(asks("vendor.com/gpu=0"))).stdout.splitlines()
    files = f"{spec_dir}/gpu.json and in {spec_dir}/same.json"
    assert first == f"problem: vendor.com/gpu=0 is defined twice: in {files}"


def test_a_spec_that_is_refused_is_named_where_a_device_is_missing(
    cdictl: Cdictl, bundle: Bundle, spec_dir: Path
) -> None:
    (spec_dir / "nic.yaml").write_text("kind: 1\n")
    first, *_ = cdictl("explain", "bundle", bundle(asks("v.com/nic=a"))).stdout.splitlines()
    assert first.startswith(f"problem: no spec file in {spec_dir} defines v.com/nic=a; not used: {spec_dir}/nic.yaml:")


def test_a_container_that_gets_its_device(cdictl: Cdictl, bundle: Bundle, spec_dir: Path) -> None:
    directory = bundle(asks("vendor.com/gpu=0"))
    lines = cdictl("explain", "bundle", directory).stdout.splitlines()
    assert lines[0] == "nothing is wrong"
    assert lines[-2:] == ["  -> cdi-runc will make the edits of vendor.com/gpu=0", "       variable     GPU0=yes"]
    cdictl("inject", "--in-place", "--config", directory / "config.json", "vendor.com/gpu=0")
    lines = cdictl("explain", "bundle", directory).stdout.splitlines()
    assert lines[-2] == "  -> the edits of vendor.com/gpu=0 are in config.json"
    assert f"  -> vendor.com/gpu=0 is defined by {spec_dir}/gpu.json" in lines


def test_a_device_that_stands_in_the_config_unasked_for(cdictl: Cdictl, bundle: Bundle) -> None:
    lines = cdictl("explain", "bundle", bundle({"process": {"env": ["GPU1=yes"]}})).stdout.splitlines()
    assert lines[0] == "nothing is wrong"
    assert "  -> vendor.com/gpu=1: asked for by a mount that is taken out, or made by the engine itself" in lines


def test_a_request_by_a_mount(cdictl: Cdictl, bundle: Bundle, tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("requests: {mounts: /cdi}\n")
    lines = cdictl("--config", settings, "explain", "bundle", bundle(MOUNT)).stdout.splitlines()
    assert "  -> mount /cdi/vendor.com/gpu/0 asks for vendor.com/gpu=0" in lines


def test_for_programs(cdictl: Cdictl, bundle: Bundle) -> None:
    found = json.loads(cdictl("explain", "bundle", bundle(asks("gpu=0")), "-o", "json").stdout)
    assert found.keys() == {"subject", "causes", "steps"}
    assert [step["text"] for step in found["steps"] if step["level"] == "problem"] == found["causes"]


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"[]", b"{"], ids=str)
def test_a_config_that_is_none_is_the_cause(cdictl: Cdictl, tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)
    first, *_ = cdictl("explain", "bundle", tmp_path).stdout.splitlines()
    assert first.startswith(f"problem: {tmp_path}/config.json: ")


def test_a_device(cdictl: Cdictl, spec_dir: Path) -> None:
    assert cdictl("explain", "device", "vendor.com/gpu=0").stdout.startswith("nothing is wrong\n")
    edits = {"deviceNodes": [{"path": "/dev/none"}]}
    spec = {"cdiVersion": "0.3.0", "kind": "v.com/nic", "devices": [{"name": "a", "containerEdits": edits}]}
    (spec_dir / "nic.json").write_text(json.dumps(spec))
    first, *_ = cdictl("explain", "device", "v.com/nic=a").stdout.splitlines()
    assert first == "problem: v.com/nic=a: host device '/dev/none': No such file or directory"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory where runtimes keep their state and engines their bundles, in the place of this host's."""
    monkeypatch.setattr(containers, "ROOTS", (f"{tmp_path}/run/*",))
    monkeypatch.setattr(containers, "BUNDLES", (f"{tmp_path}/tasks/{{id}}",))
    return tmp_path


@pytest.mark.parametrize(
    ("file", "state_of"),
    [
        ("runc/abc123/state.json", {"init_process_pid": 1, "config": {"labels": ["x=y", "bundle={bundle}"]}}),
        ("crun/abc123/status", {"pid": 1, "bundle": "{bundle}"}),
        ("youki/abc123/state.json", {"pid": 1, "bundle": "{bundle}"}),
    ],
)
def test_a_container_is_found_by_its_runtimes_state(
    state: Path, bundle: Bundle, file: str, state_of: dict[str, Any]
) -> None:
    directory = bundle({})
    path = state / "run" / file
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(state_of).replace("{bundle}", str(directory)))
    assert containers.find("abc") == containers.find("abc123") == Container("abc123", str(directory), 1)


def test_a_container_of_two_places_is_the_one_that_its_runtime_was_given(state: Path, bundle: Bundle) -> None:
    """CRI-O keeps a second config.json of each, as it was before the runtime came."""
    directory = bundle({})
    (state / "tasks/abc123").mkdir(parents=True)
    (state / "tasks/abc123/config.json").write_text("{}")
    (state / "run/runc/abc123").mkdir(parents=True)
    (state / "run/runc/abc123/state.json").write_text(json.dumps({"pid": 1, "bundle": str(directory)}))
    assert containers.find("abc") == containers.find("abc123") == Container("abc123", str(directory), 1)


def test_a_container_is_found_by_its_bundle(cdictl: Cdictl, state: Path) -> None:
    for name in ("abc1", "abc2"):
        (state / "tasks" / name).mkdir(parents=True)
        (state / "tasks" / name / "config.json").write_text(json.dumps(asks("gpu=0")))
    assert cdictl("explain", "container", "abc1").stdout.startswith("problem: annotation 'cdi.k8s.io/x': 'gpu=0' is")
    assert cdictl("explain", "container", "abc").stderr.startswith("cdictl: abc is the beginning of abc")
    assert cdictl("explain", "container", "x").stderr.startswith("cdictl: no container x found on this host. ")


def test_the_last_container(
    cdictl: Cdictl, state: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refused: dict[str, Any] | None = None
    monkeypatch.setattr(explain, "_refused", lambda options: refused)
    assert cdictl("explain", "last").stderr == "cdictl: there is no container, and none was refused\n"
    (state / "tasks/old").mkdir(parents=True)
    (state / "tasks/old/config.json").write_text("{}")
    os.utime(state / "tasks/old/config.json", (1, 1))
    assert f"container old, {state}/tasks/old/config.json" in cdictl("explain", "last").stdout
    refused = {"time": 2, "bundle": str(tmp_path / "gone"), "message": "no such thing"}
    assert cdictl("explain", "last").stdout.startswith("problem: no such thing\n")
    refused["bundle"] = str(bundle(asks("gpu=0")))
    assert cdictl("explain", "last").stdout.splitlines()[:2] == [
        "problem: no such thing",
        "problem: annotation 'cdi.k8s.io/x': 'gpu=0' is not a qualified device name (vendor.com/class=name): it has no "
        "vendor; did you mean vendor.com/gpu=0?",
    ]


def test_the_nodes_of_a_process() -> None:
    node = node_in(os.getpid(), "/dev/null")
    assert str(node) == "c 1:3"
    assert node_in(os.getpid(), "/dev/none") is None
    assert node_in(os.getpid(), "/etc/passwd") is None
    assert node is not None
    assert access(os.getpid(), node)[0] is not False
