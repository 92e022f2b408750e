"""Plain data written out for people and for programs."""

from collections.abc import Iterable, Sequence

import click


def echo_data(data: object, form: str) -> None:
    """Write `data` (dicts, lists, texts, numbers) to standard output as `json` or `yaml`."""
    if form == "yaml":
        import yaml

        click.echo(yaml.safe_dump(data, sort_keys=False), nl=False)
    else:
        import json

        click.echo(json.dumps(data, indent=2))


def echo_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write rows of text under their heads, in columns as wide as they need."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
