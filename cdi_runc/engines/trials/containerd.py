"""A throw-away container of containerd, by `ctr`; a handler of CRI would need a kubelet."""

from __future__ import annotations

from cdi_runc.engines.ask import ask, binary
from cdi_runc.engines.containerd import address, snapshotter
from cdi_runc.engines.engine import Found
from cdi_runc.engines.trials.container import Container

_NAMESPACE = "cdi-runc-test"


def load_image(found: Found, archive: str, image: str) -> None:
    """`ctr images import`."""
    ask([*_ctr(found), "images", "import", *_snapshotter(found), archive])


def start(found: Found, container: Container) -> int:
    """`ctr run --detach` with the handler's binary, which is how users of `ctr` name a runtime."""
    options = ["--detach", "--runc-binary", container.path, *_snapshotter(found)]
    options += [f"--annotation={key}={value}" for key, value in container.annotations.items()]
    options += [f"--mount=type=bind,src={host},dst={target},options=rbind" for target, host in container.mounts.items()]
    options += [f"--env={key}={value}" for key, value in container.env.items()]
    ask([*_ctr(found), "run", *options, container.image, container.name, *container.command])
    tasks = (line.split() for line in ask([*_ctr(found), "tasks", "list"]).splitlines())
    return next((int(fields[1]) for fields in tasks if fields and fields[0] == container.name), 0)


def clean(found: Found, container: Container, image: bool) -> None:
    """Kill the task, remove container and image, and the namespace that held them."""
    if container.name in ask([*_ctr(found), "tasks", "list", "--quiet"]).split():
        ask([*_ctr(found), "tasks", "delete", "--force", container.name])
    if container.name in ask([*_ctr(found), "containers", "list", "--quiet"]).split():
        ask([*_ctr(found), "containers", "delete", container.name])
    if image:
        ask([*_ctr(found), "images", "remove", "--sync", container.image])
    ask([*_ctr(found)[:-2], "namespaces", "remove", _NAMESPACE])


def _ctr(found: Found) -> list[str]:
    return [binary("containerd's client", "ctr"), "--address", address(found.config), "--namespace", _NAMESPACE]


def _snapshotter(found: Found) -> list[str]:
    name = snapshotter(found)
    return ["--snapshotter", name] if name else []
