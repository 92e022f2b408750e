"""LXC: lines of a container's config, or of a file that `lxc.include` names (lxc.container.conf(5))."""

from __future__ import annotations

from cdi_runc.render.edits import Edits, Mount
from cdi_runc.render.quoting import comment, fstab
from cdi_runc.render.result import Lost, Rendered, lacking, of_this_host, one_line, without_options

# LXC numbers the interfaces of a container. People begin at 0, so ours have high numbers.
_FIRST_NETWORK = 20

# The options of fstab that LXC knows (its confile and conf.c). The kernel ignores the others for a bind mount.
_OPTIONS = frozenset(
    {"ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "norelatime", "strictatime", "nostrictatime"}
    | {"sync", "dirsync", "mand", "nomand"}
    | {"rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"}
)

_HOOK = "only LXC's hooks run it: cdictl engine enable lxc, and lxc.environment = CDI_DEVICES={} in the container"

# LXC's mount hook puts the program there (shim/lxc/lacking.py, START_HOOK). LXC takes no line of sh, only a path.
_START_HOOK = "lxc.hook.start = /dev/.cdi-start"


def render(edits: Edits) -> Rendered:
    """All that a static config can say: nodes bound from the host, mounts, rights, variables, groups, interfaces."""
    lost = lacking(edits, {"owner": "a bound node keeps the host's: LXC's hooks can make another"})
    nodes = [Mount(node.host_path, node.path, "bind", ()) for node in of_this_host(edits.nodes, lost)]
    lines = [_entry(mount, lost) for mount in [*nodes, *edits.mounts]]
    lost += lacking(edits, {"hooks": _HOOK.format(edits.asked)})
    return _rendered(edits, [*lines, *_rights(edits, "cgroup"), *_rights(edits, "cgroup2"), *_process(edits)], lost)


def beside_hook(edits: Edits, *, rights: bool = True, mapped: bool = False) -> Rendered:
    """Only what LXC's hooks can't do, for a container that asks by CDI_DEVICES as well.

    rights: whether a cgroup of version 2 has to allow the nodes. mapped: whether the container's ids are mapped; LXC
    forbids no node then, and sets no groups.
    """
    lines = _rights(edits, "cgroup2") if rights and not mapped else []
    lines += _process(edits, groups=not mapped)
    if any(name == "startContainer" for name, _ in edits.hooks):
        lines.append(_START_HOOK)
    reasons = {"gids": "LXC sets no groups where ids are mapped"} if mapped else {}
    return _rendered(edits, lines, lacking(edits, reasons))


def _rendered(edits: Edits, lines: list[str], lost: list[Lost]) -> Rendered:
    lost += lacking(edits, {"rdt": "LXC has no key for it"})
    head = comment(f"cdictl render lxc: {' '.join(edits.names)}")
    whole = f"lxc.environment = CDI_DEVICES={edits.asked}"
    return Rendered(text=head + "".join(f"{line}\n" for line in lines), lost=lost, whole=whole)


def _entry(mount: Mount, lost: list[Lost]) -> str:
    """A mount entry. Its destination is relative: LXC ignores an absolute path, without an error."""
    options = list(mount.options)
    if mount.type == "bind":
        without_options(mount, _OPTIONS, lost, "LXC knows no such option")
        options = [option for option in options if option in _OPTIONS or option == "rbind"]
        options += [] if "rbind" in options else ["bind"]
    options.append("create=dir" if mount.is_directory else "create=file")
    source, target = fstab(mount.source or mount.type), fstab(mount.target.lstrip("/"))
    type_ = "none" if mount.type == "bind" else mount.type
    return f"lxc.mount.entry = {source} {target} {type_} {fstab(','.join(options))} 0 0"


def _rights(edits: Edits, cgroup: str) -> list[str]:
    """LXC ignores the lines of the cgroup version that the host does not have."""
    nodes = [node for node in edits.nodes if node.access and node.type in "bc"]
    return [f"lxc.{cgroup}.devices.allow = {node.numbers} {node.access}" for node in nodes]


def _process(edits: Edits, groups: bool = True) -> list[str]:
    lines = [_variable(name, value) for name, value in edits.env]
    if edits.gids and groups:
        lines.append(f"lxc.init.groups = {','.join(map(str, edits.gids))}")
    for number, (interface, name) in enumerate(edits.net, _FIRST_NETWORK):
        lines += [f"lxc.net.{number}.type = phys", f"lxc.net.{number}.link = {interface}"]
        lines.append(f"lxc.net.{number}.name = {name}")
    return lines


def _variable(name: str, value: str) -> str:
    """LXC cuts blanks at both ends, and takes one pair of quotes from around the whole."""
    word = one_line(f"{name}={value}", f"variable {name}", "an LXC config")
    quoted = word != word.strip() or word[:1] == word[-1:] == '"'
    return f'lxc.environment = "{word}"' if quoted else f"lxc.environment = {word}"
