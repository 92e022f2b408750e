"""The words of a trial: the throw-away container, and what a module of this package does with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cdi_runc.engines.engine import Found


@dataclass(frozen=True)
class Container:
    """A throw-away container: its name, image, runtime, process, and the request as annotations, mounts or variables.

    `runtime` is the engine's name for it, `path` the executable. `mounts` has the source of each target.
    """

    name: str
    image: str
    runtime: str
    path: str
    command: Sequence[str]
    annotations: Mapping[str, str] = field(default_factory=dict)
    mounts: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)

    def options(self) -> list[str]:
        """The request, as docker, podman and nerdctl write it."""
        return [
            *(f"--annotation={key}={value}" for key, value in self.annotations.items()),
            *(f"--mount=type=bind,source={source},target={target}" for target, source in self.mounts.items()),
            *(f"--env={key}={value}" for key, value in self.env.items()),
        ]


class Trials(Protocol):
    """What a module of this package offers. Every function may raise EngineError, with the engine's own words."""

    def load_image(self, found: Found, archive: str, image: str) -> None:
        """Import a docker-archive tar as `image`."""

    def start(self, found: Found, container: Container) -> int:
        """Start the container and return its first process as the host numbers it."""

    def clean(self, found: Found, container: Container, image: bool) -> None:
        """Remove the container, and its image if we loaded it."""
