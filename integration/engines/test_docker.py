"""Docker: 20.10, where only mounts and the environment can ask, and 26, with its own CDI beside."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdi_runc.nomad.wire.device_pb2 import ContainerReservation
from integration.bundles import PROBE, WIDGET, WITH, WITHOUT, report
from integration.engines.conftest import SETTINGS as SHIM_SETTINGS
from integration.engines.devices import NEVER, OLDER, ONCE, ONCE_OLDER, WITH_OLDER, WRONG, Widget
from integration.engines.host import Host
from integration.engines.image import NAME
from tests.kubernetes.pod_resources import Kubelet as PodResources
from tests.nomad.agent import started

MOUNT = ["-v", "/dev/null:/var/run/cdi-devices/example.com/widget/one"]
VARIABLE = ["-e", f"CDI_DEVICES={WIDGET}"]
ANNOTATION = ["--annotation", f"cdi.k8s.io/test={WIDGET}"]
REQUESTS = {"mount": MOUNT, "variable": VARIABLE, "both": [*MOUNT, *VARIABLE], "annotation": ANNOTATION}

# Docker's own CDI, which came with 25, as did --annotation.
NATIVE = ["--device", OLDER]
NATIVE_REQUESTS = {
    "native": NATIVE,
    "native and annotation": [*NATIVE, "--annotation", f"cdi.k8s.io/test={OLDER}"],
    "native and variable": [*NATIVE, "-e", f"CDI_DEVICES={OLDER}"],
}


class Docker:
    """A Docker daemon in a machine to spoil, whose default runtime is cdi-runc."""

    def __init__(self, host: Host, image: Path) -> None:
        """Starts the daemon and loads the image."""
        self.host = host
        log = host.shared / "dockerd.log"
        settings = {
            "runtimes": {"cdi-runc": {"path": "/usr/local/bin/cdi-runc"}},
            "default-runtime": "cdi-runc",
            "storage-driver": "vfs",
            "features": {"buildkit": True, "cdi": True},
            # No network of its own: that would be the real machine's.
            "iptables": False,
            "bridge": "none",
        }
        host.write("/etc/docker/daemon.json", json.dumps(settings))
        # BuildKit in the daemon asks no setting for its runtime, only this variable.
        daemon = host.start("dockerd", log=log, env={"DOCKER_BUILDKIT_RUNC_COMMAND": "/usr/local/bin/cdi-runc"})
        host.wait_for("docker", "version", daemon=daemon, log=log)
        self("load", "--input", str(image))
        self.version = int(self("version", "--format", "{{.Server.Version}}").stdout.partition(".")[0])

    def __call__(self, *args: str, expect: int = 0) -> "subprocess.CompletedProcess[str]":
        """Runs a command of docker's, which must end with the status `expect`."""
        done = self.host.run("docker", *args)
        assert done.returncode == expect, done.stderr
        return done


@pytest.fixture(scope="module")
def docker(host: Host, image: Path, the_widget: Widget) -> Iterator[Docker]:
    if not host.has("dockerd"):
        pytest.skip("Docker is not installed (make engines)")
    docker = Docker(host, image)
    yield docker
    containers = docker("ps", "--all", "--quiet").stdout.split()
    if containers:
        docker("rm", "--force", *containers)


@pytest.mark.parametrize("request_", REQUESTS)
def test_container_gets_the_widget(docker: Docker, widget: Widget, request_: str) -> None:
    if request_ == "annotation" and docker.version < 25:
        pytest.skip(f"Docker {docker.version} has no --annotation")

    done = docker("run", "--rm", *REQUESTS[request_], NAME, "sh", "-c", PROBE)

    assert report(done.stdout) == WITH
    assert (widget.standing(), widget.runs()) == (ONCE, 1)


