"""The types that the modules of this package share: an engine that was found, a new runtime, what a file must contain.

Plain values and one protocol; nothing here reads or writes a file. A module for a further engine has the members of
`Engine`, and a line in `engines.NAMES`; docs/engines.md tells what each member must do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from cdi_runc.host.places import is_host_root

Value: TypeAlias = "str | int | float | bool | Sequence[Value] | Mapping[str, Value] | None"

ANNOTATION = "cdi.k8s.io/x"  # an example of one that asks
DEVICE = "vendor.com/class=name"  # an example of a device
CRI_REQUEST = "the CRI field CDIDevices, which device plugins and DRA drivers fill in"
MARKER_MOUNTS = "/var/run/cdi-devices"  # where marker mounts are by convention


class EngineError(Exception):
    """Something that the administrator has to know, in one line: what, where, and what to do."""


class NotInstalled(EngineError):
    """The engine is not on this host."""


@dataclass(frozen=True)
class Found:
    """An engine on this host."""

    name: str
    binary: str
    version: str  # numbers only, "20.10.24"; "" where the engine doesn't say
    config: str  # the main config file, whether or not it exists
    running: bool | None  # None for an engine without a daemon
    cdi: Literal["on", "off", "no"]  # does it inject CDI devices itself; "off": it can, but is set not to
    explicit: bool = False  # the file is not the usual one, so the engine has to be pointed at it
    pid: int | None = None  # of the daemon, where it is known

    @property
    def release(self) -> tuple[int, ...]:
        """The version as numbers, to compare with."""
        return release(self.version)


@dataclass(frozen=True)
class NewRuntime:
    """What `cdictl engine enable` was asked to register."""

    name: str = "cdi-runc"  # the name that users give the engine
    path: str = "/usr/bin/cdi-runc"  # what the engine is to run
    wraps: str = "runc"  # the name of the runtime behind it
    default: bool = False
    drop_in: str | None = None
    mode: Literal["name", "edits"] = "name"  # of Nomad's plugin; what it means is in docs/nomad.md
    spec_dirs: Sequence[str] = ()  # of Nomad's plugin, where they are not those of the settings
    settings: str | None = None  # the absolute path of config.yaml, where it is not the usual one


@dataclass(frozen=True)
class Put:
    """One value that a config file is to hold at `keys`.

    `item`: it is one item of the list there. `if-absent`: only if nothing is there yet. Such a value repeats what the
    engine has built in and would lose by our change. It stays as long as another setting needs it.
    """

    keys: tuple[str, ...]
    value: Value
    how: Literal["set", "item", "if-absent"] = "set"


@dataclass(frozen=True)
class FilePlan:
    """One file and what it is to hold. `text` is for files whose syntax isn't ours: the value is a piece of text."""

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
class Native:
    """The engine's own CDI: how a user asks for a device then, and how it is turned on where it isn't always on."""

    request: str
    since: str  # the first version with it
    plan: Callable[[Found], list[FilePlan]] | None = None  # what the files are to hold
    written: Callable[[Found], bool] = bool  # do they hold it
    restart: Callable[[Found], None] | None = None  # make the running engine read it
    restart_command: str = ""  # what the administrator types for the same effect


class Engine(Protocol):
    """What an engine's module offers. Every function may raise EngineError, with the engine's own words."""

    @property
    def TO_FORGET(self) -> tuple[Put, ...]:  # noqa: N802  # a constant of the modules
        """A file's text for a moment, so that the running engine forgets us; empty if it reads its files each time."""

    @property
    def NATIVE(self) -> Native:  # noqa: N802
        """What the engine has of CDI by itself, without us."""

    def find(self, config: str | None) -> Found:
        """The engine on this host; raises NotInstalled. Without `config`, the file that the running engine uses."""

    def runtimes(self, found: Found) -> Runtimes:
        """The runtimes by the engine's files as they are now, asked from the engine itself where it can be."""

    def live(self, found: Found) -> Runtimes | None:
        """The runtimes that the running engine knows; None where it can't be asked."""

    def plan(self, found: Found, new: NewRuntime, known: Runtimes) -> list[FilePlan]:
        """What the files are to hold for a new runtime. `known` is what `runtimes` says without us."""

    def reload(self, found: Found, runtime: str | None) -> None:
        """Make the running engine read its files, and see that it then knows `runtime` (None: that it obeys them)."""

    def reload_command(self, found: Found, gone: bool) -> str:
        """What the administrator types for the same effect, "" where nothing runs; `gone` after `disable`."""

    def advice(self, found: Found, new: NewRuntime) -> list[str]:
        """How users ask for a device, and what else the administrator has to know, a line each."""

    def owns_monitor(self, command: Sequence[str]) -> bool:
        """Is this the argv of a monitor (containerd-shim, conmon) that this engine started?"""

    def pods_of(self, found: Found, runtime: str) -> list[str]:
        """The ids of pods, ended or not, that this engine could not remove without the runtime."""

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
    return f"ask for a device: a pod with a RuntimeClass for {runtime} and the annotation {ANNOTATION}: {DEVICE}"


def is_root() -> bool:
    """Whether the system's files are meant, rather than the user's own."""
    return is_host_root()


def user_config_home() -> str:
    """The folder of the user's own config files (XDG base directory specification)."""
    return os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
