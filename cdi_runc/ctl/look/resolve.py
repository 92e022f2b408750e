"""`cdictl resolve`: the devices that names and patterns mean, and where they are defined."""

from __future__ import annotations

import click

from cdi_runc.ctl.names import meant
from cdi_runc.ctl.options import Options, complete_device, output_option
from cdi_runc.ctl.output import echo_data, echo_table


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="DEVICE...", shell_complete=complete_device)
@output_option("table", "json", "yaml", "name")
@click.pass_obj
def resolve(options: Options, names: tuple[str, ...], output: str) -> None:
    """Look devices up, as for a container that asks for them.

    DEVICE is a qualified name, vendor.com/class=name, or a pattern with *, ? or [ in it. The exit status is 1 if one of
    them is no device, and nothing is printed then. `-o name` prints one name on each line."""
    known = options.known()
    found = meant(names, known)
    if output == "name":
        for name in found:
            click.echo(name)
        return
    rows = [{"name": name, "path": device[0]} for name in found if (device := known.find(name))]
    if output != "table":
        echo_data({"devices": rows}, output)
    else:
        echo_table(("DEVICE", "SPEC FILE"), [(row["name"], row["path"]) for row in rows])
