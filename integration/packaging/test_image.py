"""The image that installs cdi-runc on the host that it runs on, for Podman's containers and for a Kubernetes node."""

import os
from pathlib import Path

import pytest

from integration.bundles import PROBE, REQUEST, WITH, report
from integration.engines.image import FULL_NAME, make_image
from integration.engines.kubelet import Kubelet
from integration.engines.test_containerd import SETTINGS
from integration.packaging.image import IMAGE
from integration.packaging.machine import Machine

ON_HOST = f"podman run --rm --network=none --privileged --pid=host {IMAGE}"
CDICTL = "/opt/cdi-runc/bin/cdictl"


@pytest.fixture
def loaded(machine: Machine, image_archive: Path) -> Machine:
    """A machine that has the image."""
    os.link(image_archive, machine.shared / "cdi-runc.tar")
    machine.must('podman load --input "$0"/cdi-runc.tar', str(machine.shared))
    return machine


@pytest.mark.parametrize("missing", ["/nothing", "/usr/bin/python3* /usr/lib/python3*"])
def test_what_it_installs_works_and_goes_without_a_trace(loaded: Machine, missing: str) -> None:
    loaded.must(f"rm -rf {missing}")
    loaded.before = loaded.files()
    loaded.must(f"{ON_HOST} install --accept-image-annotations podman")
    assert loaded.container("/opt/cdi-runc/bin/cdi-runc") == WITH
    assert loaded.problems(CDICTL) == []
    assert "podman: cdi-runc is /opt/cdi-runc/bin/cdi-runc" in loaded.must(f"{CDICTL} engine status")
    loaded.must(f"{ON_HOST} uninstall")
    assert loaded.changes() == set()


def test_a_pod_gets_its_device(loaded: Machine) -> None:
    settings = SETTINGS.replace("  enable_cdi = {enable_cdi}\n", "")
    loaded.host.write("/etc/containerd/config.toml", settings)
    loaded.host.write("/etc/cdi/widget.json", loaded.spec)
    loaded.host.run_unit("containerd", "containerd", ready="ctr version", log=loaded.shared / "containerd.log")
    loaded.before = loaded.files()
    for _ in range(2):
        loaded.must(f"{ON_HOST} install containerd")
    assert loaded.host.restarts("containerd") == 1

    image = make_image(loaded.shared)
    loaded.must('ctr --namespace k8s.io images import --snapshotter=native "$0"', str(image))
    kubelet = Kubelet(loaded.host.path("/run/containerd/containerd.sock"), FULL_NAME, loaded.shared / "pods")
    pod = kubelet.run_pod(REQUEST)
    assert report(kubelet.run_container(pod, ["sh", "-c", PROBE])) == WITH

    assert "not removed, since an engine still needs it" in loaded.run(f"{ON_HOST} uninstall").stderr
    kubelet.close()
    loaded.must(f"{ON_HOST} uninstall")
    assert loaded.host.restarts("containerd") == 2
    assert loaded.host.path("/etc/containerd/config.toml").read_text() == settings
    assert {line for line in loaded.changes() if "containerd" not in line} == set()


def test_the_kubelet_is_asked_as_told_and_no_more_after_the_end(loaded: Machine) -> None:
    path, ours = "/etc/cdi-runc/config.yaml", "requests: {kubelet: true, kubelet-dir: /k}"
    loaded.before = loaded.files()
    loaded.must(f"{ON_HOST} install")
    shipped = loaded.must(f"cat {path}")
    for _ in range(2):
        loaded.must(f"{ON_HOST} kubelet on /k")
    assert loaded.must(f"cat {path}") == f"{shipped}{ours} # written by on-host kubelet on\n"
    assert loaded.must(f"stat -c %a {path}") == "644\n"
    loaded.must(f"{ON_HOST} kubelet on")
    assert "kubelet-dir: /var/lib/kubelet}" in loaded.must(f"grep ^requests {path}")
    loaded.must(f"{ON_HOST} kubelet off")
    assert loaded.must(f"cat {path}") == shipped
    loaded.host.write(path, "requests:\n  env: X\n")
    assert "has requests of its own: write 'kubelet: true'" in loaded.run(f"{ON_HOST} kubelet on").stderr
    loaded.host.write(path, "requests:\n  kubelet: true\n")
    loaded.must(f"{ON_HOST} kubelet on")
    assert loaded.must(f"cat {path}") == "requests:\n  kubelet: true\n"
    loaded.host.write(path, shipped)
    loaded.must(f"{ON_HOST} kubelet on")
    loaded.must(f"{ON_HOST} uninstall")
    assert loaded.changes() == set()


def test_an_engine_that_is_none_is_named_before_anything_is_done(loaded: Machine) -> None:
    loaded.before = loaded.files()
    assert "'dokcer' is no engine that cdi-runc knows" in loaded.run(f"{ON_HOST} install podman dokcer").stderr
    assert loaded.changes() == set()


def test_it_must_see_the_host(loaded: Machine) -> None:
    done = loaded.run(f"podman run --rm --network=none --privileged {IMAGE} install")
    assert (done.returncode, "run it with --pid=host" in done.stderr) == (1, True)


def test_it_turns_the_making_of_specs_on_and_off(loaded: Machine) -> None:
    loaded.must(f"{ON_HOST} install")
    assert "this host has no systemd" in loaded.run(f"{ON_HOST} generate on").stderr
    loaded.must("mkdir -p /run/systemd/system")
    loaded.host.write("/usr/bin/systemctl", '#!/bin/sh\necho "$@" >> /run/systemctl.log\n')
    loaded.must(f"{ON_HOST} generate on")
    assert loaded.must("cat /run/systemctl.log") == "daemon-reload\nenable --now cdi-runc-generate.service\n"
    service = loaded.must("cat /etc/systemd/system/cdi-runc-generate.service")
    assert "ExecStart=/opt/cdi-runc/bin/cdictl generate --write\n" in service
    loaded.must("cat /etc/systemd/system/cdi-runc-generate-changed.service")
    loaded.must("cat /etc/udev/rules.d/70-cdi-runc-generate.rules")
    for _ in range(2):
        loaded.must(f"{ON_HOST} generate off")
    left = "ls /etc/systemd/system/cdi-runc-generate* /etc/udev/rules.d/70-cdi-runc-generate.rules"
    assert loaded.run(left).stdout == ""
