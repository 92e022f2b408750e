"""`cdictl inject`: the edits that cdi-runc makes, made by hand."""

import json
import sys
from typing import Any

import click

from cdi_runc.ctl.options import Options, complete_device, output_option
from cdi_runc.ctl.output import echo_data
from cdi_runc.shim.bundle import MAX_SIZE, Config
from cdi_runc.shim.errors import ConfigError
from cdi_runc.shim.jsontext import Document


@click.command()
@click.option(
    "--config", "path", default="-", metavar="FILE", help="The container's config.json; standard input if not given."
)
@click.option("--in-place", is_flag=True, help="Replace the file, in one step, instead of printing it.")
@click.argument("names", nargs=-1, required=True, metavar="DEVICE...", shell_complete=complete_device)
@output_option("json", "yaml")
@click.pass_obj
def inject(options: Options, path: str, in_place: bool, names: tuple[str, ...], output: str) -> None:
    """Add devices to an OCI config.

    DEVICE is a qualified name, vendor.com/class=name. All of them are added, or none."""
    if path == "-" and in_place:
        raise click.UsageError("--in-place wants a file: --config FILE")
    config: Any = _standard_input() if path == "-" else Config(path)
    options.registry().inject(config.data, names)
    if in_place:
        config.replace()
    else:
        echo_data(json.loads(config.text()), output)


class _StandardInput(Document):
    """A config.json that came through a pipe."""

    @property
    def data(self) -> dict[str, Any]:
        """The JSON object."""
        if not isinstance(self.value, dict):
            raise ConfigError("standard input: not a JSON object")
        return self.value


def _standard_input() -> _StandardInput:
    if sys.stdin.isatty():
        raise click.UsageError("no config.json: give --config FILE, or one through a pipe")
    text = sys.stdin.buffer.read(MAX_SIZE + 1)
    if len(text) > MAX_SIZE:
        raise ConfigError(f"standard input: more than {MAX_SIZE} bytes are not read")
    try:
        return _StandardInput(text.decode())
    except ValueError as error:
        raise ConfigError(f"standard input: not JSON: {error}") from None
