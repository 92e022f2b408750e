"""`cdictl inject`: the edits that cdi-runc makes, made by hand."""

import json

import click

from cdi_runc.ctl.options import Options, output_option
from cdi_runc.ctl.output import echo_data
from cdi_runc.shim.bundle import Config


@click.command()
@click.option("--config", "path", required=True, metavar="FILE", help="The container's config.json.")
@click.option("--in-place", is_flag=True, help="Replace the file, in one step, instead of printing it.")
@click.argument("names", nargs=-1, required=True, metavar="DEVICE...")
@output_option("json", "yaml")
@click.pass_obj
def inject(options: Options, path: str, in_place: bool, names: tuple[str, ...], output: str) -> None:
    """Add devices to an OCI config.

    DEVICE is a qualified name, vendor.com/class=name. All of them are added, or none."""
    config = Config(path)
    options.registry().inject(config.data, names)
    if in_place:
        config.replace()
    else:
        echo_data(json.loads(config.text()), output)
