"""HOT. Which CDI devices a container asks for, and how it asks for each.

Reads the config and the settings of what counts as a request; knows no device and no spec file.
"""

from cdi_runc.cdi.annotations import parse_annotations
from cdi_runc.cdi.names import is_qualified_name
from cdi_runc.shim.errors import ShimError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    Sources = Mapping[str, Any]  # `requests` of the settings

# The settings' own defaults, for a host whose settings can't be read.
DEFAULTS: "Sources" = {"annotations": ["cdi.k8s.io/"], "mounts": None, "env": None, "kubelet": False}


class Request:
    """One device that a container asks for.

    name: its qualified name. through: `annotation`, `mount`, `variable` or `kubelet`. where: the annotation's key, the
    mount's destination, the variable's name, or the resource or claim by which the kubelet gave it.
    """

    __slots__ = ("name", "through", "where")

    def __init__(self, name: str, through: str, where: str) -> None:
        self.name = name
        self.through = through
        self.where = where

    def __str__(self) -> str:
        return f"{self.through} {self.where}"


def requested(config: "Mapping[str, object]", sources: "Sources") -> list[Request]:
    """The container's requests, one for each device, in the order that design and vendors rely on:
    annotation keys sorted and their values in order, then mounts, then the variable.

    config: the OCI config. sources: `requests` of the settings: `annotations` (prefixes of keys), `mounts` (a
    directory or None), `env` (a variable's name or None).
    Raises ShimError and InvalidName for a request that can't be a device's name.
    """
    found: dict[str, Request] = {}
    for request in _requests(config, sources):
        if request.through != "annotation" and not is_qualified_name(request.name):
            raise ShimError(f"{request}: {request.name!r} is not a CDI device name; expected vendor.com/class=name")
        found.setdefault(request.name, request)
    return list(found.values())


def without_markers(config: "Mapping[str, object]", sources: "Sources") -> "list[object] | None":
    """The config's mounts without those that only ask for a device; None if no mount does."""
    directory = sources["mounts"]
    if not directory:
        return None
    mounts = _mounts(config)
    kept = [mount for mount in mounts if not _of_mount(mount, directory)]
    return kept if len(kept) < len(mounts) else None


def needles(sources: "Sources") -> list[bytes]:
    """Byte strings. Any JSON text with a request has at least one of them: letters of the request, or an escape."""
    words = [prefix.partition("/")[0] for prefix in sources["annotations"]]
    words += [word.rpartition("/")[2] for word in (sources["mounts"], sources["env"]) if word]
    if sources.get("kubelet"):
        words += ["io.kubernetes.cri", "pods"]  # what annotations of pods begin with, and sources of their mounts have
    return [b"\\u", *(word.encode() for word in words)]


def _requests(config: "Mapping[str, object]", sources: "Sources") -> "Iterator[Request]":
    annotations = config.get("annotations") or {}
    if not isinstance(annotations, dict):
        raise ShimError("config.json: annotations: expected an object")
    prefixes = tuple(sources["annotations"])
    for key in sorted(key for key in annotations if key.startswith(prefixes)):
        for name in parse_annotations({key: annotations[key]}, prefixes)[1]:
            yield Request(name, "annotation", key)
    if sources["mounts"]:
        for mount in _mounts(config):
            name = _of_mount(mount, sources["mounts"])
            if name:
                yield Request(name, "mount", mount["destination"])  # type: ignore[index]  # else there were no name
    if sources["env"]:
        for name in _of_variable(config, sources["env"]):
            yield Request(name, "variable", sources["env"])


def _mounts(config: "Mapping[str, object]") -> "list[object]":
    mounts = config.get("mounts")
    return mounts if isinstance(mounts, list) else []


def _of_mount(mount: object, directory: str) -> str:
    """The device that a bind mount of /dev/null to DIRECTORY/vendor.com/class/NAME asks for, or ''.

    Other mounts there ask for nothing: an image can have a VOLUME of such a path, and its source is a directory.
    """
    if not isinstance(mount, dict) or mount.get("source") != "/dev/null":
        return ""
    destination, options = mount.get("destination"), mount.get("options")
    if not isinstance(destination, str) or not destination.startswith(f"{directory}/"):
        return ""
    if mount.get("type") != "bind" and not (isinstance(options, list) and ("bind" in options or "rbind" in options)):
        return ""
    vendor, _, rest = "/".join(filter(None, destination[len(directory) :].split("/"))).partition("/")
    class_, _, name = rest.partition("/")
    return f"{vendor}/{class_}={name}"


def _of_variable(config: "Mapping[str, object]", variable: str) -> list[str]:
    """The devices that the process's variable names, separated by commas; of several settings the last counts."""
    process = config.get("process")
    env = process.get("env") if isinstance(process, dict) else None
    value = ""
    for entry in env if isinstance(env, list) else []:
        if isinstance(entry, str) and entry.startswith(f"{variable}="):
            value = entry[len(f"{variable}=") :]
    return value.split(",") if value else []
