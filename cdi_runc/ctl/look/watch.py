"""`cdictl watch`: devices as they appear and disappear.

It looks at the same stamps as the snapshot. It looks whenever inotify reports a change (if watchfiles is installed),
and also from time to time: inotify does not see a directory that does not exist yet, the target of a link, or a network
file system.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator

import click

from cdi_runc import CDIError
from cdi_runc.cdi.registry import spec_files
from cdi_runc.ctl.options import Options, output_option
from cdi_runc.ctl.output import painted, printable
from cdi_runc.host.snapshot import stamp

_SIGNS = {"appeared": ("+", "added"), "disappeared": ("-", "removed"), "wrong": ("!", "problem")}
_SIGNS |= {"changed": ("~", "warning"), "mended": ("ok", "ok")}

State = dict[tuple[str, str], str]  # the state, by ("device", name) and ("fault", path), with a text about each


@click.command()
@click.option("--interval", type=click.FloatRange(0.05), default=1.0, show_default=True, help="Seconds between looks.")
@output_option("table", "json")
@click.pass_obj
def watch(options: Options, interval: float, output: str) -> None:
    """Show devices as they appear and disappear, until interrupted.

    With `-o json` every event is a line with an object."""
    before: State = {}
    for now in _states(options, interval):
        for event, subject, said in events(before, now):
            at = time.strftime("%H:%M:%S")
            if output == "json":
                click.echo(json.dumps({"time": int(time.time()), "event": event, "subject": subject, "text": said}))
            else:
                sign, style = _SIGNS[event]
                click.echo(f"{painted(at, 'faint')} {painted(sign, style)} {printable(f'{subject}  {said}'.rstrip())}")
        before = now


def events(before: State, now: State) -> Iterator[tuple[str, str, str]]:
    """What has happened between two states: event, device or file, and what is said of it.

    >>> list(events({}, {("device", "v.com/gpu=0"): "/etc/cdi/v.json"}))
    [('appeared', 'v.com/gpu=0', '/etc/cdi/v.json')]
    """
    for key in sorted({*before, *now}):
        kind, subject = key
        if key not in now:
            yield "disappeared" if kind == "device" else "mended", subject, ""
        elif kind == "fault" and before.get(key) != now[key]:
            yield "wrong", subject, now[key].removeprefix(f"{subject}:").strip()
        elif key not in before:
            yield "appeared", subject, now[key]
        elif before[key] != now[key]:
            yield "changed", subject, now[key]


def _states(options: Options, interval: float) -> Iterator[State]:
    """The state now, and again whenever a file or directory has changed."""
    directories = options.settings()["spec-dirs"]
    last: object = None
    for _ in _occasions(directories, interval):
        stamps = [(path, stamp(path)) for path in (*directories, *_files(directories))]
        if stamps != last:
            last = stamps
            known = options.spec_files()
            state: State = {("fault", path): line for path, line in known.refused.items()}
            yield state | {("device", name): found[0] for name in known.names if (found := known.find(name))}


def _occasions(directories: list[str], interval: float) -> Iterator[None]:
    """The moments to look: now, when inotify reports something in the directories, and every `interval` seconds."""
    yield
    try:
        import watchfiles
    except ImportError:
        while True:
            time.sleep(interval)
            yield
    while True:
        there = [directory for directory in directories if os.path.isdir(directory)]
        if not there:
            time.sleep(interval)
            yield
            continue
        changes = watchfiles.watch(
            *there,
            watch_filter=None,
            debounce=400,
            step=400,  # ms: so often it wakes up
            rust_timeout=max(int(interval * 1000), 1),
            yield_on_timeout=True,
            recursive=False,
        )
        for _ in changes:
            yield
            if there != [directory for directory in directories if os.path.isdir(directory)]:
                break


def _files(directories: list[str]) -> Iterator[str]:
    for directory in directories:
        try:
            yield from spec_files(directory)
        except CDIError:
            pass  # its own stamp is looked at, and the registry has a fault for it
