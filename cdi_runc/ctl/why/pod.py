"""The story of a pod's devices on this node: what the kubelet gave to each container, and what reached the container.

The chain has three links: the kubelet gives a resource or a claim, that is a CDI device, and the engine or cdi-runc
makes its edits. The story says where it broke.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

from cdi_runc import CDIError
from cdi_runc.cdi.injection import resolve
from cdi_runc.ctl.why import containers
from cdi_runc.ctl.why.containers import Container
from cdi_runc.ctl.why.story import Case, Step, is_in_force, read_config
from cdi_runc.host.known import SpecFiles
from cdi_runc.host.resources import resource_names
from cdi_runc.kubernetes.pod_resources import Gift, NoAnswer, cdi_names, given
from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.requests import requested

# What containerd and CRI-O write into a container's config of the pod, the namespace and the container.
_ANNOTATIONS = (
    ("io.kubernetes.cri.sandbox-name", "io.kubernetes.cri.sandbox-namespace", "io.kubernetes.cri.container-name"),
    ("io.kubernetes.cri-o.KubeName", "io.kubernetes.cri-o.Namespace", "io.kubernetes.container.name"),
    ("io.kubernetes.pod.name", "io.kubernetes.pod.namespace", "io.kubernetes.container.name"),
)


def tell_of_pod(namespace: str, pod: str, socket: str, files: SpecFiles) -> Iterator[Step]:
    """The steps of the story."""
    try:
        found = given(pod, namespace, socket)
    except NoAnswer as fault:
        yield Step("problem", f"the kubelet cannot be asked: {fault}", ["run it as root, on the node of the pod"])
        return
    if found is None:
        yield Step("problem", f"the kubelet of this node has no pod {namespace}/{pod}")
        return
    kinds = {resource: kind for kind, resource in resource_names(sorted(_kinds(files)))[0].items()}
    bundles = _bundles(namespace, pod, found)
    for name, gifts in found.items():
        if not gifts:
            yield Step("note", f"container {name}: the kubelet gave it no device")
        for gift in gifts:
            yield from _of_gift(name, gift, cdi_names(gift, kinds), files, bundles.get(name))


def _of_gift(
    name: str, gift: Gift, devices: Iterable[str], files: SpecFiles, container: Container | None
) -> Iterator[Step]:
    yield Step("ok", f"container {name}: the kubelet gave it {gift.device} of {gift.way}")
    if not devices:
        yield Step("note", f"{gift.way} is of no CDI spec on this node: another plugin serves it")
    for device in devices:
        if device not in files.names:
            yield Step("problem", f"{device} is in no usable spec file now", [f"cdictl explain device {device}"])
        elif container is None:
            yield Step("warning", f"{device}: no bundle of the container is on this host, so that it was not looked at")
        else:
            yield _of_bundle(device, files, container)


def _of_bundle(device: str, files: SpecFiles, container: Container) -> Step:
    path = os.path.join(container.bundle, "config.json")
    case = Case(files, path, read_config(path), container)
    if not is_in_force(case, resolve([device], files.find)):
        return Step(
            "problem",
            f"{device} did not reach the container: its engine does not know the CRI's field for CDI devices",
            [
                "use the runtime class cdi-runc with 'requests: {kubelet: true}', or switch CDI on in the engine",
                "docs/kubernetes.md, Engines",
                path,
            ],
        )
    return Step("ok", f"{device} is in the container, put there by {_who(case, device)}", [path])


def _who(case: Case, device: str) -> str:
    """Who may have put it there. If both can, both do it, but nothing is put there twice."""
    try:
        asked = {request.name: str(request) for request in requested(case.config, case.requests)}
    except (CDIError, ShimError):
        asked = {}
    if device in asked:
        return f"cdi-runc or the engine: {asked[device]} asks for it"
    return "cdi-runc, which asks the kubelet, or the engine" if case.requests["kubelet"] else "the engine"


def _bundles(namespace: str, pod: str, names: Iterable[str]) -> Mapping[str, Container]:
    """The containers of the pod on this host, by their names in it."""
    found: dict[str, Container] = {}
    for container in containers.everything():
        try:
            annotations = read_config(os.path.join(container.bundle, "config.json")).get("annotations") or {}
        except ShimError:
            continue  # gone meanwhile
        for keys in _ANNOTATIONS:
            has = [str(annotations.get(key)) for key in keys]
            if has[:2] == [pod, namespace] and has[2] in names:
                found[has[2]] = container
    return found


def _kinds(files: SpecFiles) -> set[str]:
    return {name.partition("=")[0] for name in files.names}
