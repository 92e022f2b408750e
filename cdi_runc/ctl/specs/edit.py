"""`cdictl spec set`, `add-device` and `remove-device`: what is in a spec file, changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from cdi_runc.ctl.specs.change import DRY_RUN, FILE, change, complete_device_of_file
from cdi_runc.ctl.specs.make import new_device
from cdi_runc.ctl.specs.typed import device_of, edit_options, put_all


@click.command(name="add-device")
@FILE
@click.argument("name")
@edit_options
@DRY_RUN
def add_device(path: str, name: str, dry_run: bool, **given: Sequence[Any]) -> None:
    """Add a device to a spec."""
    device = new_device(name, given)

    def edit(spec: Any) -> None:
        if any(other["name"] == name for other in spec["devices"]):
            raise click.ClickException(f"{path}: there is a device {name} already: cdictl spec set --device {name}")
        spec["devices"].append(device)

    change(path, edit, dry_run)


@click.command(name="set")
@FILE
@click.option(
    "--device",
    "name",
    metavar="NAME",
    shell_complete=complete_device_of_file,
    help="The device that gets the edits; without it, all of them do.",
)
@click.option("--kind", metavar="VENDOR/CLASS", help="Rename the spec's devices.")
@click.option("--rename", metavar="NEWNAME", help="Rename the device.")
@edit_options
@click.option("--remove", "removed", multiple=True, metavar="FIELD", help="Remove a field: env[A], hooks[0].timeout.")
@DRY_RUN
def set_(
    path: str, name: str | None, kind: str | None, rename: str | None, dry_run: bool, **given: Sequence[Any]
) -> None:
    """Set or remove edits, annotations and fields.

    FIELD is a name as `validate` prints it: `deviceNodes[0].uid`, `mounts[/opt].type`, `intelRdt.closID`,
    `annotations[model]`. In brackets is the place in the list, or the item's path or name."""
    if rename and not name:
        raise click.UsageError("--rename needs --device")

    def edit(spec: Any) -> None:
        owner = device_of(spec, name) if name else spec
        put_all(owner, given)
        if rename:
            owner["name"] = rename
        if kind:
            spec["kind"] = kind

    change(path, edit, dry_run)


@click.command(name="remove-device")
@FILE
@click.argument("name", shell_complete=complete_device_of_file)
@DRY_RUN
def remove_device(path: str, name: str, dry_run: bool) -> None:
    """Remove a device from a spec."""

    def edit(spec: Any) -> None:
        device = device_of(spec, name)
        if len(spec["devices"]) == 1:
            raise click.ClickException(f"{path}: {name} is the only device, and a spec must have one: remove the file")
        spec["devices"].remove(device)

    change(path, edit, dry_run)
