"""systemd-nspawn: its arguments, or the text of a .nspawn file (systemd-nspawn(1), systemd.nspawn(5))."""

from __future__ import annotations

from collections.abc import Callable

from cdi_runc.render.edits import Edits, Mount
from cdi_runc.render.quoting import colons, comment
from cdi_runc.render.quoting import nspawn as quoted
from cdi_runc.render.result import Lost, Rendered, lacking, no_such_mount, of_this_host, one_line, without_options

_LACKS = {
    "owner": "a bound node keeps the host's",
    "gids": "systemd-nspawn gives a process the groups that its user has in the container",
    "hooks": "systemd-nspawn has no hooks",
    "net": "systemd-nspawn would rename it only from systemd 255 on: --network-interface=",
    "rdt": "systemd-nspawn has no option for it",
}


def render(edits: Edits) -> Rendered:
    """Arguments, which go before the container's command."""
    binds, lost = _mounts(edits)
    arguments = [f"{option}={value}" for option, value in binds]
    arguments += [f"--setenv={_variable(name, value)}" for name, value in edits.env]
    return Rendered(arguments, lost=lost)


def file(edits: Edits) -> Rendered:
    """A .nspawn file, for /etc/systemd/nspawn/NAME.nspawn; elsewhere systemd-nspawn does not trust it."""
    binds, lost = _mounts(edits)
    keys = {"--bind": "Bind", "--bind-ro": "BindReadOnly", "--tmpfs": "TemporaryFileSystem"}
    lines = ["[Exec]", *(f"Environment={quoted(_variable(name, value))}" for name, value in edits.env)]
    # Bind= takes the whole line, so spaces need no quotes there.
    lines += ["[Files]", *(f"{keys[option]}={value}" for option, value in binds)]
    head = comment(f"cdictl render nspawn --file: {' '.join(edits.names)}")
    return Rendered(text=head + "".join(f"{line}\n" for line in lines), lost=lost)


def _mounts(edits: Edits) -> tuple[list[tuple[str, str]], list[Lost]]:
    lost = lacking(edits, _LACKS)
    lost += [
        Lost(f"permissions {node.access or 'none'} of {node.path}", "systemd-nspawn allows rw, or r")
        for node in edits.nodes
        if set(node.access) not in ({*"rwm"}, {*"rw"}, {"r"})
    ]
    binds = []
    for node in of_this_host(edits.nodes, lost):
        # For a registered container a read-only bind is also the right to read only.
        option = "--bind-ro" if node.access == "r" else "--bind"
        binds.append((option, _pair(Mount(node.host_path, node.path, "bind", ()))))
    for mount in edits.mounts:
        if mount.type == "bind":
            without_options(mount, ("ro",), lost, "systemd-nspawn has only ro for it")
            binds.append(("--bind-ro" if mount.read_only else "--bind", _pair(mount)))
        elif mount.type == "tmpfs":
            path = one_line(colons(mount.target), "mount", "systemd-nspawn")
            binds.append(("--tmpfs", f"{path}:{','.join(mount.options)}" if mount.options else path))
        else:
            lost.append(no_such_mount(mount, "systemd-nspawn"))
    return binds, lost


def _pair(mount: Mount) -> str:
    one: Callable[[str], str] = lambda path: one_line(colons(path), f"mount {mount.target}", "systemd-nspawn")  # noqa: E731
    return f"{one(mount.source)}:{one(mount.target)}"


def _variable(name: str, value: str) -> str:
    return one_line(f"{name}={value}", f"variable {name}", "systemd-nspawn")
