"""`cdictl render lxc --container`: write what LXC's hooks can't give beside the containers' configs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click

from cdi_runc.ctl import beside
from cdi_runc.ctl.beside import Beside
from cdi_runc.ctl.options import Options
from cdi_runc.ctl.output import echo_aside, echo_data
from cdi_runc.engines.engine import EngineError


def render_containers(options: Options, names: Sequence[str] | None, strict: bool, output: str) -> None:
    """Write the file of each container, None: of all. A fault of one does not stop the others; the exit status is 1."""
    try:
        homes = {name: beside.home_of(name) for name in (beside.containers() if names is None else names)}
    except EngineError as fault:
        raise click.ClickException(str(fault)) from None
    known = options.known()
    rows = [_written(beside.look(name, home, known)) for name, home in homes.items()]
    for found, state in rows:
        _tell(found, state, output)
    if output != "table":
        echo_data({"containers": [_data(found, state) for found, state in rows]}, output)
    elif all(state == "none" and not found.fault for found, state in rows):
        click.echo("no container asks for a device" if names is None else f"{', '.join(names)}: asks for no device")
    if any(found.fault or (strict and found.lost) for found, _ in rows):
        raise click.exceptions.Exit(1)


def _written(found: Beside) -> tuple[Beside, str]:
    try:
        return found, beside.write(found)
    except OSError as error:
        return replace(found, fault=found.fault or f"can't write {error.filename}: {error.strerror}"), "none"


def _tell(found: Beside, state: str, output: str) -> None:
    if state != "none" and output == "table":
        click.echo(f"{found.container}: {found.path} is {state}")
    if found.fault:
        echo_aside(f"{found.container}: {found.fault}")
    for lost in found.lost:
        echo_aside(f"{found.container}: not expressible: {lost.edit}: {lost.reason}")
    if found.missing_line:
        echo_aside(f"{found.container}: put this line into {found.home}/config: {found.missing_line}")


def _data(found: Beside, state: str) -> dict[str, Any]:
    return {
        "container": found.container,
        "path": found.path,
        "state": state,
        "asked": found.asked or None,
        "missing_line": found.missing_line or None,
        "fault": found.fault or None,
        "lost": [vars(lost) for lost in found.lost],
    }
