"""`cdictl log`: which containers asked for devices, and what was decided."""

from __future__ import annotations

import calendar
import json
import re
import time
from fnmatch import fnmatchcase

import click

from cdi_runc.ctl.access.lines import Entry, asked, entries
from cdi_runc.ctl.options import Options, complete_device, output_option
from cdi_runc.ctl.output import echo_data, echo_table, printable

_FORM = "%Y-%m-%dT%H:%M:%SZ"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@click.command()
@click.option("--follow", is_flag=True, help="Also print new lines as they are written, until ^C.")
@click.option("--device", metavar="GLOB", shell_complete=complete_device, help="Only requests of these devices.")
@click.option("--since", metavar="TIME", help="2026-01-31, 2026-01-31T12:00:00Z, or 10m, 2h, 7d ago.")
@output_option("table", "json", "yaml")
@click.pass_obj
def log(options: Options, follow: bool, device: str | None, since: str | None, output: str) -> None:
    """Show who asked for devices, and what was decided.

    It reads what `audit:` in config.yaml has written.

    With --follow, -o json prints each decision on a line of its own."""
    if follow and output == "yaml":
        raise click.UsageError("--follow prints tables or JSON")
    begin = _time(since) if since else ""
    found = (
        entry
        for entry in entries(options.settings()["audit"], follow)
        if str(entry["time"]) >= begin and (not device or any(fnmatchcase(name, device) for name in asked(entry)))
    )
    if follow:
        for entry in found:
            click.echo(json.dumps(entry) if output == "json" else printable("  ".join(_cells(entry))))
    elif output != "table":
        echo_data({"decisions": list(found)}, output)
    else:
        echo_table(("TIME", "CONTAINER", "OF", "DEVICES", "DECISION"), [_cells(entry) for entry in found])


def _cells(entry: Entry) -> tuple[str, ...]:
    pod = "/".join(filter(None, (str(entry.get(key) or "") for key in ("namespace", "pod", "name"))))
    said = ", ".join(map(str, (entry.get("rules") or {}).values())) if entry["allowed"] else str(entry.get("reason"))
    decision = " ".join(filter(None, ("allowed" if entry["allowed"] else "denied", said and f"({said})")))
    of = pod or str(entry.get("engine") or "-")
    return str(entry["time"]), str(entry["container"])[:12], of, ", ".join(asked(entry)) or "-", decision


def _time(text: str) -> str:
    """A time in the form of the lines, which sort as text. Raises UsageError."""
    ago = re.fullmatch(r"(\d+)([smhd])", text)
    if ago:
        return time.strftime(_FORM, time.gmtime(time.time() - int(ago[1]) * _SECONDS[ago[2]]))
    for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S"):
        try:
            return time.strftime(_FORM, time.gmtime(calendar.timegm(time.strptime(text, form))))
        except ValueError:
            continue
    raise click.UsageError(f"--since {text}: expected 2026-01-31, 2026-01-31T12:00:00Z (UTC), or 10m, 2h, 7d")
