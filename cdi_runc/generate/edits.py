"""The container edits of a device: the nodes, interfaces, mounts and other things that the host has."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from cdi_runc.generate.libraries import library_mounts
from cdi_runc.generate.match import below
from cdi_runc.generate.recipe import Edits, filled
from cdi_runc.generate.tree import Tree
from cdi_runc.generate.values import Note, path_values

MOUNT_OPTIONS = ["ro", "nosuid", "nodev", "rbind", "rprivate"]

ContainerEdits = dict[str, Any]

# The kinds of edits, and what makes two of a kind the same.
_SAME: dict[str, Callable[[Any], object]] = {
    "env": lambda entry: entry,
    "deviceNodes": lambda node: node["path"],
    "netDevices": lambda device: device["name"],
    "mounts": lambda mount: mount["containerPath"],
    "hooks": lambda hook: str(hook),
    "additionalGids": lambda gid: gid,
}


class Missing(Exception):
    """A device that cannot be used, since the host lacks what it needs. The text says what."""


def container_edits(
    wanted: Edits, tree: Tree, path: str, values: Mapping[str, str], note: Note, *, gids: bool = False
) -> ContainerEdits:
    """The edits, in the form of the CDI standard. Raises Missing."""
    values = path_values(values)
    found = [node for form in wanted.nodes for node in _nodes(form, tree, path, values, note)]
    nodes = _unique(found, _SAME["deviceNodes"])
    mounts = [mount for form in wanted.mounts for mount in _mounts(form, tree, values)]
    mounts += library_mounts(tree, [name for text in wanted.libraries if (name := filled(text, values))])
    edits: ContainerEdits = {
        "env": [entry for text in wanted.env if (entry := filled(text, values))],
        "deviceNodes": nodes,
        "netDevices": [_interface(text, tree, values) for text in wanted.net_devices],
        "mounts": _unique(mounts, _SAME["mounts"]),
        "hooks": [hook for form in wanted.hooks if (hook := _hook(form, tree, note))],
        "additionalGids": sorted(_gids(nodes, tree)) if gids else [],
    }
    return {kind: items for kind, items in edits.items() if items}


def union(several: Sequence[ContainerEdits]) -> ContainerEdits:
    """The edits of several devices together. Where each sets a variable in its own way, the values are a list.

    >>> union([{"env": ["SEEN=0"], "netDevices": []}, {"env": ["SEEN=1"]}])
    {'env': ['SEEN=0,1']}
    """
    merged: ContainerEdits = {}
    for kind in _SAME:
        items = [item for edits in several for item in edits.get(kind, ())]
        if items:
            merged[kind] = _joined(items) if kind == "env" else _unique(items, _SAME[kind])
    return merged


def default_interfaces(tree: Tree) -> set[str]:
    """The network interfaces with a default route, and those below them. They must not leave the host.

    A route to half of all addresses (0.0.0.0/1, 2000::/3) is a default route in two parts, as VPNs have it.
    """
    found = set()
    for line in _lines(tree, "/proc/net/route"):
        words = line.split()
        if len(words) > 7 and words[1] == "00000000" and words[7] in ("00000000", "00000080"):
            found.add(words[0])
    for line in _lines(tree, "/proc/net/ipv6_route"):
        words = line.split()
        if len(words) > 9 and words[1] in ("00", "01", "02", "03"):
            found.add(words[9])
    found.discard("lo")
    return found | {name for each in found for name in _below_interface(tree, each)}


def _below_interface(tree: Tree, name: str) -> set[str]:
    """The interfaces that a bridge, bond or VLAN is made of."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        links = tree.names(f"/sys/class/net/{waiting.pop()}")
        new = {link.removeprefix("lower_") for link in links if link.startswith("lower_")} - found
        found |= new
        waiting += new
    return found


def _nodes(
    form: Mapping[str, Any], tree: Tree, path: str, values: Mapping[str, str], note: Note
) -> Iterator[dict[str, str]]:
    """The nodes of one entry of a recipe. Raises Missing where there is none and one is needed."""
    text = form.get("path") or form["sysfs"]
    pattern = filled(text, values)
    if pattern is None:
        found, reason = [], f"{text} has no value"
    elif "path" in form:
        found, reason = tree.glob(pattern), f"{pattern} is not there"
    else:
        places = tree.glob(below(path, pattern))
        found = [node for node in map(tree.node_of, places) if node]
        reason = f"{places[0]} names no device node" if places else f"{pattern} is not there"
    there = [node for node in found if tree.is_node(node)]
    for node in found:
        if node not in there:
            note(f"{node} is not a device node" if tree.status(node) else f"{node} is not there")
            reason = f"{node} is not there" if not tree.status(node) else f"{node} is not a device node"
    if not there and not form.get("optional"):
        raise Missing(reason)
    for node in there:
        yield from _node(form, node, values)


def _node(form: Mapping[str, Any], node: str, values: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """A node at its place in the container, and at those where it is in addition."""
    also = form.get("also", ())
    for text in (form.get("to", node), *([also] if isinstance(also, str) else also)):
        place = filled(text, values)
        if place:
            edit = {"path": place} | ({"hostPath": node} if place != node else {})
            yield edit | ({"permissions": form["permissions"]} if "permissions" in form else {})


def _interface(text: str, tree: Tree, values: Mapping[str, str]) -> dict[str, str]:
    name = filled(text, values)
    if name is None or tree.real(f"/sys/class/net/{name}") is None:
        raise Missing(f"there is no network interface {name or text}")
    if name in default_interfaces(tree):
        raise Missing(f"{name} has the default route, so the host needs it")
    return {"hostInterfaceName": name, "name": name}


def _mounts(form: Mapping[str, Any], tree: Tree, values: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    texts = [form["path"]] if isinstance(form["path"], str) else form["path"]
    for path in (path for text in texts if (glob := filled(text, values)) for path in tree.glob(glob)):
        to = filled(form.get("to", path), values) or path
        place = to + posixpath.basename(path) if to.endswith("/") else to
        yield {
            "hostPath": path,
            "containerPath": place,
            "options": list(form.get("options", MOUNT_OPTIONS)),
        }


def _hook(form: Mapping[str, Any], tree: Tree, note: Note) -> dict[str, Any] | None:
    if tree.real(form["path"]) is None:
        note(f"the hook {form['path']} is not installed, so it is left out")
        return None
    return dict(form)


def _gids(nodes: list[dict[str, str]], tree: Tree) -> set[int]:
    """The groups of those nodes that a group may use and other users may not."""
    found = [tree.status(node.get("hostPath", node["path"])) for node in nodes]
    return {one.st_gid for one in found if one and one.st_gid and _only_for_group(one.st_mode)}


def _unique(items: Iterable[Any], key: Callable[[Any], object]) -> list[Any]:
    first: dict[object, Any] = {}
    for item in items:
        first.setdefault(key(item), item)
    return list(first.values())


def _joined(entries: Iterable[str]) -> list[str]:
    texts: dict[str, dict[str, None]] = {}
    for entry in entries:
        name, _, text = entry.partition("=")
        texts.setdefault(name, {})[text] = None
    return [f"{name}={','.join(found)}" for name, found in texts.items()]


def _lines(tree: Tree, path: str) -> list[str]:
    try:
        return tree.read(path).splitlines()
    except OSError:
        return []


def _only_for_group(mode: int) -> bool:
    return mode & 0o060 == 0o060 and mode & 0o006 != 0o006
