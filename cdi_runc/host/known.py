"""The devices of the spec files in the form of the shim's snapshot, so that the same code decides for both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from cdi_runc.cdi.injection import Found
    from cdi_runc.cdi.registry import Registry
    from cdi_runc.host.settings import Settings
    from cdi_runc.host.snapshot import Rule


class Known(Protocol):
    """What a snapshot and the spec files themselves have in common."""

    @property
    def settings(self) -> Settings:
        """What config.yaml says; `policy` has the fault of policy.yaml and the number of its rules."""

    @property
    def names(self) -> Iterable[str]:
        """The qualified names of all devices."""

    @property
    def refused(self) -> Mapping[str, str]:
        """For each file or directory that is not used, why."""

    @property
    def conflicts(self) -> Mapping[str, Sequence[str]]:
        """For each device that two files of one directory define, those files."""

    def find(self, name: str) -> Found | None:
        """A device's spec file, the file's own edits and the device's; None where there is no such device."""

    def rules(self, name: str, text: Callable[[str], str]) -> Iterable[Rule]:
        """The rules of the policy that may be about a device and a container, in their order.

        name: the device's. text: what is to be known of the container, by its name (`shim.policy.Container.text`).
        """


class SpecFiles:
    """The devices as the spec files have them now."""

    def __init__(self, registry: Registry, settings: Settings, config: str = "") -> None:
        """The devices, as the settings in the file `config` want them. `policy` among them has the rules."""
        from cdi_runc.host import policy, trust

        self.registry = registry
        rules = settings.get("policy", policy.NONE)
        self._rules: list[Rule] = rules["rules"]
        settings = settings | {"policy": policy.counted(rules)}
        self.settings: dict[str, Any] = settings
        if "trust" in settings:
            self.settings = settings | {"foreign": trust.foreign(settings, config, registry.specs)}

    @property
    def names(self) -> Iterable[str]:
        """As in Known."""
        return self.registry.devices

    @property
    def refused(self) -> Mapping[str, str]:
        """As in Known."""
        return {path: str(errors[0]) for path, errors in self.registry.errors.items()}

    @property
    def conflicts(self) -> Mapping[str, Sequence[str]]:
        """As in Known."""
        return {name: list(paths) for name, paths in self.registry.conflicts.items()}

    def find(self, name: str) -> Found | None:
        """As in Known."""
        return self.registry.find(name)

    def rules(self, name: str, text: Callable[[str], str]) -> Iterable[Rule]:
        """As in Known: all of them."""
        return self._rules


def shadowed(registry: Registry) -> dict[str, list[str]]:
    """For each device that a file of a later directory takes over, the files that define it in vain."""
    from cdi_runc.cdi.names import qualified_name, split_kind

    hidden: dict[str, list[str]] = {}
    for path, spec in registry.specs.items():
        for entry in spec["devices"]:
            name = qualified_name(*split_kind(spec["kind"]), entry["name"])
            winner = registry.devices.get(name)
            if winner and winner.path != path:
                hidden.setdefault(name, []).append(path)
    return hidden
