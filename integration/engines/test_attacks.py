"""The author of an image asks for a device, or gets at a hook: each attack has worked once, and gets nothing now."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.bundles import PROBE, WIDGET, WITH, WITHOUT, report
from integration.engines.cdictl import Engine
from integration.engines.conftest import SETTINGS
from integration.engines.devices import NEVER, Widget
from integration.engines.image import NAME
from integration.engines.test_docker import Docker
from integration.engines.test_docker import docker as docker  # a fixture
from integration.engines.test_podman import RUN, Podman
from integration.engines.test_podman import configured as configured  # a fixture
from integration.engines.test_podman import podman as podman  # a fixture

Run = Callable[..., "subprocess.CompletedProcess[str]"]

VOLUME = "VOLUME /var/run/cdi-devices/example.com/widget/one"
PRELOAD = "ENV LD_PRELOAD_OF_THE_IMAGE=./evil.so"
ONLY_MOUNTS = "requests:\n  annotations: []\n  mounts: /var/run/cdi-devices\n"


@pytest.fixture(params=["docker", "podman"])
def engine(request: pytest.FixtureRequest) -> Docker | Podman:
    found: Docker | Podman = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def build(engine: Docker | Podman, tmp_path: Path) -> Run:
    """Builds an image from the lines of a Dockerfile, with the engine's own builder (Docker's classic one)."""
    folder = engine.host.shared / tmp_path.name
    folder.mkdir()

    def build(tag: str, *lines: str, options: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
        (folder / "Dockerfile").write_text("\n".join([*lines, ""]))
        name = "docker" if isinstance(engine, Docker) else "podman"
        command = [name, "build", "--no-cache", "--network=none", f"--tag={tag}", *options, str(folder)]
        done = engine.host.run(*command, env={"DOCKER_BUILDKIT": "0"})
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return build


def _run(engine: Docker | Podman, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return engine(*(RUN if isinstance(engine, Podman) else ["run", "--rm"]), *arguments)


def test_a_volume_of_an_image_asks_for_nothing(engine: Docker | Podman, build: Run, widget: Widget) -> None:
    build("volume", f"FROM {NAME}", VOLUME)

    assert report(_run(engine, "volume", "sh", "-c", PROBE).stdout) == WITHOUT
    assert widget.standing() == NEVER


def test_a_mount_of_the_user_beside_it_still_asks(engine: Docker | Podman, build: Run, widget: Widget) -> None:
    build("volume", f"FROM {NAME}", VOLUME)
    mount = ["-v", "/dev/null:/var/run/cdi-devices/example.com/widget/one"]

    assert report(_run(engine, *mount, "volume", "sh", "-c", PROBE).stdout) == WITH


def test_a_volume_asks_for_nothing_in_a_build(engine: Docker | Podman, build: Run, widget: Widget) -> None:
    """Neither that of the base image, nor one of the Dockerfile itself."""
    build("volume", f"FROM {NAME}", VOLUME)
    look = "RUN cat /widget/data > /tmp/seen 2>&1 || :"

    build("of-the-base", "FROM volume", look)
    build("of-its-own", f"FROM {NAME}", VOLUME, look)

    assert (widget.standing(), widget.runs()) == (NEVER, 0)
    for image in ("of-the-base", "of-its-own"):
        assert "from the host" not in _run(engine, image, "cat", "/tmp/seen").stdout


@pytest.mark.parametrize("stage", ["createContainer", "startContainer"])
def test_the_variables_of_an_image_do_not_reach_a_hook(
    engine: Docker | Podman, build: Run, widget: Widget, stage: str
) -> None:
    """CVE-2025-23266: LD_PRELOAD of an image, which runc before 1.3 gives to a hook that has no env."""
    build("preload", f"FROM {NAME}", PRELOAD)
    seen = "/tmp/env" if stage == "startContainer" else f"{widget.state}/env"
    hook = {"hookName": stage, "path": "/bin/sh", "args": ["sh", "-c", f"/bin/cat /proc/self/environ > {seen}"]}
    device = {"name": "one", "containerEdits": {"hooks": [hook]}}
    spec = {"cdiVersion": "0.5.0", "kind": "example.com/hooked", "devices": [device]}
    engine.host.write("/etc/cdi/hooked.json", json.dumps(spec))
    mount = ["-v", "/dev/null:/var/run/cdi-devices/example.com/hooked/one"]

    said = _run(engine, *mount, "preload", "sh", "-c", "cat /tmp/env || :").stdout

    found = said if stage == "startContainer" else (widget.state / "env").read_text()
    engine.host.run("rm", "/etc/cdi/hooked.json")
    assert "PATH=" in found
    assert "OF_THE_IMAGE" not in found


@pytest.fixture
def annotated(podman: Podman, tmp_path: Path) -> Iterator[str]:
    """An image whose manifest has an annotation that asks for the widget."""
    folder = podman.host.shared / tmp_path.name
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {NAME}\n")
    podman("build", "--format=oci", f"--annotation=cdi.k8s.io/x={WIDGET}", "--tag=annotated", str(folder))
    yield "localhost/annotated"
    podman.host.write("/etc/cdi-runc/config.yaml", SETTINGS)


def _hands_on(podman: Podman) -> bool:
    return podman.host.version("podman", "--version") < (4, 6)


def test_podman_needs_a_yes_before_images_can_ask(podman: Podman, annotated: str, widget: Widget) -> None:
    """Before 4.6 it hands on the annotations of images: `enable` refuses, unless told otherwise."""
    podman.host.write("/etc/cdi-runc/config.yaml", "")
    said = report(podman(*RUN, annotated, "sh", "-c", PROBE).stdout)
    assert said == (WITH if _hands_on(podman) else WITHOUT)

    if not _hands_on(podman):
        return
    enable = Engine(podman.host, "podman").cdictl
    for how in (["--runtime-name=cdi-extra"], ["--hooks"]):
        refused = enable("enable", *how, expect=1).stderr
        assert "hands the annotations of an image on" in refused
        assert refused.count("\n") == 1
        enable("enable", *how, "--accept-image-annotations")
        enable("disable", *how)


def test_an_annotation_of_an_image_asks_for_nothing_where_only_mounts_ask(
    podman: Podman, annotated: str, widget: Widget
) -> None:
    podman.host.write("/etc/cdi-runc/config.yaml", ONLY_MOUNTS)

    assert report(podman(*RUN, annotated, "sh", "-c", PROBE).stdout) == WITHOUT
    assert widget.standing() == NEVER
    Engine(podman.host, "podman").cdictl("enable", "--runtime-name=cdi-extra")
    Engine(podman.host, "podman").cdictl("disable", "--runtime-name=cdi-extra")


def test_an_annotation_of_an_image_asks_for_nothing_in_a_build(
    podman: Podman, annotated: str, widget: Widget, tmp_path: Path
) -> None:
    folder = podman.host.shared / tmp_path.name
    (folder / "Dockerfile").write_text(f"FROM {annotated}\nRUN cat /widget/data || :\n")

    podman("build", "--no-cache", "--network=none", str(folder))

    assert (widget.standing(), widget.runs()) == (NEVER, 0)
