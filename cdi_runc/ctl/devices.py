"""`cdictl devices`: which devices there are."""

import click

from cdi_runc.ctl.options import Options, output_option
from cdi_runc.ctl.output import echo_data, echo_table


@click.command()
@output_option("table", "json", "yaml")
@click.pass_obj
def devices(options: Options, output: str) -> None:
    """List the devices there are.

    What is wrong with the specs is said on standard error, or stands in the data."""
    registry = options.registry()
    found = sorted(registry.devices.items())
    if output != "table":
        echo_data(
            {
                "devices": [{"name": name, "path": device.path} for name, device in found],
                "conflicts": {name: list(paths) for name, paths in registry.conflicts.items()},
                "errors": {path: [str(error) for error in errors] for path, errors in registry.errors.items()},
            },
            output,
        )
        return
    echo_table(("DEVICE", "SPEC FILE"), [(name, device.path) for name, device in found])
    for errors in registry.errors.values():
        for error in errors:
            click.echo(f"cdictl: {error}", err=True)
