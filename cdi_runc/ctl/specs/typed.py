"""Container edits as people type them on a command line, and put into a spec. Knows no files."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

# What makes two edits of a kind the same thing, of which the later takes the place of the earlier.
_SAME: dict[str, Callable[[Any], object]] = {
    "env": lambda entry: entry.partition("=")[0],
    "deviceNodes": lambda node: node["path"],
    "mounts": lambda mount: mount["containerPath"],
    "netDevices": lambda device: device["hostInterfaceName"],
    "hooks": lambda hook: hook,
    "additionalGids": lambda gid: gid,
}


def edit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that give container edits; the command gets them by the names that `edits_of` takes."""
    for option in (
        click.option(
            "--annotation", "annotations", multiple=True, metavar="KEY=VALUE", help="For readers of the spec."
        ),
        click.option("--gid", "gids", multiple=True, type=click.IntRange(0), metavar="N", help="An additional group."),
        click.option("--hook", "hooks", multiple=True, metavar="'NAME: PATH [ARG]...'", help="createRuntime, ..."),
        click.option("--net", "nets", multiple=True, metavar="HOSTNAME[:NAME]", help="A network interface."),
        click.option("--env", "envs", multiple=True, metavar="NAME=VALUE", help="A variable."),
        click.option(
            "--mount", "mounts", multiple=True, metavar="HOSTPATH:PATH[:OPTIONS]", help="A bind mount, ro by default."
        ),
        click.option("--node", "nodes", multiple=True, metavar="HOSTPATH[:PATH[:PERMISSIONS]]", help="A device node."),
    ):
        command = option(command)
    return command


def edits_of(given: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Container edits, from the values of the options.

    >>> edits_of({"nodes": ["/dev/a:/dev/b:rw"], "gids": [7]})
    {'deviceNodes': [{'path': '/dev/b', 'hostPath': '/dev/a', 'permissions': 'rw'}], 'additionalGids': [7]}
    """
    makers: dict[str, tuple[str, Callable[[Any], Any]]] = {
        "nodes": ("deviceNodes", _node),
        "nets": ("netDevices", _net_device),
        "mounts": ("mounts", _mount),
        "envs": ("env", str),
        "hooks": ("hooks", _hook),
        "gids": ("additionalGids", int),
    }
    return {kind: [make(value) for value in given[name]] for name, (kind, make) in makers.items() if given.get(name)}


def pairs(values: Sequence[str]) -> dict[str, str]:
    """KEY=VALUE words as a mapping.

    >>> pairs(["a=b=c"])
    {'a': 'b=c'}
    """
    for value in values:
        if "=" not in value:
            raise click.UsageError(f"{value!r} is not of the form KEY=VALUE")
    return {key: value for key, _, value in (word.partition("=") for word in values)}


def put(owner: Any, edits: Mapping[str, Any], annotations: Mapping[str, str]) -> None:
    """Put edits and annotations into a device or a whole spec; what is of the same name there is replaced."""
    if annotations:
        owner.setdefault("annotations", {}).update(annotations)
    if not edits:
        return
    there = owner.setdefault("containerEdits", {})
    for kind, wanted in edits.items():
        items = there.setdefault(kind, [])
        for item in wanted:
            same = _SAME[kind]
            places = [place for place, other in enumerate(items) if same(other) == same(item)]
            if places:
                items[places[0]] = item
            else:
                items.append(item)


def device_of(spec: Any, name: str) -> Any:
    """The device of that name in a spec, by its own name or the qualified one. Raises ClickException."""
    own = name.removeprefix(f"{spec['kind']}=")
    for device in spec["devices"]:
        if str(device["name"]) == own:
            return device
    raise click.ClickException(
        f"there is no device {own}; there are {', '.join(str(d['name']) for d in spec['devices'])}"
    )


def _node(text: str) -> dict[str, Any]:
    host_path, _, rest = text.partition(":")
    path, _, permissions = rest.partition(":")
    node = {"path": path or host_path}
    if path and path != host_path:
        node["hostPath"] = host_path
    return node | ({"permissions": permissions} if permissions else {})


def _net_device(text: str) -> dict[str, Any]:
    host, _, name = text.partition(":")
    return {"hostInterfaceName": host, "name": name or host}


def _mount(text: str) -> dict[str, Any]:
    host_path, colon, rest = text.partition(":")
    path, _, words = rest.partition(":")
    if not colon:
        raise click.UsageError(f"{text!r} is not of the form HOSTPATH:PATH[:OPTIONS]")
    options = words.split(",") if words else ["ro"]
    bind = [] if {"bind", "rbind"} & set(options) else ["bind"]
    return {"hostPath": host_path, "containerPath": path, "options": bind + options}


def _hook(text: str) -> dict[str, Any]:
    name, _, command = text.partition(":")
    words = shlex.split(command)
    if not words:
        raise click.UsageError(f"{text!r} is not of the form 'NAME: PATH [ARG]...'")
    return {"hookName": name, "path": words[0]} | ({"args": words} if len(words) > 1 else {})
