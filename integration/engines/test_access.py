"""`cdictl who`, `cdictl log` and the lines of audit, with containers of real engines.

Every field of a line is looked at, for each engine: what the engine's containers do not tell, is empty.
"""

import contextlib
import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest

from integration.bundles import REQUEST, WIDGET, make_bundle, make_rootfs, oci_config
from integration.engines.cdictl import TREE, cdictl_argv
from integration.engines.conftest import SETTINGS
from integration.engines.devices import OLDER
from integration.engines.host import Host
from integration.engines.image import FULL_NAME, NAME
from integration.engines.test_attacks import engine as engine  # fixtures
from integration.engines.test_containerd import Containerd
from integration.engines.test_containerd import containerd as containerd
from integration.engines.test_containerd import kubelet as kubelet
from integration.engines.test_docker import Docker
from integration.engines.test_docker import docker as docker
from integration.engines.test_podman import Podman
from integration.engines.test_podman import configured as configured
from integration.engines.test_podman import podman as podman

LOG = "/var/log/cdi-runc.log"
KINDS = ["additionalGids", "deviceNodes", "env", "hooks", "mounts"]
MARKER = ["-v", "/dev/null:/var/run/cdi-devices/example.com/widget/one"]


class Access:
    """What cdictl says on a host whose decisions are written down."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def cdictl(self, command: str, *arguments: str) -> Any:
        """What `cdictl COMMAND -o json` prints."""
        done = self.host.run(*cdictl_argv(self.host), command, *arguments, "-o", "json", env={"PYTHONPATH": str(TREE)})
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def holders(self) -> dict[str, dict[str, Any]]:
        """The containers that have the widget, by id."""
        return {row["container"]: row for row in self.cdictl("who", WIDGET)["containers"]}

    def decisions(self) -> dict[str, dict[str, Any]]:
        """The lines of audit, by the container's id."""
        return {entry["container"]: entry for entry in self.cdictl("log")["decisions"]}

    def check(self, container: str, through: str, where: str, names: dict[str, str], runtime: str = "runc") -> None:
        """All fields of the line about a container that got the widget, and what `who` says of it."""
        entry = self.decisions()[container]
        spec = self.host.path("/etc/cdi/widget.json").read_bytes()
        assert entry.pop("time").endswith("Z")
        assert (entry.pop("cpu_ms") > 0, entry.pop("ms") >= 0) == (True, True)
        expected = {"container": container, "command": "create", "runtime": runtime, "allowed": True, "reason": ""}
        expected |= {"engine": "", "namespace": "", "pod": "", "name": "", "image": "", **names}
        assert entry == {
            **expected,
            "requests": [{"device": WIDGET, "through": through, "where": where}],
            "devices": [WIDGET],
            "rules": {},
            "specs": {"/etc/cdi/widget.json": sha256(spec).hexdigest()},
            "edits": KINDS,
        }
        holder = self.holders()[container]
        assert holder["nodes"] == ["/dev/widget"]
        assert {key: holder[key] for key in ("engine", "namespace", "pod", "name")} == {
            key: expected[key] for key in ("engine", "namespace", "pod", "name")
        }


@pytest.fixture
def access(host: Host, widget: object) -> Iterator[Access]:
    host.write("/etc/cdi-runc/config.yaml", f"{SETTINGS}audit: file:{LOG}\n")
    host.run("rm", "-f", LOG)
    yield Access(host)
    host.write("/etc/cdi-runc/config.yaml", SETTINGS)


def test_docker_and_podman(engine: Docker | Podman, access: Access) -> None:
    started = {}
    ways = {"asked": MARKER, "native": ["--device", "/dev/kmsg:/dev/mine"], "without": []}
    if isinstance(engine, Podman) or engine.version >= 25:
        ways["cdi"] = ["--device", OLDER]  # by the engine's own CDI; its node is the widget's
    for how, options in ways.items():
        started[how] = engine("run", "--detach", "--name", how, *options, NAME, "sleep", "600").stdout.strip()
    try:
        names = {"docker": {"engine": "docker", "name": "asked", "image": NAME}}
        names["podman"] = {"engine": "podman", "name": "asked", "image": f"localhost/{NAME}"}
        where = "/var/run/cdi-devices/example.com/widget/one"
        access.check(started["asked"], "mount", where, names["docker" if isinstance(engine, Docker) else "podman"])
        holders = access.holders()
        assert {how for how, container in started.items() if container in holders} == ways.keys() - {"without"}
        assert holders[started["native"]]["nodes"] == ["/dev/mine"]
        assert {how for how, container in started.items() if container in access.decisions()} == {"asked"}
    finally:
        engine("rm", "--force", *started.values())


def test_a_denial(engine: Docker | Podman, access: Access) -> None:
    vault = ["-v", "/dev/null:/var/run/cdi-devices/example.com/vault/one"]
    done = engine.host.run("docker" if isinstance(engine, Docker) else "podman", "run", "--rm", *vault, NAME, "id")
    assert "ask Ada for the vault" in done.stderr
    [entry] = access.cdictl("log", "--device", "example.com/vault=*")["decisions"]
    assert entry["allowed"] is False
    assert entry["rules"] == {"example.com/vault=one": "/etc/cdi-runc/policy.yaml:2"}
    assert entry["reason"].startswith("example.com/vault=one: ask Ada for the vault")


