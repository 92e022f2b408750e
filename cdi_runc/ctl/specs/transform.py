"""`cdictl spec transform`: paths of a spec moved to another root directory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from cdi_runc.ctl.commands import Group
from cdi_runc.ctl.specs.change import DRY_RUN, FILE, change

Move = Callable[[str], str]


@click.group(cls=Group)
def transform() -> None:
    """Change all paths of a spec in one way."""


@transform.command()
@FILE
@click.option(
    "--from", "old", required=True, metavar="DIR", type=click.Path(), help="The root directory that the paths have now."
)
@click.option(
    "--to", "new", required=True, metavar="DIR", type=click.Path(), help="The root directory that they are to have."
)
@click.option(
    "--relative-to",
    type=click.Choice(["host", "container"]),
    default="host",
    show_default=True,
    help="Which paths: those on the host, or those in the container.",
)
@DRY_RUN
def root(path: str, old: str, new: str, relative_to: str, dry_run: bool) -> None:
    """Move paths from one root directory to another.

    On the host these are the paths of device nodes, of what is mounted, and of hooks. In the container these are the
    paths of device nodes and mounts. A driver container that has the host's root in /host needs `--from /host --to /`,
    for example. Arguments of hooks stay."""
    for directory in (old, new):
        if not directory.startswith("/"):
            raise click.UsageError(f"{directory!r} is not an absolute path")
    move_paths = _host_paths if relative_to == "host" else _container_paths

    def edit(spec: Any) -> None:
        for owner in (spec, *spec["devices"]):
            move_paths(owner.get("containerEdits", {}), lambda each: moved(each, old, new))

    change(path, edit, dry_run)


def moved(path: str, old: str, new: str) -> str:
    """The path below the new directory, if it is below the old one, or the old one itself.

    >>> moved("/host/dev/a", "/host", "/"), moved("/hosts/a", "/host", "/"), moved("/a", "/", "/run/driver")
    ('/dev/a', '/hosts/a', '/run/driver/a')
    """
    base = old.rstrip("/")
    if not path.startswith(base + "/") and path != base:
        return path
    return (new.rstrip("/") + path[len(base) :].rstrip("/")) or "/"


def _host_paths(edits: Any, move: Move) -> None:
    for node in edits.get("deviceNodes", ()):
        host_path = node.get("hostPath") or node["path"]
        if move(host_path) != host_path:
            node["hostPath"] = move(host_path)
    for mount in edits.get("mounts", ()):
        mount["hostPath"] = move(mount["hostPath"])
    for hook in edits.get("hooks", ()):
        hook["path"] = move(hook["path"])


def _container_paths(edits: Any, move: Move) -> None:
    for node in edits.get("deviceNodes", ()):
        if move(node["path"]) != node["path"]:
            node.setdefault("hostPath", node["path"])
            node["path"] = move(node["path"])
    for mount in edits.get("mounts", ()):
        mount["containerPath"] = move(mount["containerPath"])
