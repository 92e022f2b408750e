"""Docker: arguments of `docker run` and `docker create`."""

from __future__ import annotations

from cdi_runc.render.edits import Edits, Mount, Node
from cdi_runc.render.quoting import csv
from cdi_runc.render.result import Lost, Rendered, lacking, no_such_mount, of_this_host, without_options

LACKS = {
    "owner": "a node keeps the host's",
    "hooks": "{} has no hooks",
    "net": "{} moves no interface",
    "rdt": "{} has no option for it",
}
PROPAGATIONS = ("shared", "rshared", "slave", "rslave")


def render(edits: Edits) -> Rendered:
    """Arguments, which go before the image."""
    lost = lacking_in_docker(edits, "docker run")
    arguments = []
    for node in devices(edits, lost, "--device"):
        arguments += ["--device", f"{node.host_path}:{node.path}:{node.access}"]
    for mount in [*edits.mounts, *pipes(edits)]:
        if mount.type == "bind":
            arguments += ["--mount", _bind(mount, lost)]
        elif mount.type == "tmpfs" and ":" not in mount.target:
            options = f":{','.join(mount.options)}" if mount.options else ""
            arguments += ["--tmpfs", f"{mount.target}{options}"]
        else:
            lost.append(no_such_mount(mount, "docker run"))
    for name, value in edits.env:
        arguments += ["--env", f"{name}={value}"]
    for gid in edits.gids:
        arguments += ["--group-add", str(gid)]
    whole = f"--runtime cdi-runc --annotation cdi.k8s.io/x={edits.asked}"
    return Rendered(arguments, lost=lost, whole=whole)


def lacking_in_docker(edits: Edits, name: str) -> list[Lost]:
    """What no form of Docker's options can say."""
    return lacking(edits, {kind: reason.format(name) for kind, reason in LACKS.items()})


def devices(edits: Edits, lost: list[Lost], option: str) -> list[Node]:
    """The nodes that an option `HOST:CONTAINER:PERMISSIONS` can name."""
    named = []
    for node in of_this_host(edits.nodes, lost):
        if node.type == "p":
            continue  # see pipes()
        if ":" in node.path + node.host_path:
            lost.append(Lost(f"device node {node.path}", f"{option} has no way to write a colon"))
        elif not node.access:
            lost.append(Lost(f"device node {node.path}", f"{option} can't give it without any permission"))
        else:
            named.append(node)
    return named


def pipes(edits: Edits) -> list[Mount]:
    """Named pipes are no devices for Docker. They can be mounted."""
    return [Mount(node.host_path, node.path, "bind", ()) for node in edits.nodes if node.type == "p" and node.on_host]


def propagation(mount: Mount) -> str | None:
    """How mounts spread from it and to it, where that is not the default."""
    said = [option for option in mount.options if option in PROPAGATIONS]
    return said[-1] if said else None


def _bind(mount: Mount, lost: list[Lost]) -> str:
    without_options(mount, ("ro", *PROPAGATIONS), lost, "docker run has only ro and the propagation for it")
    fields = ["type=bind", f"src={mount.source}", f"dst={mount.target}"]
    fields += ["readonly"] if mount.read_only else []
    spread = propagation(mount)
    return ",".join(csv(field) for field in [*fields, *([f"bind-propagation={spread}"] if spread else [])])
