"""Nomad: the part of a task with the docker driver (Nomad's docs, "Configure the Docker task driver")."""

from __future__ import annotations

from cdi_runc.render.docker import PROPAGATIONS, devices, lacking_in_docker, pipes, propagation
from cdi_runc.render.edits import Edits, Mount
from cdi_runc.render.quoting import comment, hcl
from cdi_runc.render.result import Lost, Rendered, RenderError, no_such_mount, without_options

_MARKERS = "/var/run/cdi-devices"


def render(edits: Edits) -> Rendered:
    """The blocks `config` and `env` of a task. The client needs `volumes { enabled = true }` for its mounts."""
    lost = lacking_in_docker(edits, "Nomad")
    nodes = [
        f"    {{ host_path = {_text(node.host_path)}, container_path = {_text(node.path)}, "
        f"cgroup_permissions = {_text(node.access)} }},"
        for node in devices(edits, lost, "devices")
    ]
    config = ["  devices = [", *nodes, "  ]"] if nodes else []
    for mount in [*edits.mounts, *pipes(edits)]:
        config += _mount(mount, lost)
    if edits.gids:
        config.append(f"  group_add = [{', '.join(_text(str(gid)) for gid in edits.gids)}]")
    env = [f"  {_text(name)} = {_text(value)}" for name, value in edits.env]
    lines = [*(["config {", *config, "}"] if config else []), *(["env = {", *env, "}"] if env else [])]
    whole = "\n".join(['runtime = "cdi-runc"', *(line for name in edits.names for line in _marker(name))])
    head = comment(f"cdictl render nomad: {' '.join(edits.names)}")
    head += comment("On clients with cdi-runc (requests: mounts:), these lines of `config` carry the whole device:")
    head += comment(*(f"    {line}" for line in whole.splitlines()))
    return Rendered(text=head + "".join(f"{line}\n" for line in lines), lost=lost, whole=whole)


def _mount(mount: Mount, lost: list[Lost]) -> list[str]:
    if mount.type not in ("bind", "tmpfs"):
        lost.append(no_such_mount(mount, "Nomad"))
        return []
    reason = "Nomad has only readonly and the propagation for it"
    without_options(mount, ("ro", *PROPAGATIONS), lost, reason)
    lines = ["  mount {", f"    type = {_text(mount.type)}", f"    target = {_text(mount.target)}"]
    if mount.type == "bind":
        lines.append(f"    source = {_text(mount.source)}")
    lines += ["    readonly = true"] if mount.read_only else []
    spread = propagation(mount)
    lines += ["    bind_options {", f"      propagation = {_text(spread)}", "    }"] if spread else []
    return [*lines, "  }"]


def _marker(name: str) -> list[str]:
    """The mount by which a container asks for a device."""
    target = f"{_MARKERS}/{name.replace('=', '/')}"
    return ["mount {", '  type = "bind"', '  source = "/dev/null"', f"  target = {hcl(target)}", "}"]


def _text(value: str) -> str:
    """A text of the job. Nomad's client once more replaces `${…}`, for which there is no escape."""
    if "${" in value:
        raise RenderError(f"Nomad would replace the ${{ in it, and has no escape for it: {value[:60]!r}")
    return hcl(value)
