"""`cdictl inject`: the edits that cdi-runc makes, made by hand."""

import sys
from dataclasses import dataclass
from typing import Any

import click

from cdi_runc.ctl.names import meant
from cdi_runc.ctl.options import Options, complete_device, output_option
from cdi_runc.shim.bundle import MAX_SIZE, Config, document
from cdi_runc.shim.errors import ConfigError
from cdi_runc.shim.jsonslow import written
from cdi_runc.shim.jsontext import Number


@click.command()
@click.option(
    "--config",
    "path",
    default="-",
    metavar="FILE",
    type=click.Path(),
    help="The container's config.json; standard input if not given.",
)
@click.option("--in-place", is_flag=True, help="Replace the file, in one step, instead of printing it.")
@click.argument("names", nargs=-1, required=True, metavar="DEVICE...", shell_complete=complete_device)
@output_option("json", "yaml")
@click.pass_obj
def inject(options: Options, path: str, in_place: bool, names: tuple[str, ...], output: str) -> None:
    """Add devices to an OCI config.

    DEVICE is a qualified name, vendor.com/class=name, or a pattern with *, ? or [ in it. All of them are added, or
    none."""
    if path == "-" and in_place:
        raise click.UsageError("--in-place needs a file: --config FILE")
    config: Any = _standard_input() if path == "-" else Config(path)
    known = options.spec_files()
    known.registry.inject(config.data, meant(names, known))
    if in_place:
        config.replace()
    else:
        click.echo(written(config.data, indent=2) if output == "json" else _yaml(config.data), nl=output == "json")


@dataclass(frozen=True)
class _StandardInput:
    """A config.json that came through a pipe."""

    data: dict[str, Any]


def _standard_input() -> _StandardInput:
    if sys.stdin.isatty():
        raise click.UsageError("no config.json: give --config FILE, or one through a pipe")
    text = sys.stdin.buffer.read(MAX_SIZE + 1)
    if len(text) > MAX_SIZE:
        raise ConfigError(f"standard input: more than {MAX_SIZE} bytes are not read")
    try:
        data = document(text).value
    except ValueError as error:
        raise ConfigError(f"standard input: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError("standard input: not a JSON object")
    return _StandardInput(data)


def _yaml(data: dict[str, Any]) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes numbers with every digit that they were read with."""

    Dumper.add_representer(
        Number, lambda dumper, number: dumper.represent_scalar("tag:yaml.org,2002:float", str(number))
    )
    return yaml.dump(data, Dumper=Dumper, sort_keys=False)
