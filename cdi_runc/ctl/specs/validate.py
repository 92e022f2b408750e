"""`cdictl validate`: whether spec files can be used, and if not, every reason why."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator

import click

from cdi_runc.ctl.options import Options, output_option
from cdi_runc.ctl.output import echo_data, echo_folded
from cdi_runc.ctl.specs.check import report
from cdi_runc.ctl.specs.check.file import Checked, Wanted, check_all
from cdi_runc.ctl.specs.check.releases import RELEASES, newest_known
from cdi_runc.ctl.specs.check.rules import RULES
from cdi_runc.ctl.specs.rules import complete_rule, known_rule


def _releases(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> list[tuple[str, str]]:
    """Engines and releases of the words ENGINE@VERSION."""
    parts = [(engine, release) for engine, _, release in (value.partition("@") for value in values)]
    for engine, release in parts:
        if engine not in RELEASES:
            raise click.BadParameter(f"{engine!r} is not one of {', '.join(RELEASES)}")
        try:
            newest_known(engine, release)
        except ValueError:
            raise click.BadParameter(f"{release!r} is not a release: expected one such as {engine}@1.2") from None
    return parts


def _complete_release(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The releases with a newer version of the standard than before, as ENGINE@VERSION, for the shell."""
    words = [f"{engine}@{release}" for engine, releases in RELEASES.items() for release in releases]
    return [word for word in words if word.startswith(incomplete)]


def _ignored(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> frozenset[str]:
    """The rules that say nothing."""
    for name in map(known_rule, names):
        if RULES[name].always:
            raise click.BadParameter(f"{name} can't be ignored: this rule makes a file unusable")
    return frozenset(names)


@click.command()
@click.argument("paths", nargs=-1, metavar="[FILE|DIR|-]...", type=click.Path())
@click.option("--host", is_flag=True, help="Report what is missing on this host as an error.")
@click.option(
    "--for",
    "engines",
    multiple=True,
    callback=_releases,
    metavar="ENGINE@VERSION",
    shell_complete=_complete_release,
    help="Say what this engine's own CDI would refuse: podman@4.2, docker@25, containerd@1.7, crio@1.28, spec@0.5.",
)
@click.option("--strict", is_flag=True, help="Warnings are errors.")
@click.option(
    "--ignore",
    "ignored",
    multiple=True,
    metavar="RULE",
    callback=_ignored,
    shell_complete=complete_rule,
    help="Ignore this rule (cdictl rules lists them).",
)
@click.option("--all", "with_all", is_flag=True, help="Show all warnings, also many of one rule.")
@output_option("table", "json", "yaml", "github", "sarif")
@click.pass_context
def validate(
    ctx: click.Context,
    paths: tuple[str, ...],
    host: bool,
    engines: list[tuple[str, str]],
    strict: bool,
    ignored: frozenset[str],
    with_all: bool,
    output: str,
) -> None:
    """Check spec files.

    Without FILE and DIR, it checks the files that containers get their devices from. An error makes a file unusable. A
    warning is about something that is allowed but fails in practice. The exit status is 1 if there are errors.
    """
    if not paths:
        found = ctx.find_object(Options).settings()["spec-dirs"]  # type: ignore[union-attr]
        paths = tuple(path for path in found if os.path.lexists(path))
    checked = _shown(check_all(paths, Wanted(host, engines, ignored)), len(paths) > 1 or any(map(os.path.isdir, paths)))
    files = list(
        _said(checked, report.Folding(None) if with_all else report.Folding()) if output == "table" else checked
    )
    if output == "github":
        for finding in (finding for file in files for finding in file.findings):
            click.echo(report.github(finding))
    elif output == "sarif":
        echo_data(report.sarif(files), "json")
    elif output != "table":
        echo_data(report.data(files), output)
    good = all(not file.findings if strict else file.valid for file in files)
    ctx.exit(0 if good else 1)


def _shown(files: Iterator[Checked], several: bool) -> Iterator[Checked]:
    """The files as they are checked, with a progress bar if there are several and the findings go into a file."""
    if not several or not _counts_on_terminal():
        yield from files
        return
    with click.progressbar(files, label="checking", show_pos=True, file=sys.stderr) as shown:
        yield from shown


def _counts_on_terminal() -> bool:
    """Is the terminal free? The reader of a pipe may be a pager, which uses the terminal."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return False
    try:
        return stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _said(files: Iterator[Checked], folding: report.Folding) -> Iterator[Checked]:
    """The files. Each one's findings are printed as soon as it is checked, and a summary at the end."""
    done = []
    for checked in files:
        for line in report.people(checked, folding):
            echo_folded(line, 4)
        done.append(checked)
        yield checked
    for line in folding.rest():
        click.echo(line)
    if line := report.total(done):
        click.echo(line)
