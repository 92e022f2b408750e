"""`cdictl vendors` and `cdictl classes`: whose devices there are, and of what kinds."""

import click

from cdi_runc import parse_qualified_name
from cdi_runc.ctl.options import Options, output_option
from cdi_runc.ctl.output import echo_data, echo_table


@click.command()
@output_option("table", "json", "yaml")
@click.pass_obj
def vendors(options: Options, output: str) -> None:
    """List the vendors whose devices there are."""
    _echo("vendor", "class", 0, options, output)


@click.command()
@output_option("table", "json", "yaml")
@click.pass_obj
def classes(options: Options, output: str) -> None:
    """List the classes of the devices there are."""
    _echo("class", "vendor", 1, options, output)


def _echo(kind: str, other: str, part: int, options: Options, output: str) -> None:
    """One row for each vendor or class, with what it is combined with and the number of its devices."""
    rows: dict[str, dict[str, int]] = {}
    for name in options.known().names:
        parts = parse_qualified_name(name)
        row = rows.setdefault(parts[part], {})
        row[parts[1 - part]] = row.get(parts[1 - part], 0) + 1
    found = sorted(rows.items())
    plural = {"vendor": "vendors", "class": "classes"}
    if output != "table":
        data = [{"name": name, plural[other]: sorted(row), "devices": sum(row.values())} for name, row in found]
        echo_data({plural[kind]: data}, output)
        return
    cells = [(name, ", ".join(sorted(row)), str(sum(row.values()))) for name, row in found]
    echo_table((kind.upper(), plural[other].upper(), "DEVICES"), cells)
