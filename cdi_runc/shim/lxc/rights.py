"""The rights to use device nodes, as rules of a device cgroup. Only one of version 1 takes them from a hook."""

import posix

from cdi_runc.shim.errors import ShimError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


def rules(config: "Mapping[str, Any]") -> list[str]:
    """The rules of an OCI config, as the cgroup takes them."""
    found = config.get("linux", {}).get("resources", {}).get("devices", ())
    return [f"{rule['type']} {rule['major']}:{rule['minor']} {rule['access']}" for rule in found if rule.get("access")]


def has_old_devices_cgroup() -> bool:
    """Whether this host's rights for devices are in a cgroup of version 1, where start-host can still give them."""
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        return any("devices" in line.split(":")[1].split(",") for line in file)


def allow(pid: str, rules: "Sequence[str]", mapped: bool) -> None:
    """Open the device cgroup, of version 1; of version 2 it is too late, and pre-start has told so."""
    with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
        lines = [line.rstrip("\n").split(":", 2) for line in file]
    for path in [path for _, controllers, path in lines if "devices" in controllers.split(",")]:
        for rule in rules:
            try:
                descriptor = posix.open(f"/sys/fs/cgroup/devices{path}/devices.allow", posix.O_WRONLY)
                posix.write(descriptor, rule.encode())
                posix.close(descriptor)
            except OSError as error:
                if not mapped:  # where ids are mapped, LXC forbids no device
                    raise ShimError(f"the right to use {rule}: {error.strerror}") from None