@pytest.mark.parametrize("request_", NATIVE_REQUESTS)
def test_what_docker_has_edited_itself_is_not_edited_again(docker: Docker, widget: Widget, request_: str) -> None:
    if docker.version < 25:
        pytest.skip(f"Docker {docker.version} knows no CDI")

    done = docker("run", "--rm", *NATIVE_REQUESTS[request_], NAME, "sh", "-c", PROBE)

    assert report(done.stdout) == WITH_OLDER
    assert (widget.standing(), widget.runs()) == (ONCE_OLDER, 1)


def test_what_docker_has_left_out_is_added(docker: Docker, widget: Widget) -> None:
    """Docker 26 makes a device's edits but for its groups."""
    if docker.version < 25:
        pytest.skip(f"Docker {docker.version} knows no CDI")

    done = docker("run", "--rm", "--device", WIDGET, *ANNOTATION, NAME, "sh", "-c", PROBE)

    assert report(done.stdout) == WITH
    assert (widget.standing(), widget.runs()) == (ONCE, 1)


def test_a_container_as_cri_dockerd_makes_it_gets_what_the_kubelet_gave(docker: Docker, widget: Widget) -> None:
    """cri-dockerd passes on no name of a device, and no annotation: only the kubelet's mounts tell of the pod."""
    host = docker.host
    kubelet = PodResources(host.path("/var/lib/kubelet"))
    kubelet.gives_by_claim(WIDGET)
    kubelet.container("other")
    pod = "/var/lib/kubelet/pods/3c9b5f0e"
    host.run("mkdir", "-p", "/var/log/pods/default_p_3c9b5f0e")
    host.write("/etc/cdi-runc/config.yaml", f"{SHIM_SETTINGS}  kubelet: true\n")
    try:
        with kubelet.serving():
            for name, expected in (("main", WITH), ("other", WITHOUT)):
                host.write(f"{pod}/containers/{name}/a6f1c2d3", "")
                mount = f"{pod}/containers/{name}/a6f1c2d3:/dev/termination-log"
                done = docker("run", "--rm", "-v", mount, NAME, "sh", "-c", PROBE)
                assert report(done.stdout) == expected
            assert (widget.standing(), widget.runs()) == (ONCE, 1)
            asked = len(kubelet.asked)
            docker("run", "--rm", NAME, "sh", "-c", ":")
            assert len(kubelet.asked) == asked
    finally:
        host.write("/etc/cdi-runc/config.yaml", SHIM_SETTINGS)


def test_container_that_does_not_ask_has_nothing(docker: Docker, widget: Widget) -> None:
    done = docker("run", "--rm", NAME, "sh", "-c", PROBE)

    assert report(done.stdout) == WITHOUT
    assert widget.runs() == 0


def test_marker_mount_is_not_in_the_container(docker: Docker, widget: Widget) -> None:
    docker("run", "--rm", *MOUNT, NAME, "sh", "-c", "[ ! -e /var/run/cdi-devices ]")

    assert [mount for mount in widget.config()["mounts"] if "cdi-devices" in mount["destination"]] == []


def test_second_start_of_a_container_makes_no_edit_twice(docker: Docker, widget: Widget) -> None:
    container = docker("create", *VARIABLE, NAME, "sh", "-c", PROBE).stdout.strip()

    for starts in (1, 2):
        assert report(docker("start", "--attach", container).stdout) == WITH
        assert (widget.standing(), widget.runs()) == (ONCE, starts)


def test_exec_sees_the_device_and_the_mounts(docker: Docker) -> None:
    """The environment and the groups of such a process are Docker's own: the shim sees none of them."""
    container = docker("run", "--detach", *VARIABLE, NAME).stdout.strip()

    seen = report(docker("exec", container, "sh", "-c", PROBE).stdout)

    assert seen == {**WITH, "env": "", "groups": "0"}


@pytest.mark.parametrize("kind", WRONG)
def test_user_sees_what_is_wrong(docker: Docker, complaints: dict[str, str], kind: str) -> None:
    device, _ = WRONG[kind]
    done = docker("run", "--rm", "-e", f"CDI_DEVICES={device}", NAME, "true", expect=125)

    assert complaints[kind] in done.stderr


