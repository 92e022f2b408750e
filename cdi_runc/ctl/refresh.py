"""`cdictl refresh`: make the snapshot now, so that the next container need not wait for it."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

from cdi_runc.ctl.options import Options
from cdi_runc.ctl.output import counted


@click.command()
@click.option("--if-stale", is_flag=True, help="Only if the one that is kept is not up to date.")
@click.pass_obj
def refresh(options: Options, if_stale: bool) -> None:
    """Read the specs again, for the next containers.

    The result is kept in the snapshot. Without this command, the first container after a change does the same."""
    if options.spec_dirs:
        raise click.UsageError("--spec-dir is for looking only: the snapshot is of the directories in config.yaml")
    said: list[str] = []
    number = kept(options, said.append, anew=not if_stale)
    if said:
        raise click.ClickException(said[0])
    directory, name = options.snapshot_place
    click.echo(f"{counted(number, 'device')} kept in {directory}/{name}")


def kept(options: Options, warn: Callable[[str], None], anew: bool) -> int:
    """Have the snapshot made and kept, by the shim's own code; the number of devices in it.

    `warn` gets one line if it can't be kept. Raises SettingsError if none can be made.
    """
    from cdi_runc.host.rebuild import builder, rebuilt

    made = rebuilt(*options.snapshot_place, builder(sys.executable, options.config_path), warn, anew)
    return len(list(made.names))
