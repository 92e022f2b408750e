"""A throw-away container of nerdctl."""

from __future__ import annotations

import json

from cdi_runc.engines.ask import ask
from cdi_runc.engines.engine import Found
from cdi_runc.engines.trials.container import Container


def load_image(found: Found, archive: str, image: str) -> None:
    """`nerdctl load`."""
    ask([found.binary, "load", "--input", archive])


def start(found: Found, container: Container) -> int:
    """`nerdctl run --detach` without a network."""
    options = ["--detach", "--name", container.name, "--runtime", container.path, "--network", "none"]
    ask([found.binary, "run", *options, *container.options(), container.image, *container.command])
    return int(json.loads(ask([found.binary, "inspect", container.name]))[0]["State"]["Pid"])


def clean(found: Found, container: Container, image: bool) -> None:
    """`nerdctl rm --force`, `nerdctl rmi`."""
    ask([found.binary, "rm", "--force", container.name])
    if image:
        ask([found.binary, "rmi", container.image])
