"""HOT. Which CDI devices a container asks for, and through what.

Reads the config and the settings of what counts as a request; knows no device and no spec file.
"""

from cdi_runc.cdi.annotations import parse_annotations
from cdi_runc.cdi.names import is_qualified_name
from cdi_runc.shim.errors import ShimError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Sources = Mapping[str, Any]  # `requests` of the settings

# A pod's pause container is given the pod's annotations, and none of the devices (containerd's CRI, CRI-O).
SANDBOX = {"io.kubernetes.cri.container-type": "sandbox", "io.kubernetes.cri-o.ContainerType": "sandbox"}


def requested(config: "Mapping[str, object]", sources: "Sources") -> list[str]:
    """Qualified device names that the container asks for, each once, in the order that design and vendors rely on:
    annotation keys sorted and their values in order, then mounts, then the variable.

    config: the OCI config. sources: `requests` of the settings: `annotations` (prefixes of keys), `mounts` (a
    directory or None), `env` (a variable's name or None).
    Raises ShimError for a request that no device can be meant by.
    """
    annotations = config.get("annotations") or {}
    if not isinstance(annotations, dict):
        raise ShimError("config.json: annotations: an object is wanted")
    if any(annotations.get(key) == value for key, value in SANDBOX.items()):
        return []
    names = parse_annotations(annotations, sources["annotations"])[1]
    others: list[str] = []  # which nobody has checked yet
    if sources["mounts"]:
        others += [name for name in (_of_mount(mount, sources["mounts"]) for mount in _mounts(config)) if name]
    if sources["env"]:
        others += _of_variable(config, sources["env"])
    for name in others:
        if not is_qualified_name(name):
            raise ShimError(f"{name!r} is no CDI device: vendor.com/class=name is wanted")
    return list(dict.fromkeys(names + others))


def without_markers(config: "Mapping[str, object]", sources: "Sources") -> "list[object] | None":
    """The config's mounts without those that only ask for a device; None where there is none of these."""
    directory = sources["mounts"]
    if not directory:
        return None
    mounts = _mounts(config)
    kept = [mount for mount in mounts if not _of_mount(mount, directory)]
    return kept if len(kept) < len(mounts) else None


def needles(sources: "Sources") -> list[bytes]:
    """Bytes of which at least one stands in any JSON text that holds a request: its letters, or an escape of them."""
    words = [prefix.partition("/")[0] for prefix in sources["annotations"]]
    words += [word.rpartition("/")[2] for word in (sources["mounts"], sources["env"]) if word]
    return [b"\\u", *(word.encode() for word in words)]


def _mounts(config: "Mapping[str, object]") -> "list[object]":
    mounts = config.get("mounts")
    return mounts if isinstance(mounts, list) else []


def _of_mount(mount: object, directory: object) -> str:
    """The device a mount to DIRECTORY/vendor.com/class/name asks for, or ''."""
    destination = mount.get("destination") if isinstance(mount, dict) else None
    if not isinstance(destination, str) or not destination.startswith(f"{directory}/"):
        return ""
    vendor, _, rest = destination[len(f"{directory}/") :].partition("/")
    class_, _, name = rest.partition("/")
    return f"{vendor}/{class_}={name}"


def _of_variable(config: "Mapping[str, object]", variable: object) -> list[str]:
    """The devices that the process's variable names, separated by commas; of several settings the last counts."""
    process = config.get("process")
    env = process.get("env") if isinstance(process, dict) else None
    value = ""
    for entry in env if isinstance(env, list) else []:
        if isinstance(entry, str) and entry.startswith(f"{variable}="):
            value = entry[len(f"{variable}=") :]
    return value.split(",") if value else []
