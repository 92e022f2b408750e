"""A throw-away container of Docker."""

from __future__ import annotations

from cdi_runc.engines.ask import ask
from cdi_runc.engines.docker import client
from cdi_runc.engines.engine import Found
from cdi_runc.engines.trials.container import Container


def load_image(found: Found, archive: str, image: str) -> None:
    """`docker load`."""
    ask([*client(found), "load", "--input", archive])


def start(found: Found, container: Container) -> int:
    """`docker run --detach` without a network."""
    options = ["--detach", "--name", container.name, "--runtime", container.runtime, "--network", "none"]
    ask([*client(found), "run", *options, *container.options(), container.image, *container.command])
    return int(ask([*client(found), "inspect", "--format", "{{.State.Pid}}", container.name]))


def clean(found: Found, container: Container, image: bool) -> None:
    """`docker rm --force`, `docker rmi`."""
    ask([*client(found), "rm", "--force", container.name])
    if image:
        ask([*client(found), "rmi", container.image])
