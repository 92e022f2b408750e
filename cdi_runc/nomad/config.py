"""The plugin's configuration: the block `config` of the agent's `plugin "cdi-nomad"`."""

from __future__ import annotations

from dataclasses import dataclass

from cdi_runc.host import settings
from cdi_runc.host.places import SYSTEM_CONFIG
from cdi_runc.nomad import messagepack
from cdi_runc.nomad.wire import base_pb2 as wire

MARKERS = "/var/run/cdi-devices"  # the directory for requests by mounts that our documents name

_TYPES = {"mode": "string", "spec_dirs": "list(string)"}


class BadConfig(ValueError):
    """What is wrong with the configuration, in one line."""


@dataclass(frozen=True)
class Config:
    """What is offered, and how a task gets it.

    `markers` is the directory below which cdi-runc takes a mount for a request; '' where its settings have none.
    """

    mode: str
    spec_dirs: tuple[str, ...]
    markers: str


def schema() -> wire.ConfigSchemaResponse:
    """What Nomad checks the block against."""
    attributes = {name: wire.Spec(attr=wire.Attr(name=name, type=type_)) for name, type_ in _TYPES.items()}
    return wire.ConfigSchemaResponse(spec=wire.Spec(object=wire.Object(attributes=attributes)))


def read(data: bytes, settings_file: str = SYSTEM_CONFIG) -> Config:
    """The configuration that Nomad hands over, filled up with the settings of cdi-runc. Raises BadConfig."""
    try:
        values = messagepack.read(data) if data else {}
    except ValueError as error:
        raise BadConfig(f"the plugin's configuration is no MessagePack: {error}") from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise BadConfig(f"the plugin's configuration is {values!r}, not a block")
    for name in values:
        if name not in _TYPES:
            raise BadConfig(f"the plugin's configuration has an unknown {name!r}: it can have mode and spec_dirs")
    mode = "name" if values.get("mode") is None else values["mode"]
    if mode not in ("name", "edits"):
        raise BadConfig(f'mode is {mode!r} in the plugin\'s configuration: set it to "name" or "edits"')
    shim = settings.read(settings_file)
    if shim["fault"]:
        raise BadConfig(shim["fault"])
    directories = values.get("spec_dirs")
    return Config(
        mode=str(mode),
        spec_dirs=tuple(shim["spec-dirs"]) if directories is None else _directories(directories),
        markers=shim["requests"]["mounts"] or "",
    )


def _directories(value: messagepack.Value) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise BadConfig(f"spec_dirs is {value!r} in the plugin's configuration: it must be a list of directories")
    found = []
    for each in value:
        if not isinstance(each, str) or not each.startswith("/") or "\0" in each:
            raise BadConfig(f"spec_dirs has {each!r} in the plugin's configuration: it must be an absolute path")
        found.append(each)
    return tuple(found)
