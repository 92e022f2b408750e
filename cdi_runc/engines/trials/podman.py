"""A throw-away container of Podman."""

from __future__ import annotations

from cdi_runc.engines.engine import Found
from cdi_runc.engines.podman import podman
from cdi_runc.engines.trials.container import Container


def load_image(found: Found, archive: str, image: str) -> None:
    """`podman load`."""
    podman(found, "load", "--input", archive)


def start(found: Found, container: Container) -> int:
    """`podman run --detach` without a network, and with low limits, since not every root may raise them."""
    options = ["--detach", "--name", container.name, "--network", "none"]
    options += ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024", *container.options()]
    podman(found, *_runtime(found, container), "run", *options, container.image, *container.command)
    return int(podman(found, "inspect", "--format", "{{.State.Pid}}", container.name))


def clean(found: Found, container: Container, image: bool) -> None:
    """`podman rm --force`, `podman rmi`."""
    podman(found, *_runtime(found, container), "rm", "--force", container.name)  # 3.4 has no --time
    if image:
        podman(found, "rmi", container.image)


def _runtime(found: Found, container: Container) -> list[str]:
    """With a hook, the runtime is the one that Podman takes by itself."""
    return [] if found.name == "podman-hooks" else ["--runtime", container.runtime]
