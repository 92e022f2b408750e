"""Apptainer and SingularityCE: arguments of `run` and `exec`, which go before the image."""

from __future__ import annotations

from cdi_runc.render.edits import Edits, Mount
from cdi_runc.render.quoting import csv
from cdi_runc.render.result import (
    Lost,
    Rendered,
    lacking,
    no_such_mount,
    of_this_host,
    one_line,
    without_options,
)

_LACKS = {
    "owner": "a bound node keeps the host's",
    "access": "Apptainer restricts no device",
    "gids": "Apptainer leaves a process its caller's groups",
    "hooks": "Apptainer has no hooks",
    "net": "Apptainer moves no interface",
    "rdt": "Apptainer has no option for it",
}


def render(edits: Edits) -> Rendered:
    """Arguments. Without --contain the container has the host's whole /dev anyway."""
    lost = lacking(edits, _LACKS)
    mounts = [Mount(node.host_path, node.path, "bind", ()) for node in of_this_host(edits.nodes, lost)]
    arguments = []
    for mount in [*mounts, *edits.mounts]:
        if mount.type == "bind":
            # Its binds are always nosuid, and for users nodev.
            without_options(mount, ("ro", "nosuid", "nodev"), lost, "Apptainer has only ro for it")
            fields = ["type=bind", f"source={mount.source}", f"destination={mount.target}"]
            arguments += ["--mount", ",".join(map(csv, [*fields, *(["ro"] if mount.read_only else [])]))]
        else:
            lost.append(no_such_mount(mount, "Apptainer"))
    for name, value in edits.env:
        if word := _variable(name, value, lost):
            arguments += ["--env", word]
    return Rendered(arguments, lost=lost)


def _variable(name: str, value: str, lost: list[Lost]) -> str | None:
    """`--env` is read by pflag's stringToString: as CSV where there is more than one `=`, else as it is, and then
    without quotes at its ends."""
    word = one_line(f"{name}={value}", f"variable {name}", "Apptainer's --env")
    if "=" in value:
        return csv(word)
    if word.endswith('"'):
        lost.append(Lost(f"variable {name}", "Apptainer's --env takes a quote at its end away"))
        return None
    return word