def test_ctr(containerd: Containerd, access: Access) -> None:
    shim = ["--snapshotter=native", "--runc-binary=/usr/local/bin/cdi-runc"]
    options = {"asked": ["--annotation", f"cdi.k8s.io/test={WIDGET}"], "native": ["--device", "/dev/kmsg"]}
    for how, more in options.items():
        containerd("run", "--detach", *shim, *more, FULL_NAME, how, "sleep", "600")
    try:
        access.check("asked", "annotation", "cdi.k8s.io/test", {"engine": "containerd"})
        holders = access.holders()
        assert holders["native"]["nodes"] == ["/dev/kmsg"]
    finally:
        for how in options:
            containerd("task", "kill", "--signal=KILL", how)
            containerd.host.run("ctr", "task", "delete", "--force", how)
            containerd("container", "delete", how)


def test_the_cri_of_containerd(containerd: Containerd, kubelet: Any, access: Access) -> None:
    pod = kubelet.run_pod(REQUEST)
    container = kubelet.start(pod, ["sleep", "600"])
    decisions = access.decisions()
    # A pod, its container, and the names of both; each test of this module makes others.
    entry = decisions[container]
    names = {key: entry[key] for key in ("pod", "name")}
    assert all(name.startswith("name-") for name in names.values())
    names |= {"engine": "containerd", "namespace": "default", "image": FULL_NAME}
    access.check(container, "annotation", "cdi.k8s.io/test", names)
    assert (decisions[pod]["allowed"], decisions[pod]["reason"]) == (False, "a pod's sandbox gets no devices")
    kubelet.stop_pod(pod)
    if containerd.has_cdi:  # the CRI's own field, and containerd's own CDI
        pod = kubelet.run_pod(handler="runc")
        native = kubelet.start(pod, ["sleep", "600"], devices=[OLDER])
        assert (native in access.holders(), native in access.decisions()) == (True, False)
        kubelet.stop_pod(pod)


# What CRI-O writes into a container's config, as far as it matters here (its pkg/annotations, and server/).
CRIO = {
    "io.container.manager": "cri-o",
    "io.kubernetes.container.name": "main",
    "io.kubernetes.cri-o.ContainerType": "container",
    "io.kubernetes.cri-o.Image": "4f5a",
    "io.kubernetes.cri-o.ImageName": f"localhost/{NAME}",
    "io.kubernetes.cri-o.Labels": json.dumps({"io.kubernetes.pod.name": "train", "team": "blue"}),
    "io.kubernetes.cri-o.SandboxID": "5a4d",
    "io.kubernetes.cri-o.TTY": "false",
    "io.kubernetes.pod.name": "train",
    "io.kubernetes.pod.namespace": "ml",
    "io.kubernetes.pod.uid": "6c0b",
}


@pytest.mark.parametrize("name", ["runc", "crun"])
def test_a_bundle_of_cri_o(host: Host, access: Access, name: str) -> None:
    """A real runtime, called as CRI-O's conmon calls it; test_crio.py has the engine itself, where it can be had."""
    container = "c" * 64
    place = f"/run/containers/storage/overlay-containers/{container}/userdata"
    config = oci_config(["sleep", "600"], {**CRIO, **REQUEST})
    config["root"] = {"path": str(make_rootfs(host.shared / f"crio-{name}"))}
    host.write(f"{place}/config.json", json.dumps(config))
    root = f"--root=/run/{name}"
    with running(host, name, root, container, "create", "--bundle", place, "--pid-file", f"{place}/pidfile"):
        assert host.run(name, root, "start", container).returncode == 0
        names = {"engine": "crio", "namespace": "ml", "pod": "train", "name": "main", "image": f"localhost/{NAME}"}
        access.check(container, "annotation", "cdi.k8s.io/test", names, runtime=name)


@pytest.mark.parametrize("name", ["runc", "crun"])
def test_a_runtime_alone(host: Host, access: Access, name: str) -> None:
    bundle = make_bundle(host.shared / f"alone-{name}", oci_config(["sleep", "600"], REQUEST))
    with running(host, name, f"--root=/run/{name}", "alone", "run", "--detach", "--bundle", str(bundle)):
        access.check("alone", "annotation", "cdi.k8s.io/test", {"command": "run"}, runtime=name)


@contextlib.contextmanager
def running(host: Host, name: str, root: str, container: str, *command: str) -> Iterator[None]:
    """A container that cdi-NAME makes by this command, until the context ends."""
    if not host.has(name):
        pytest.skip(f"{name} is not installed (make engines)")
    done = host.run(f"cdi-{name}", root, *command, container)
    try:
        if name == "crun" and done.returncode and "cgroup" in done.stderr:
            pytest.skip(f"crun does not run here: {done.stderr}")
        assert done.returncode == 0, done.stderr
        yield
    finally:
        host.run(name, root, "delete", "--force", container)
