"""The lines that the shim has written for audit, from the place that the settings name."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import click

Entry = dict[str, Any]

_PAUSE_S = 0.5
_BEGINS = '{"time":'


class NothingYet(click.ClickException):
    """There is no file of lines yet."""


def entries(target: str, follow: bool = False, this_boot: bool = False) -> Iterator[Entry]:
    """The decisions written to `file:PATH` or the journal, the oldest first; with `follow`, also those to come.

    this_boot: of a journal, only what was written since the host has started.

    Lines that a full disk has cut short are skipped. Raises ClickException where they can't be read.
    """
    if target == "none":
        raise click.ClickException("nothing is written down: put `audit: file:/var/log/cdi-runc.log` into config.yaml")
    if target == "syslog":
        raise click.ClickException("the lines are in the syslog, whose files only its daemon knows: look for cdi-runc:")
    source = _of_journal(follow, this_boot) if target == "journal" else _of_file(target.removeprefix("file:"), follow)
    for line in source:
        entry = _entry(line)
        if isinstance(entry, dict) and "container" in entry and "allowed" in entry:
            yield entry


def _entry(line: str) -> Any:
    """What a line says; None for one that is cut short. The next entry follows such a one on the same line."""
    for start in (0, line.rfind(_BEGINS)):
        try:
            return json.loads(line[start:]) if start >= 0 else None
        except (ValueError, RecursionError):
            continue
    return None


def asked(entry: Entry) -> list[str]:
    """The devices that the container asked for."""
    return [str(request.get("device")) for request in entry.get("requests") or () if isinstance(request, dict)]


def _of_file(path: str, follow: bool) -> Iterator[str]:
    """The lines of a file. If logrotate replaces the file, the lines of the new file follow."""
    while True:
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise click.ClickException(f"{path} is no file, so only the program that reads it has the lines")
            with open(path, encoding="utf-8", errors="replace") as file:
                yield from _lines(file, path, follow)
        except FileNotFoundError:
            if not follow:
                raise NothingYet(f"{path} is not there: no container has asked for a device yet") from None
            time.sleep(_PAUSE_S)
        if not follow:
            return


def _lines(file: Any, path: str, follow: bool) -> Iterator[str]:
    begun = ""
    while True:
        for text in file:
            begun += text
            if begun.endswith("\n"):
                yield begun
                begun = ""
        if not follow or not _is_at(file, path):
            return
        time.sleep(_PAUSE_S)


def _is_at(file: Any, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except OSError:
        return False


def _of_journal(follow: bool, this_boot: bool) -> Iterator[str]:
    command = ["journalctl", "--quiet", "--output=cat", "--identifier=cdi-runc"]
    command += [*(["--follow", "--lines=all"] if follow else []), *(["--boot"] if this_boot else [])]
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as journal:
            assert journal.stdout
            yield from journal.stdout
    except FileNotFoundError:
        raise click.ClickException("journalctl is not on this host, so the journal can't be read") from None
