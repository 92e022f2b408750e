"""The words that the modules of this package share: an engine as found, what is wished of it, what is to stand where.

Plain values and one protocol; nothing here reads or writes a file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from cdi_runc.host.places import is_host_root

Value: TypeAlias = "str | int | float | bool | Sequence[Value] | Mapping[str, Value] | None"


class EngineError(Exception):
    """Something that the administrator has to know, in one line: what, where, and what to do."""


class NotInstalled(EngineError):
    """The engine is not on this host."""


@dataclass(frozen=True)
class Found:
    """An engine as it stands on this host."""

    name: str
    binary: str
    version: str  # numbers only, "20.10.24"; "" where the engine doesn't say
    config: str  # the main config file, whether or not it exists
    running: bool | None  # None for an engine without a daemon
    cdi: Literal["on", "off", "no"]  # does it inject CDI devices itself; "off": it can, but is set not to
    explicit: bool = False  # the config file was named by the user, so the engine has to be pointed at it

    @property
    def release(self) -> tuple[int, ...]:
        """The version as numbers, to compare with."""
        return release(self.version)


@dataclass(frozen=True)
class Wish:
    """What `cdictl engine enable` was asked to do."""

    runtime: str = "cdi-runc"  # the name that users give the engine
    path: str = "/usr/bin/cdi-runc"  # what the engine is to run
    wraps: str = "runc"  # the name of the runtime behind it
    default: bool = False
    drop_in: str | None = None


@dataclass(frozen=True)
class Put:
    """One value that is to stand in a config file at `keys`.

    `item`: it is one item of the list there. `spare`: only where nothing stands there yet.
    """

    keys: tuple[str, ...]
    value: Value
    how: Literal["set", "item", "spare"] = "set"


@dataclass(frozen=True)
class FilePlan:
    """One file and what is to stand in it. `text` is for files whose syntax isn't ours: the put is a piece of text."""

    path: str
    syntax: Literal["json", "toml", "text"]
    puts: tuple[Put, ...]
    start: str = ""  # what a file that doesn't exist yet begins with
    mode: int = 0o644  # of a file that doesn't exist yet


@dataclass(frozen=True)
class Runtimes:
    """The runtimes that an engine knows: its name for each, and all that it says of it (`path` is always there)."""

    default: str
    handlers: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """A throw-away container: its name, image, runtime, process, and the request as annotation, mounts or env."""

    container: str
    image: str
    runtime: str
    command: Sequence[str]
    annotations: Mapping[str, str] = field(default_factory=dict)
    mounts: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)


class Engine(Protocol):
    """What an engine's module offers. Every function may raise EngineError, with the engine's own words."""

    @property
    def PARTING(self) -> tuple[Put, ...]:  # noqa: N802  # a constant of the modules
        """What a file has to say outright for a moment, so that the running engine forgets us."""

    def find(self, config: str | None) -> Found:
        """The engine on this host; raises NotInstalled."""

    def runtimes(self, found: Found) -> Runtimes:
        """The runtimes as the engine reads its files now, asked from the engine itself where it can be."""

    def plan(self, found: Found, wish: Wish, known: Runtimes) -> list[FilePlan]:
        """What is to stand where. `known` is what `runtimes` says without us."""

    def reload(self, found: Found, runtime: str | None) -> None:
        """Make the running engine read its files, and see that it then knows `runtime` (None: that it obeys them)."""

    def reload_command(self, found: Found, gone: bool) -> str:
        """What the administrator types to the same end, "" where nothing runs; `gone` after `disable`."""

    def advice(self, found: Found, wish: Wish) -> list[str]:
        """How users ask for a device, and what else the administrator has to know, a line each."""

    def mine(self, command: Sequence[str]) -> bool:
        """Is this the argv of a monitor (containerd-shim, conmon) that this engine started?"""

    def kept(self, found: Found, runtime: str) -> list[str]:
        """The ids of pods, ended or not, that this engine could not remove without the runtime."""

    def start(self, found: Found, trial: Trial) -> int:
        """Start the trial's container and return its first process as the host numbers it."""

    def load_image(self, found: Found, archive: str, image: str) -> None:
        """Import a docker-archive tar as `image`."""

    def clean(self, found: Found, trial: Trial, image: bool) -> None:
        """Remove the trial's container, and its image if we brought it."""

    def takes_annotations(self, found: Found) -> bool:
        """Can a user of this engine set annotations?"""


def release(version: str) -> tuple[int, ...]:
    """A version as numbers, to compare with.

    >>> release("20.10.24") >= (20, 10)
    True
    """
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def pod_request(runtime: str) -> str:
    """How a pod asks for a device, a line of advice for the engines of Kubernetes."""
    annotation = "cdi.k8s.io/x: vendor.com/class=name"
    return f"ask for a device: a pod with a RuntimeClass for {runtime} and the annotation {annotation}"


def is_root() -> bool:
    """Whether the system's files are meant, rather than the user's own."""
    return is_host_root()


def user_config_home() -> str:
    """The folder of the user's own config files (XDG base directory specification)."""
    return os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
