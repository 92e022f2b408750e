"""RARE. Which CDI devices the kubelet gave to a container, as requests.

The kubelet knows it before it has the container made, so an answer is always there to be had, and a container does not
start without one: it would lack its devices, and nobody would say so.
"""

import posix
import time

from cdi_runc.cdi.names import is_qualified_name
from cdi_runc.host.resources import qualified_name_of
from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.kubelet import wire
from cdi_runc.shim.kubelet.call import NoAnswer, Refused, Silence, call
from cdi_runc.shim.requests import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from cdi_runc.host.known import Known

# The annotation that each engine marks a pod's containers with, and those with namespace, pod and container.
ENGINES = (
    (
        "io.kubernetes.cri.container-type",
        ("io.kubernetes.cri.sandbox-namespace", "io.kubernetes.cri.sandbox-name", "io.kubernetes.cri.container-name"),
    ),
    (
        "io.kubernetes.cri-o.ContainerType",
        ("io.kubernetes.pod.namespace", "io.kubernetes.pod.name", "io.kubernetes.container.name"),
    ),
)
# cri-dockerd makes containers of Docker, whose configs have no annotations. But the kubelet mounts a file of its own
# into each container, at /dev/termination-log or where the pod wants it: KUBELET_DIR/pods/UID/containers/NAME/NUMBER.
# And before a pod's containers it makes a directory for their logs: NAMESPACE_POD_UID, names that have no `_`.
LOGS = "/var/log/pods"

_LISTER = "/v1.PodResourcesLister"
_PAUSE = 0.05  # seconds between two tries

# gRPC's numbers. The kubelet takes ten calls at once and a hundred in a second; more are "exhausted".
_UNKNOWN, _NOT_FOUND, _EXHAUSTED, _UNIMPLEMENTED, _UNAVAILABLE = 2, 5, 8, 12, 14


def given(config: "Mapping[str, Any]", known: "Known", warn: "Callable[[str], None]") -> list[Request]:
    """A request for each CDI device that the kubelet gave to the container, in the kubelet's order.

    config: the OCI config. known: the settings, and the devices of the host. A resource that is of no spec here is
    another plugin's, and passed over. warn: is told, in a line, that the kubelet has no such pod. Raises ShimError if
    there is no answer.
    """
    sources = known.settings["requests"]
    directory = sources["kubelet-dir"].rstrip("/")
    who = _who(config, f"{directory}/pods/")
    if not who:
        return []
    socket = f"{directory}/pod-resources/kubelet.sock"
    try:
        devices = _asked(socket, time.monotonic() + sources["kubelet-deadline"], *who)
    except (NoAnswer, Refused, ValueError) as fault:
        raise ShimError(
            f"{socket}: {_in_words(fault)}, so that the devices of container {who[2]} of the pod {who[0]}/{who[1]} are "
            "not known: start the kubelet, or set 'requests: {kubelet: false}'"
        ) from None
    if devices is None:
        warn(f"the kubelet has no pod {who[0]}/{who[1]}, so that it gave no device to container {who[2]}")
    requests: dict[str, Request] = {}
    for way, identifier, names in devices or ():
        for name in names or _names_of(way, identifier, known):
            if not is_qualified_name(name):
                raise ShimError(f"the kubelet names {name!r} for the {way}, which is not a CDI device name")
            requests.setdefault(name, Request(name, "kubelet", way))
    return list(requests.values())


def _who(config: "Mapping[str, Any]", pods: str) -> "tuple[str, str, str] | None":
    """The namespace, the pod and the name of the container; None where it is of no pod.

    pods: the path that the kubelet's directories of pods begin with.
    """
    annotations = config.get("annotations")
    if not isinstance(annotations, dict):
        annotations = {}
    if annotations.get("io.container.manager") == "libpod":
        return None  # Podman's containers are of no pod of the kubelet, whatever their images say
    found = [keys for mark, keys in ENGINES if mark in annotations]
    if len(found) > 1:
        raise ShimError("the annotations are those of containerd and of CRI-O, so that they can't be trusted")
    if not found:
        return _by_mounts(config, pods)
    names = [annotations.get(key) for key in found[0]]
    for key, name in zip(found[0], names, strict=True):
        if not isinstance(name, str) or not name:
            raise ShimError(f"the annotation {key} is missing, so that the kubelet can't be asked for the devices")
    namespace, pod, container = names
    return str(namespace), str(pod), str(container)


def _by_mounts(config: "Mapping[str, Any]", pods: str) -> "tuple[str, str, str] | None":
    for mount in config.get("mounts") or ():
        source = mount.get("source") if isinstance(mount, dict) else None
        parts = source[len(pods) :].split("/") if isinstance(source, str) and source.startswith(pods) else []
        if len(parts) != 4 or parts[1] != "containers" or not all(parts):
            continue
        uid, _, container, _ = parts
        try:
            names = [name.split("_") for name in posix.listdir(LOGS) if name.endswith(f"_{uid}")]
        except OSError:
            names = []
        if len(names) != 1 or len(names[0]) != 3:
            raise ShimError(f"{LOGS} does not tell which pod has the UID {uid}, so that the kubelet can't be asked")
        return names[0][0], names[0][1], container
    return None


def _names_of(way: str, identifier: str, known: "Known") -> list[str]:
    """The CDI name of a device plugin's device. A claim comes with its names for the engine, or has none."""
    kind, _, resource = way.partition(" ")
    if kind != "resource":
        return []
    name = qualified_name_of(resource, identifier, known.find, lambda: known.names)
    return [name] if name else []


def _asked(socket: str, end: float, namespace: str, pod: str, container: str) -> "list[wire.Device] | None":
    """What the container has; None where there is no such pod. By Get, or by List where the kubelet has no Get.

    Get has an error of no certain kind for a pod that is not there, so List has the last word.
    """
    try:
        answer = _called(socket, f"{_LISTER}/Get", wire.get_request(namespace, pod), end)
        return wire.of_get(answer, container)
    except Refused as no:
        if no.status not in (_UNKNOWN, _NOT_FOUND, _UNIMPLEMENTED):
            raise
    return wire.of_list(_called(socket, f"{_LISTER}/List", b"", end), namespace, pod, container)


def _called(socket: str, method: str, request: bytes, end: float) -> bytes:
    """The answer, from as many tries as it takes: a kubelet that has just been started may not listen yet."""
    before: Exception | None = None
    while True:
        try:
            return call(socket, method, request, end)
        except Silence:
            if before:
                raise before from None  # which says more
            raise
        except (NoAnswer, Refused) as fault:
            again = fault.again if isinstance(fault, NoAnswer) else fault.status in (_EXHAUSTED, _UNAVAILABLE)
            if not again or time.monotonic() + _PAUSE >= end:
                raise
            before = fault
        time.sleep(_PAUSE)


def _in_words(fault: Exception) -> str:
    if isinstance(fault, Refused):
        return f"the kubelet refuses to say (status {fault.status} of gRPC: {fault})"
    if isinstance(fault, ValueError):
        return f"the kubelet's answer cannot be understood: {fault}"
    return str(fault)
