"""Container edits as people type them on a command line, and put into a spec. Knows no spec files."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from cdi_runc.ctl.specs.fields import remove_field, set_field, setting

# What makes two edits of a kind the same thing. The later one replaces the earlier one.
_SAME: dict[str, Callable[[Any], object]] = {
    "env": lambda entry: entry.partition("=")[0],
    "deviceNodes": lambda node: node["path"],
    "mounts": lambda mount: mount["containerPath"],
    "netDevices": lambda device: device["hostInterfaceName"],
    "hooks": lambda hook: hook,
    "additionalGids": lambda gid: gid,
}


def _complete_path(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The path on the host, up to the first colon."""
    return [] if ":" in incomplete else [CompletionItem(incomplete, type="file")]


def _complete_interface(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The network interfaces of this host."""
    import socket  # which takes milliseconds

    return sorted(name for _, name in socket.if_nameindex() if name.startswith(incomplete))


def edit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that give container edits; the command gets them by the names that `edits_of` takes."""
    for option in (
        click.option(
            "--field",
            "fields",
            multiple=True,
            metavar="FIELD=VALUE",
            help="Any field, by the name that validate gives it: deviceNodes[/dev/a].fileMode=0660.",
        ),
        click.option(
            "--annotation", "annotations", multiple=True, metavar="KEY=VALUE", help="For readers of the spec."
        ),
        click.option("--gid", "gids", multiple=True, type=click.IntRange(0), metavar="N", help="An additional group."),
        click.option(
            "--hook",
            "hooks",
            multiple=True,
            metavar="'NAME: [VAR=VALUE]... PATH [ARG]...'",
            help="A program to run: createContainer, ...",
        ),
        click.option(
            "--net",
            "nets",
            multiple=True,
            metavar="HOSTNAME[:NAME]",
            shell_complete=_complete_interface,
            help="A network interface.",
        ),
        click.option("--env", "envs", multiple=True, metavar="NAME=VALUE", help="A variable."),
        click.option(
            "--mount",
            "mounts",
            multiple=True,
            metavar="HOSTPATH:PATH[:OPTIONS]",
            shell_complete=_complete_path,
            help="A bind mount, ro by default.",
        ),
        click.option(
            "--node",
            "nodes",
            multiple=True,
            metavar="HOSTPATH[:PATH[:PERMISSIONS]]",
            shell_complete=_complete_path,
            help="A device node.",
        ),
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
        "envs": ("env", _variable),
        "hooks": ("hooks", _hook),
        "gids": ("additionalGids", int),
    }
    return {kind: [make(value) for value in given[name]] for name, (kind, make) in makers.items() if given.get(name)}


def put_all(owner: Any, given: Mapping[str, Sequence[Any]]) -> None:
    """Put everything from the options into a device or a whole spec, and remove what they remove."""
    put(owner, edits_of(given), pairs(given["annotations"]))
    for field, value in map(setting, given["fields"]):
        set_field(owner, field, value)
    for field in given.get("removed", ()):
        remove_field(owner, field)


def device_node(path: str, inside: str = "") -> dict[str, Any]:
    """A device node of this host, for a path in the container. Runtimes follow no links: the node's own path is used.

    >>> device_node("/dev/null"), device_node("/dev/null", "/dev/a")
    ({'path': '/dev/null'}, {'path': '/dev/a', 'hostPath': '/dev/null'})
    """
    real = os.path.realpath(path) if os.path.islink(path) or os.path.exists(path) else path
    inside = inside or path
    return {"path": inside} if real == inside else {"path": inside, "hostPath": real}


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
    """Put edits and annotations into a device or a whole spec. Those with the same name are replaced."""
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
        if device["name"] == own:
            return device
    names = ", ".join(device["name"] for device in spec["devices"])
    raise click.ClickException(f"there is no device {own}; there are {names}")


def _node(text: str) -> dict[str, Any]:
    host_path, _, rest = text.partition(":")
    path, _, permissions = rest.partition(":")
    _require_absolute("--node", host_path, path or host_path)
    return device_node(host_path, path) | ({"permissions": permissions} if permissions else {})


def _variable(text: str) -> str:
    pairs([text])
    return text


def _require_absolute(option: str, *paths: str) -> None:
    for path in paths:
        if not path.startswith("/"):
            raise click.UsageError(f"{option}: {path!r} is not an absolute path")


def _net_device(text: str) -> dict[str, Any]:
    host, _, name = text.partition(":")
    return {"hostInterfaceName": host, "name": name or host}


def _mount(text: str) -> dict[str, Any]:
    host_path, colon, rest = text.partition(":")
    path, _, words = rest.partition(":")
    if not colon:
        raise click.UsageError(f"{text!r} is not of the form HOSTPATH:PATH[:OPTIONS]")
    _require_absolute("--mount", path)
    options = words.split(",") if words else ["ro"]
    bind = [] if {"bind", "rbind"} & set(options) else ["bind"]
    return {"hostPath": host_path, "containerPath": path, "options": bind + options}


def _hook(text: str) -> dict[str, Any]:
    name, _, command = text.partition(":")
    try:
        words = shlex.split(command)
    except ValueError as fault:
        raise click.UsageError(f"{text!r}: {str(fault).lower()}") from None
    env = []
    while words and re.match(r"[A-Za-z_]\w*=", words[0]):
        env.append(words.pop(0))
    if not words:
        raise click.UsageError(f"{text!r} is not of the form 'NAME: [VAR=VALUE]... PATH [ARG]...'")
    _require_absolute("--hook", words[0])
    hook: dict[str, Any] = {"hookName": name.strip(), "path": words[0]}
    return hook | ({"args": words} if len(words) > 1 else {}) | ({"env": env} if env else {})
