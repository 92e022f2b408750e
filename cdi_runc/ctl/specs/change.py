"""Spec files changed by an edit, and new ones written: what all commands of `cdictl spec` share."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Any

import click

from cdi_runc import KNOWN_VERSIONS, InvalidSpec, load_spec, minimum_required_version
from cdi_runc.cdi.writing import spec_file_name, write_file
from cdi_runc.ctl.specs.fields import pruned
from cdi_runc.ctl.specs.specfile import STANDARD, Edit, SpecFile

FILE = click.argument("path", metavar="FILE|-", type=click.Path())
DRY_RUN = click.option("--dry-run", is_flag=True, help="Change nothing; print what would change as a diff.")
NEW_FILE = click.option(
    "-f",
    "--file",
    "path",
    metavar="FILE|DIR|-",
    type=click.Path(),
    help="Write it there. In a directory, the kind gives the file its name.",
)
FORCE = click.option("--force", is_flag=True, help="Replace the file if there is one.")

_ENDINGS = (".yaml", ".json")


def change(path: str, edit: Edit, dry_run: bool) -> None:
    """Make an edit to a file, and raise its version if the edit needs that. `-` is edited from input to output."""
    file = SpecFile(path)

    def all_of_it(spec: Any) -> None:
        edit(spec)
        pruned(spec)
        _refuse_bare_devices(spec, file.spec)
        needed = minimum_required_version(spec)
        if age(needed) > age(spec["cdiVersion"].removeprefix("v")):
            spec["cdiVersion"] = needed

    finish(file, file.edited(all_of_it), dry_run)


def finish(file: SpecFile, text: str, dry_run: bool) -> None:
    """Write the new text of a file, or show what would change, and say so."""
    if dry_run:
        click.echo(file.diff(text) or f"{file.path}: nothing would change\n", nl=False)
    elif file.path == STANDARD:
        click.echo(text, nl=False)
    elif text == file.text:
        click.echo(f"{file.path}: nothing to change")
    else:
        file.write(text)
        click.echo(f"{file.path}: written, CDI {SpecFile(file.path).spec['cdiVersion']}")


def write_new(text_of: Callable[[str], str], kind: str, path: str | None, force: bool) -> str | None:
    """Write a new spec, whose text `text_of` gives for `yaml` or `json`. Returns the path, None if it was printed."""
    if path is None or path == STANDARD:
        click.echo(text_of("yaml"), nl=False)
        return None
    if not path:
        raise click.UsageError("--file has no value")
    if path.endswith("/") or os.path.isdir(path):
        path = os.path.join(path, f"{spec_file_name(kind)}.yaml")
    text = text_of("json" if path.endswith(".json") else "yaml")
    if _is_pipe(path):
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        return None
    if not path.endswith(_ENDINGS):
        if os.path.splitext(path)[1].lower() in (".yml", *_ENDINGS):
            raise click.UsageError(f"{path}: engines read only files whose names end in .yaml or .json")
        path += ".yaml"
    try:
        write_file(path, text.encode(), overwrite=force)
    except FileExistsError:
        raise click.ClickException(f"{path}: there is such a file already; --force replaces it") from None
    return path


def complete_device_of_file(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The names of the devices in the spec file that is on the command line, for the shell."""
    try:
        # While an option has no value yet, click has not parsed the arguments.
        found = load_spec(ctx.params.get("path") or next(iter(ctx.args), ""))
    except InvalidSpec:
        return []
    return [device["name"] for device in found["devices"] if device["name"].startswith(incomplete)]


def age(version: str) -> int:
    """A number that is higher for later versions of the standard."""
    return KNOWN_VERSIONS.index(version)


def _is_pipe(path: str) -> bool:
    """Is it something like /dev/stdout, which is there and keeps nothing?"""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode) or os.path.realpath(path).startswith("/proc/")


def _refuse_bare_devices(spec: Any, before: Any) -> None:
    """Engines refuse a whole file if a device has no edits. So we never write such a device."""
    bare = {device["name"] for device in before["devices"] if "containerEdits" not in device}
    for device in spec["devices"]:
        if "containerEdits" not in device and device["name"] not in bare:
            raise click.ClickException(
                f"{device['name']} would have no edits, and other engines refuse a file with such a device"
            )
