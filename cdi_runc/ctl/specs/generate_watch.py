"""`cdictl generate --watch`: spec files kept up to date by the kernel's events, for hosts without systemd."""

from __future__ import annotations

from collections.abc import Sequence

import click

from cdi_runc import CDIError
from cdi_runc.ctl.output import echo_aside
from cdi_runc.ctl.specs.look import DONE, Look, Place, taken
from cdi_runc.generate import uevents
from cdi_runc.generate.udev import subsystems
from cdi_runc.host.errors import SettingsError


def watch(place: Place, words: Sequence[str]) -> None:
    """Write the files now, and again after each change, until interrupted. No line is printed twice."""
    try:
        listener = uevents.listen()
    except OSError as fault:
        raise click.ClickException(f"the kernel's events cannot be had: {fault.strerror}") from None
    said: list[str] = []
    events: set[str] = set()
    place.look(words)  # a word that is no recipe ends it here
    with listener:
        while True:
            try:
                look = place.look(words)
                lines = [*look.lines, *_written(look)]
                events = subsystems(recipe for one in look.made for recipe in one.recipes)
            except (click.ClickException, CDIError, SettingsError, OSError) as fault:
                lines = [fault.format_message() if isinstance(fault, click.ClickException) else str(fault)]
            for line in lines:
                if line not in said:
                    echo_aside(line)
            said = lines
            uevents.wait(listener, events)


def _written(look: Look) -> list[str]:
    """Write the files, and say what was written. Returns what could not be written."""
    faults = []
    for step in look.steps:
        fault = taken(step)
        faults += [fault] * bool(fault)
        if not fault and step.action in ("write", "remove"):
            click.echo(f"{step.path}: {DONE[step.action]}")
    return faults
