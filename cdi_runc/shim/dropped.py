"""RARE. What the runtime will drop of a device's edits without a word, so that somebody says it."""

import posix

from cdi_runc.cdi.edits import clean_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from cdi_runc.cdi.types import ContainerEdits

RESCTRL = "/sys/fs/resctrl"


def dropped(
    edits: "Iterable[ContainerEdits]", config: "Mapping[str, Any]", features: "Callable[[], Mapping[str, Any]]"
) -> "list[str]":
    """One line for each kind of edits that the container will not have, though the runtime reports no error.

    config: the OCI config, {} where there is none yet. features: what the runtime says of itself, see `features_of`.
    """
    kinds = {kind for each in edits for kind, value in each.items() if value}
    lines = []
    if "netDevices" in kinds and not _enabled(features(), "netDevices"):
        lines.append("this runtime moves no network devices (netDevices): use runc 1.4, crun 1.22 or newer")
    if "intelRdt" in kinds and not _is_resctrl_mounted():
        lines.append(f"the host has no resctrl file system, so intelRdt has no effect: mount it at {RESCTRL}")
    if "deviceNodes" in kinds and _dev_is_the_hosts(config):
        lines.append("the container has a bind mount at /dev, so the runtime makes no device nodes there")
    return lines


def features_of(runtime: str) -> "Mapping[str, Any]":
    """What `RUNTIME features` prints (runtime-spec, features.md); {} for a runtime too old to have that command."""
    import json

    from cdi_runc.host.process import output_of

    try:
        status, printed = output_of([runtime, "features"], {b"PATH": b"/usr/sbin:/usr/bin:/sbin:/bin"})
        found = json.loads(printed) if status == 0 else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _enabled(features: "Mapping[str, Any]", feature: str) -> bool:
    linux = features.get("linux")
    found = linux.get(feature) if isinstance(linux, dict) else None
    return isinstance(found, dict) and found.get("enabled") is True


def _is_resctrl_mounted() -> bool:
    try:
        posix.stat(f"{RESCTRL}/schemata")
    except OSError:
        return False
    return True


def _dev_is_the_hosts(config: "Mapping[str, Any]") -> bool:
    mounts = config.get("mounts")
    for mount in mounts if isinstance(mounts, list) else ():
        if isinstance(mount, dict) and clean_path(str(mount.get("destination"))) == "/dev":
            options = mount.get("options")
            options = options if isinstance(options, list) else []
            return mount.get("type") == "bind" or "bind" in options or "rbind" in options
    return False
