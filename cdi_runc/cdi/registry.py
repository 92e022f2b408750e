"""All specs of a host: directories, precedence, conflicts (the reference's pkg/cdi/cache.go and spec-dirs.go)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from cdi_runc.cdi.edits import apply
from cdi_runc.cdi.errors import CDIError
from cdi_runc.cdi.injection import resolve
from cdi_runc.cdi.names import qualified_name, split_kind
from cdi_runc.cdi.spec import load_spec

if TYPE_CHECKING:
    from cdi_runc.cdi.injection import Found
    from cdi_runc.cdi.types import ContainerEdits, Spec
    from cdi_runc.cdi.types import Device as SpecDevice

DEFAULT_SPEC_DIRS = ("/etc/cdi", "/var/run/cdi")  # what an administrator writes, and what is generated


class Device:
    """A device of a spec file: `name` is the qualified name, `spec_edits` are those of all the file's devices."""

    __slots__ = ("annotations", "edits", "name", "path", "spec_edits")

    def __init__(self, path: str, spec: Spec, device: SpecDevice) -> None:
        self.name = qualified_name(*split_kind(spec["kind"]), device["name"])
        self.path = path
        self.annotations: Mapping[str, str] = device.get("annotations", {})
        self.edits: ContainerEdits = device.get("containerEdits", {})
        self.spec_edits: ContainerEdits = spec.get("containerEdits", {})

    def __repr__(self) -> str:
        return f"<Device {self.name} of {self.path}>"


class Registry:
    """The devices that the spec files of some directories define; a later directory wins over an earlier one.

    Read when it is made, and again at `refresh`. A file that cannot be used takes no part and hides no other. A device
    that two files of one directory define is in conflict, and cannot be had from any directory.

    `specs` are the valid specs by path, `devices` the usable devices by qualified name; `errors` what is wrong, by the
    path of a file or directory; `conflicts` the paths of the files that define a device in conflict, by its name.
    """

    specs: Mapping[str, Spec]
    devices: Mapping[str, Device]
    errors: Mapping[str, list[CDIError]]
    conflicts: Mapping[str, list[str]]

    def __init__(self, spec_dirs: Iterable[str | os.PathLike[str]] = DEFAULT_SPEC_DIRS) -> None:
        self.spec_dirs = tuple(os.path.normpath(directory) for directory in spec_dirs)
        self.refresh()

    def refresh(self) -> None:
        """Read all directories and files again."""
        specs: dict[str, Spec] = {}
        errors: dict[str, list[CDIError]] = {}
        conflicts: dict[str, list[str]] = {}
        devices: dict[str, Device] = {}
        for directory in self.spec_dirs:
            found = self._read_directory(directory, errors)
            specs |= found
            devices |= _devices(found, conflicts)
        for name, paths in conflicts.items():
            for path in paths:
                others = ", ".join(other for other in paths if other != path)
                errors.setdefault(path, []).append(CDIError(f"{path}: conflicting device {name}, also in {others}"))
            del devices[name]
        self.specs = MappingProxyType(specs)
        self.devices = MappingProxyType(devices)
        self.errors = MappingProxyType(errors)
        self.conflicts = MappingProxyType(conflicts)

    def _read_directory(self, directory: str, errors: dict[str, list[CDIError]]) -> dict[str, Spec]:
        specs = {}
        try:
            for path in self._paths(directory):
                try:
                    specs[path] = self._load(path)
                except CDIError as error:
                    errors[path] = [error]
        except CDIError as error:
            errors[directory] = [error]
        return specs

    def _paths(self, directory: str) -> list[str]:
        return spec_files(directory)

    def _load(self, path: str) -> Spec:
        return load_spec(path)

    @property
    def vendors(self) -> list[str]:
        """The vendors of all valid specs, sorted."""
        return sorted({split_kind(spec["kind"])[0] for spec in self.specs.values()})

    @property
    def classes(self) -> list[str]:
        """The classes of all valid specs, sorted."""
        return sorted({split_kind(spec["kind"])[1] for spec in self.specs.values()})

    def find(self, name: str) -> Found | None:
        """The edits of the device, in the form that `injection.resolve` needs; None if nobody can have it."""
        device = self.devices.get(name)
        return (device.path, device.spec_edits, device.edits) if device else None

    def inject(self, config: dict[str, Any], names: Iterable[str]) -> None:
        """Make the edits of the named devices to an OCI config, in place and all or none.

        A device named twice is applied twice. Raises UnresolvableDevices and InjectionError.
        """
        apply(config, resolve(names, self.find))


def spec_files(directory: str) -> list[str]:
    """The paths of the spec files in a directory, sorted; none where there is no directory. Raises CDIError.

    They are what ends in `.yaml` or `.json`, hidden or not, and is no directory; links are for the reader to follow.
    """
    try:
        with os.scandir(directory) as entries:
            names = [
                entry.name
                for entry in entries
                if entry.name.endswith((".yaml", ".json")) and not entry.is_dir(follow_symlinks=False)
            ]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CDIError(f"{directory}: the spec directory cannot be read: {error.strerror}") from None
    return [os.path.join(directory, name) for name in sorted(names)]


def _devices(specs: Mapping[str, Spec], conflicts: dict[str, list[str]]) -> dict[str, Device]:
    """The devices of one directory's specs; those that two of them define go to the conflicts besides."""
    devices: dict[str, Device] = {}
    for path, spec in specs.items():
        for entry in spec["devices"]:
            device = Device(path, spec, entry)
            first = devices.setdefault(device.name, device)
            if first is not device:
                paths = conflicts.setdefault(device.name, [])
                paths += [other for other in (first.path, path) if other not in paths]
    return devices
