"""`cdictl doctor`: the whole host on one page, and how to fix it."""

from __future__ import annotations

from typing import Any

import click

from cdi_runc.ctl.options import Options, output_option
from cdi_runc.ctl.output import echo_aside, echo_data, echo_folded, painted, printable
from cdi_runc.ctl.why.health import examine
from cdi_runc.ctl.why.host import Host
from cdi_runc.ctl.why.result import Result


@click.command()
@click.option("--fix", is_flag=True, help="Repair what is safe to repair: permissions of specs, the snapshot.")
@output_option("table", "json", "yaml")
@click.pass_context
def doctor(ctx: click.Context, fix: bool, output: str) -> None:
    """Look at all that containers need to get their devices.

    The worst comes first. Each has the command that repairs it. The exit status is 1 if there is
    a problem, and 2 if there are only warnings."""
    options = ctx.find_object(Options) or Options()
    results = examine(Host(options))
    mended = [result for result in results if fix and result.fix and _mend(result)]
    if mended:
        results = examine(Host(options))
    if output != "table":
        data = {"mended": [_data(result) for result in mended], "checks": [_data(result) for result in results]}
        echo_data(data, output)
    else:
        for result in mended:
            echo_folded(f"{painted('fixed   ', 'ok')} {result.topic}: {result.text}", 9)
        for result in results:
            _echo(result)
    levels = {result.level for result in results}
    ctx.exit(1 if "problem" in levels else 2 if "warning" in levels else 0)


def _mend(result: Result) -> bool:
    try:
        assert result.fix
        result.fix()
    except Exception as fault:  # if the repair fails, the other checks still run
        echo_aside(f"{result.topic} could not be fixed: {fault}")
        return False
    return True


def _echo(result: Result) -> None:
    level = painted(f"{result.level:<8}", result.level)
    echo_folded(f"{level} {result.topic}: {printable(result.text)}", 9)
    if result.mend:
        echo_folded(f"{'':8}   fix: {printable(result.mend)}", 13)


def _data(result: Result) -> dict[str, Any]:
    return {field: getattr(result, field) for field in ("check", "level", "topic", "text", "mend")}
