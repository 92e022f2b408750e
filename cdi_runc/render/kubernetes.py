"""Kubernetes and `podman kube play`: the parts of a pod that give it a device's edits, where nothing knows CDI."""

from __future__ import annotations

import re
from typing import Any

import yaml

from cdi_runc.render.edits import Edits
from cdi_runc.render.quoting import comment
from cdi_runc.render.result import Lost, Rendered, lacking, no_such_mount, without_options

_LACKS = {
    "owner": "a volume keeps the host's",
    "hooks": "a pod has no hooks",
    "net": "a pod moves no interface",
    "rdt": "a pod has no field for it",
}
_CLOSED = "the container sees it, and may open it only with privileged: true, or through a device plugin (cdi-node)"
# The kubelet replaces $(NAME), and makes one dollar of two. Podman does the first only.
_DOLLARS = re.compile(r"\$(?=[$(])")
_PROPAGATIONS = {"rslave": "HostToContainer", "rshared": "Bidirectional"}


def render(edits: Edits) -> Rendered:
    """A pod's volumes and groups, and its container's mounts and variables."""
    lost = lacking(edits, _LACKS)
    volumes: list[dict[str, Any]] = []
    mounts: list[dict[str, Any]] = []
    for node in edits.nodes:
        kind = {"b": "BlockDevice", "c": "CharDevice"}.get(node.type)
        if kind is None:
            lost.append(Lost(f"device node {node.path}", "a volume can't be a named pipe"))
            continue
        lost.append(Lost(f"rights to {node.path}", _CLOSED))
        volumes.append({"hostPath": {"path": node.host_path, "type": kind}})
        mounts.append({"mountPath": node.path})
    for mount in edits.mounts:
        if mount.type == "bind":
            without_options(mount, ("ro", *_PROPAGATIONS), lost, "a volume has only readOnly and mountPropagation")
            volumes.append({"hostPath": {"path": mount.source}})
        elif mount.type == "tmpfs":
            without_options(mount, ("ro",), lost, "an emptyDir has no such option")
            volumes.append({"emptyDir": {"medium": "Memory"}})
        else:
            lost.append(no_such_mount(mount, "a pod"))
            continue
        spread = [_PROPAGATIONS[option] for option in mount.options if option in _PROPAGATIONS]
        read_only = {"readOnly": True} if mount.read_only else {}
        mounts.append({"mountPath": mount.target} | read_only | ({"mountPropagation": spread[-1]} if spread else {}))
    names = [{"name": f"cdi-{number}"} for number in range(len(volumes))]
    container = {
        "name": "NAME",
        "volumeMounts": [name | mount for name, mount in zip(names, mounts, strict=True)],
        "env": [{"name": name, "value": _DOLLARS.sub("$$", value)} for name, value in edits.env],
    }
    spec = {
        "securityContext": {"supplementalGroups": list(edits.gids)} if edits.gids else None,
        "volumes": [name | volume for name, volume in zip(names, volumes, strict=True)],
        "containers": [{key: value for key, value in container.items() if value}],
    }
    whole = {"metadata": {"annotations": {"cdi.k8s.io/x": edits.asked}}, "spec": {"runtimeClassName": "cdi-runc"}}
    head = comment(f"cdictl render kubernetes: {' '.join(edits.names)}")
    head += comment("On nodes with cdi-runc, these lines of a pod carry the whole device instead:")
    head += comment(*(f"    {line}" for line in _yaml(whole).splitlines()))
    text = _yaml({"spec": {key: value for key, value in spec.items() if value}})
    return Rendered(text=head + text, lost=lost, whole=_yaml(whole).rstrip("\n"))


def _yaml(data: object) -> str:
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=2**31)
    return text
