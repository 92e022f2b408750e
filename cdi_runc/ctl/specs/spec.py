"""`cdictl spec`: spec files written and changed without writing YAML by hand."""

from __future__ import annotations

import click

from cdi_runc.ctl.commands import Group
from cdi_runc.ctl.specs.edit import add_device, remove_device, set_
from cdi_runc.ctl.specs.form import convert, downgrade, format_, minimise, upgrade
from cdi_runc.ctl.specs.make import from_nodes, new
from cdi_runc.ctl.specs.transform import transform


@click.group(cls=Group)
def spec() -> None:
    """Write and change CDI spec files, with their comments kept.

    A changed spec is checked before it takes the old one's place; its cdiVersion rises where the change needs it. `-`
    for a file is the standard input, or the standard output."""


for command in (
    new,
    from_nodes,
    add_device,
    set_,
    remove_device,
    transform,
    format_,
    convert,
    upgrade,
    downgrade,
    minimise,
):
    spec.add_command(command)
