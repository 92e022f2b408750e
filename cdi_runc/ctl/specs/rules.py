"""`cdictl rules`: the rules of `cdictl validate`, and what they mean."""

from __future__ import annotations

from typing import Any

import click

from cdi_runc.ctl.options import output_option
from cdi_runc.ctl.output import echo_data, echo_table
from cdi_runc.ctl.specs.check.rules import RULES
from cdi_runc.host.missing import nearest


def known_rule(name: str) -> str:
    """The name, if it is a rule's. Raises BadParameter with the nearest name."""
    if name not in RULES:
        raise click.BadParameter(f"there is no rule {name!r}{nearest(name, RULES)}")
    return name


def complete_rule(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The names of rules that begin so, for the shell."""
    return [name for name in RULES if name.startswith(incomplete)]


@click.command()
@click.argument("name", required=False, shell_complete=complete_rule)
@output_option("table", "json", "yaml")
def rules(name: str | None, output: str) -> None:
    """List the rules of validate, or explain one.

    `cdictl validate --ignore RULE` turns a rule off. Rules that find unusable files can't be turned off."""
    chosen = [RULES[known_rule(name)]] if name else list(RULES.values())
    if output != "table":
        rows: list[dict[str, Any]] = [
            {"name": rule.name, "level": rule.level, "explanation": rule.explanation, "ignorable": not rule.always}
            for rule in chosen
        ]
        echo_data({"rules": rows}, output)
    elif name:
        click.echo(f"{chosen[0].name} ({chosen[0].level})\n\n{chosen[0].explanation}")
    else:
        echo_table(("RULE", "LEVEL", "WHAT"), [(rule.name, rule.level, rule.summary) for rule in chosen])
