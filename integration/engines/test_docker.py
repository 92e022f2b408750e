"""Docker: 20.10, where only mounts and the environment can ask, and 26, with its own CDI beside."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from integration.bundles import PROBE, WIDGET, WITH, WITHOUT, report
from integration.engines.devices import NEVER, ONCE, WRONG, Widget
from integration.engines.host import Host
from integration.engines.image import NAME

MOUNT = ["-v", f"/dev/null:/var/run/cdi-devices/{WIDGET}"]
VARIABLE = ["-e", f"CDI_DEVICES={WIDGET}"]
ANNOTATION = ["--annotation", f"cdi.k8s.io/test={WIDGET}"]
NATIVE = ["--device", WIDGET]

# The options that ask for the widget, and the first version of Docker that has them.
REQUESTS = {
    "mount": (20, MOUNT),
    "variable": (20, VARIABLE),
    "mount and variable": (20, [*MOUNT, *VARIABLE]),
    "annotation": (25, ANNOTATION),
    "native": (25, NATIVE),
    "native and annotation": (25, [*NATIVE, *ANNOTATION]),
    "native and variable": (25, [*NATIVE, *VARIABLE]),
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
    docker("rm", "--force", *containers) if containers else None


def options(docker: Docker, request: str) -> Sequence[str]:
    since, options = REQUESTS[request]
    if docker.version < since:
        pytest.skip(f"Docker {docker.version} cannot say this: {' '.join(options)}")
    return options


@pytest.mark.parametrize("request_", REQUESTS)
def test_container_gets_the_widget(docker: Docker, widget: Widget, request_: str) -> None:
    done = docker("run", "--rm", *options(docker, request_), NAME, "sh", "-c", PROBE)

    assert report(done.stdout) == WITH
    assert widget.standing() == ONCE
    assert widget.runs() == 1


def test_container_that_does_not_ask_has_nothing(docker: Docker, widget: Widget) -> None:
    done = docker("run", "--rm", NAME, "sh", "-c", PROBE)

    assert report(done.stdout) == WITHOUT
    assert widget.runs() == 0


def test_marker_mount_is_not_in_the_container(docker: Docker, widget: Widget) -> None:
    done = docker("run", "--rm", *MOUNT, NAME, "ls", "/var/run")

    assert "cdi-devices" not in done.stdout
    assert [mount for mount in widget.config()["mounts"] if "cdi-devices" in mount["destination"]] == []


def test_second_start_of_a_container_makes_no_edit_twice(docker: Docker, widget: Widget) -> None:
    container = docker("create", *VARIABLE, NAME, "sh", "-c", PROBE).stdout.strip()

    for starts in (1, 2):
        assert report(docker("start", "--attach", container).stdout) == WITH
        assert (widget.standing(), widget.runs()) == (ONCE, starts)


@pytest.mark.parametrize("kind", WRONG)
def test_user_sees_what_is_wrong(docker: Docker, complaints: dict[str, str], kind: str) -> None:
    device, _ = WRONG[kind]
    done = docker("run", "--rm", "-e", f"CDI_DEVICES={device}", NAME, "true", expect=125)

    assert complaints[kind] in done.stderr


@pytest.mark.parametrize("buildkit", ["0", "1"])
def test_images_are_built_as_ever(docker: Docker, widget: Widget, buildkit: str) -> None:
    """The classic builder runs containers of the default runtime; BuildKit types `run`, never `create`."""
    folder = docker.host.shared / f"build-{buildkit}"
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {NAME}\nRUN echo built > /built\n")
    tag = f"built:{buildkit}"
    done = docker.host.run(
        "docker", "build", "--network=none", "--tag", tag, str(folder), env={"DOCKER_BUILDKIT": buildkit}
    )
    assert done.returncode == 0, done.stderr

    assert docker("run", "--rm", tag, "cat", "/built").stdout == "built\n"
    assert widget.standing() == NEVER
