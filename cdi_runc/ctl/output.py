"""Plain data and lines written out for people and for programs. Knows nothing of what they mean.

Columns of tables are as wide as they need to be, also on a narrow terminal. So names and paths stay whole.
"""

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

STYLES: dict[str, dict[str, Any]] = {
    "problem": {"fg": "red", "bold": True},
    "warning": {"fg": "yellow", "bold": True},
    "ok": {"fg": "green"},
    "head": {"bold": True},
    "faint": {"dim": True},
    "added": {"fg": "green"},
    "removed": {"fg": "red"},
}


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
    lines = [head, *([printable(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for number, line in enumerate(lines):
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        click.echo(text if number else painted(text, "head"))


def echo_folded(text: str, indent: int = 0) -> None:
    """Write one line. If it is too long for the terminal, the rest goes below it, indented by so many columns."""
    import textwrap

    if len(click.unstyle(text)) > columns():
        wrapper = textwrap.TextWrapper(columns(), break_long_words=False, break_on_hyphens=False)
        wrapper.subsequent_indent = " " * indent
        text = wrapper.fill(text)
    click.echo(text)


def echo_aside(line: str) -> None:
    """Say something beside the output, on standard error."""
    click.echo(f"cdictl: {printable(line)}", err=True)


def printable(text: str) -> str:
    """The text with invisible characters written as escapes, so that no file can control the terminal.

    >>> printable("a\\x1b[31mb\\n")
    'a\\\\x1b[31mb\\\\n'
    """
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def painted(text: str, style: str) -> str:
    """The text in one of the STYLES. click removes the style if there is no terminal (https://no-color.org)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain else click.style(text, **STYLES[style])


def counted(number: int, thing: str) -> str:
    """A number of things.

    >>> counted(1, "device"), counted(2, "class")
    ('1 device', '2 classes')
    """
    plural = "" if number == 1 else "es" if thing.endswith("s") else "s"
    return f"{number} {thing}{plural}"


def columns() -> int:
    """The width of the terminal, and where there is none, more than any line has."""
    return max(shutil.get_terminal_size().columns, 40) if sys.stdout.isatty() else sys.maxsize