@pytest.mark.parametrize(
    ("request_", "built", "edits"),
    [("", "", NEVER), (f"ENV CDI_DEVICES={WIDGET}", "from the host\n", ONCE)],
    ids=["as ever", "with the widget"],
)
@pytest.mark.parametrize("buildkit", ["0", "1"])
def test_images_are_built(
    docker: Docker, widget: Widget, tmp_path: Path, buildkit: str, request_: str, built: str, edits: dict[str, int]
) -> None:
    """The classic builder runs containers of the default runtime; BuildKit types `run`, never `create`."""
    if request_ and buildkit == "1" and docker.version < 26:
        pytest.skip(f"BuildKit in Docker {docker.version} takes the runc on PATH, whatever it is told")
    if buildkit == "1" and docker.version >= 23 and docker.host.run("docker", "buildx", "version").returncode != 0:
        pytest.skip(f"Docker {docker.version} has BuildKit by buildx only, which is not installed")
    folder = docker.host.shared / tmp_path.name
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {NAME}\n{request_}\nRUN cat /widget/data > /built || :\n")
    command = ("docker", "build", "--network=none", "--tag=built", str(folder))
    done = docker.host.run(*command, env={"DOCKER_BUILDKIT": buildkit})
    assert done.returncode == 0, done.stderr

    assert widget.standing() == edits
    assert docker("run", "--rm", "--env=CDI_DEVICES=", "built", "cat", "/built").stdout == built


def test_what_the_plugin_for_nomad_reserves_is_the_widget(docker: Docker, widget: Widget, tmp_path: Path) -> None:
    """The mounts are just those that Nomad's docker driver would make."""
    given = reserved(tmp_path, widget.specs()["widget.json"], "name")
    mounts = [f"--mount=type=bind,src={mount.host_path},dst={mount.task_path}" for mount in given.mounts]

    done = docker("run", "--rm", "--runtime", "cdi-runc", *mounts, NAME, "sh", "-c", PROBE)

    assert report(done.stdout) == WITH
    assert (widget.standing(), widget.runs()) == (ONCE, 1)


def test_what_nomad_itself_can_give_reaches_a_plain_container(docker: Docker, widget: Widget, tmp_path: Path) -> None:
    spec = json.loads(widget.specs()["widget.json"])
    edits = spec["devices"][0]["containerEdits"]
    del edits["hooks"], edits["additionalGids"], edits["deviceNodes"][0]["fileMode"]
    given = reserved(tmp_path, json.dumps(spec), "edits")
    arguments = [f"--env={name}={value}" for name, value in given.envs.items()]
    for mount in given.mounts:
        only = ",readonly" if mount.read_only else ""
        arguments.append(f"--mount=type=bind,src={mount.host_path},dst={mount.task_path}{only}")
    arguments += [f"--device={each.host_path}:{each.task_path}:{each.permissions}" for each in given.devices]

    seen = report(docker("run", "--rm", "--runtime", "runc", *arguments, NAME, "sh", "-c", PROBE).stdout)

    assert {**seen, "node": ""} == {**WITH, "node": "", "groups": "0"}
    assert seen["node"].startswith("character special file 1:b")


def reserved(directory: Path, spec: str, mode: str) -> ContainerReservation:
    """What the device plugin answers to Nomad for the widget of this spec."""
    settings = directory / "config.yaml"
    settings.write_text("requests: {mounts: /var/run/cdi-devices}\n")
    (directory / "cdi").mkdir()
    (directory / "cdi/widget.json").write_text(spec)

    async def ask() -> ContainerReservation:
        async with started(settings, directory) as plugin:
            await plugin.set_config({"mode": mode, "spec_dirs": [str(directory / "cdi")]})
            return await plugin.reserve(WIDGET)

    return asyncio.run(ask())
