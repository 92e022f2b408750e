"""What rendering gives: words or a text, and what the target could not take. Plain values; knows no target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cdi_runc.cdi.errors import CDIError
from cdi_runc.render.edits import Edits, Mount, Node


class RenderError(CDIError):
    """A value that the target cannot carry at all, such as a line break in a file of lines."""


@dataclass(frozen=True)
class Lost:
    """An edit that the target cannot express, in words, and why."""

    edit: str
    reason: str


@dataclass(frozen=True)
class Rendered:
    """`arguments` for a target that has flags; for all others the `text` of a file, which is never empty.

    whole: how the same system gets the whole device with cdi-runc, '' if there is no way.
    files: further files that the arguments or the text need, by name.
    """

    arguments: Sequence[str] = ()
    text: str = ""
    lost: Sequence[Lost] = ()
    whole: str = ""
    files: Mapping[str, str] = field(default_factory=dict)


# The kinds of edits that a target may not have at all, each with how to name the edits of that kind.
_KINDS = {
    "hooks": lambda edits: [f"hook {name} {hook['path']}" for name, hook in edits.hooks],
    "gids": lambda edits: [f"group {gid}" for gid in edits.gids],
    "net": lambda edits: [f"network interface {interface}" for interface, _ in edits.net],
    "rdt": lambda edits: ["intelRdt"] if edits.rdt else [],
    "owner": lambda edits: [f"mode and owner of {node.path}" for node in edits.nodes if node.has_own_owner],
    "access": lambda edits: [
        f"permissions {node.access or 'none'} of {node.path}" for node in edits.nodes if set(node.access) != set("rwm")
    ],
}


def lacking(edits: Edits, reasons: Mapping[str, str]) -> list[Lost]:
    """What is lost because the target lacks whole kinds of edits: `reasons` by kind, a key of _KINDS."""
    return [Lost(edit, reason) for kind, reason in reasons.items() for edit in _KINDS[kind](edits)]


def of_this_host(nodes: Iterable[Node], lost: list[Lost]) -> list[Node]:
    """The nodes that exist on this host, for a target that accepts no others."""
    there = []
    for node in nodes:
        if node.on_host:
            there.append(node)
        else:
            lost.append(Lost(f"device node {node.path}", f"there is no {node.host_path} on this host to take it from"))
    return there


def without_options(mount: Mount, known: Iterable[str], lost: list[Lost], reason: str) -> None:
    """Note the options of a bind mount that the target does not know. An option that changes nothing is no loss."""
    unknown = [option for option in mount.options if option not in _PLAIN and option not in known]
    if unknown:
        lost.append(Lost(f"options {','.join(unknown)} of mount {mount.target}", reason))


# The defaults of every bind mount. Whether a target binds recursively is its own choice.
_PLAIN = frozenset(
    {"bind", "rbind", "rw", "suid", "dev", "exec", "atime", "diratime", "relatime", "private", "rprivate", "async"}
)


def no_such_mount(mount: Mount, target: str) -> Lost:
    """The loss of a mount of a type that the target does not have."""
    return Lost(f"mount {mount.target} of type {mount.type}", f"{target} mounts no such file system")


def one_line(value: str, what: str, target: str) -> str:
    """The value; RenderError where it has a line break, which the target cannot carry."""
    if any(char in value for char in "\n\r\0"):
        raise RenderError(f"{what} has a line break, which {target} cannot carry: {value[:60]!r}")
    return value
