"""systemd: a drop-in for a service (systemd.exec(5), systemd.resource-control(5))."""

from __future__ import annotations

import grp

from cdi_runc.render.edits import Edits, Mount, Node
from cdi_runc.render.quoting import comment, unit
from cdi_runc.render.result import Lost, Rendered, lacking, no_such_mount, of_this_host, one_line, without_options

_LACKS = {
    "owner": "a bound node keeps the host's",
    "hooks": "a service's ExecStartPre= gets no container state",
    "net": "a service has no setting for it",
    "rdt": "a service has no setting for it",
}
_PRIVATE = (
    "Without PrivateDevices=yes, systemd would leave an empty file for the new name in the host's own /dev.",
    "It also takes CAP_MKNOD and CAP_SYS_RAWIO from the service.",
)


def render(edits: Edits) -> Rendered:
    """A drop-in, for /etc/systemd/system/UNIT.service.d/."""
    lost = lacking(edits, _LACKS)
    lines: list[str] = []
    nodes = of_this_host(edits.nodes, lost)
    if nodes:
        lines += _nodes(nodes)
    for mount in edits.mounts:
        if mount.type == "bind":
            without_options(mount, ("ro",), lost, "a service has only ro for it")
            lines.append(f"{'BindReadOnlyPaths' if mount.read_only else 'BindPaths'}={_pair(mount)}")
        elif mount.type == "tmpfs":
            options = f":{','.join(mount.options)}" if mount.options else ""
            lines.append(f"TemporaryFileSystem={_word(mount.target, 'mount')}{options}")
        else:
            lost.append(no_such_mount(mount, "a service"))
    lines += [f"Environment={_word(f'{name}={value}', f'variable {name}')}" for name, value in edits.env]
    groups = [str(gid) for gid in edits.gids if _exists(gid, lost)]
    if groups:
        lines.append(f"SupplementaryGroups={' '.join(groups)}")
    head = comment(f"cdictl render systemd: {' '.join(edits.names)}")
    private = comment(*_PRIVATE) if "PrivateDevices=yes" in lines else ""
    return Rendered(text=f"{head}{private}[Service]\n" + "".join(f"{line}\n" for line in lines), lost=lost)


def _nodes(nodes: list[Node]) -> list[str]:
    """The rights, and the binds where a node has another name than on the host. DeviceAllow= has the host's name."""
    renamed = any(node.path != node.host_path for node in nodes)
    lines = ["PrivateDevices=yes"] if renamed else []
    lines.append("DevicePolicy=closed")
    for node in nodes:
        if node.access and node.type in "bc":
            lines.append(f"DeviceAllow={_word(node.host_path, f'device node {node.path}')} {node.access}")
        if renamed:
            lines.append(f"BindPaths={_pair(Mount(node.host_path, node.path, 'bind', ()))}")
    return lines


def _pair(mount: Mount) -> str:
    """Each path is quoted for itself: a colon in quotes parts nothing."""
    return ":".join(_word(path, f"mount {mount.target}") for path in (mount.source, mount.target))


def _word(value: str, what: str) -> str:
    return unit(one_line(value, what, "a unit file"))


def _exists(gid: int, lost: list[Lost]) -> bool:
    try:
        grp.getgrgid(gid)
    except KeyError:
        lost.append(Lost(f"group {gid}", "a service has only groups that the host knows: add it to /etc/group"))
        return False
    return True
