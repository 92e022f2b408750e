"""bubblewrap: arguments, which go after `--dev /dev` (bwrap(1))."""

from __future__ import annotations

from cdi_runc.render.edits import Edits
from cdi_runc.render.result import Rendered, lacking, no_such_mount, of_this_host, without_options

_LACKS = {
    "owner": "a bound node keeps the host's",
    "access": "bubblewrap restricts no device",
    "gids": "bubblewrap leaves a process its caller's groups",
    "hooks": "bubblewrap has no hooks",
    "net": "bubblewrap moves no interface",
    "rdt": "bubblewrap has no option for it",
}


def render(edits: Edits) -> Rendered:
    """Arguments. `--dev` would hide a node that is before it."""
    lost = lacking(edits, _LACKS)
    arguments = []
    for node in of_this_host(edits.nodes, lost):
        arguments += ["--dev-bind", node.host_path, node.path]
    for mount in edits.mounts:
        if mount.type == "bind":
            # Its binds are always nosuid and nodev.
            without_options(mount, ("ro", "nosuid", "nodev"), lost, "bubblewrap has only ro for it")
            arguments += ["--ro-bind" if mount.read_only else "--bind", mount.source, mount.target]
        elif mount.type == "tmpfs":
            without_options(mount, ("nosuid", "nodev"), lost, "bubblewrap has no options for a tmpfs")
            arguments += ["--tmpfs", mount.target]
        elif mount.type == "proc":
            arguments += ["--proc", mount.target]
        else:
            lost.append(no_such_mount(mount, "bubblewrap"))
    for name, value in edits.env:
        arguments += ["--setenv", name, value]
    return Rendered(arguments, lost=lost)
