"""`cdictl spec format`, `convert`, `upgrade`, `downgrade` and `minimise`: the form of a spec file and its version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from cdi_runc import CURRENT_VERSION, KNOWN_VERSIONS, minimum_required_version, parse_spec
from cdi_runc.cdi.spec import field_text
from cdi_runc.cdi.versions import requirements
from cdi_runc.ctl.specs.change import DRY_RUN, FILE, FORCE, age, change, write_new
from cdi_runc.ctl.specs.specfile import STANDARD, SpecFile, formatted, spec_text

_VERSION = click.Choice(KNOWN_VERSIONS[2:])


@click.command(name="format")
@click.argument("paths", metavar="FILE|-...", type=click.Path(), nargs=-1, required=True)
@click.option("--check", is_flag=True, help="Change nothing; exit status 1 where something would change.")
@click.pass_context
def format_(ctx: click.Context, paths: tuple[str, ...], check: bool) -> None:
    """Indent specs evenly."""
    changed = 0
    for path in paths:
        file = SpecFile(path)
        text = formatted(file)
        if parse_spec(text) != file.spec:
            text = file.text
        if path == STANDARD and not check:
            click.echo(text, nl=False)
            continue
        if text == file.text:
            continue
        changed += 1
        if not check:
            file.write(text)
        click.echo(f"{path}: {'would be formatted' if check else 'formatted'}")
    ctx.exit(1 if check and changed else 0)


@click.command()
@FILE
@click.option("--to", "form", type=click.Choice(["yaml", "json"]), required=True)
@click.option(
    "-f", "--file", "target", metavar="FILE|-", type=click.Path(), help="Write it there, instead of printing it."
)
@FORCE
def convert(path: str, form: str, target: str | None, force: bool) -> None:
    """Turn YAML into JSON or the other way; comments are lost."""
    found = SpecFile(path).spec
    if target not in (None, STANDARD) and not str(target).endswith(f".{form}"):
        raise click.UsageError(f"{target} does not end in .{form}, by which engines find it")
    written = write_new(lambda _: spec_text(found, form), found["kind"], target, force)
    if written:
        click.echo(f"{written}: written")


@click.command()
@FILE
@click.option("--to", "version", type=_VERSION, default=CURRENT_VERSION, show_default=True)
@DRY_RUN
def upgrade(path: str, version: str, dry_run: bool) -> None:
    """Raise the cdiVersion of a spec."""
    _set_version(path, lambda spec: max(version, spec["cdiVersion"].removeprefix("v"), key=age), dry_run)


@click.command()
@FILE
@click.option("--to", "version", type=_VERSION, required=True)
@DRY_RUN
def downgrade(path: str, version: str, dry_run: bool) -> None:
    """Lower the cdiVersion, for older engines.

    If the spec needs a newer version, cdictl names the fields and changes nothing."""

    def lowered(spec: Any) -> str:
        fields = [f"{field_text(field)} needs {needed}" for needed, field in requirements(spec) if age(needed) > limit]
        if fields:
            raise click.ClickException(f"{path}: {', '.join(fields)}")
        old: str = spec["cdiVersion"].removeprefix("v")
        return min(version, old, key=age)

    limit = age(version)
    _set_version(path, lowered, dry_run)


@click.command()
@FILE
@DRY_RUN
def minimise(path: str, dry_run: bool) -> None:
    """Lower the cdiVersion as far as possible.

    The contents of the spec stay as they are."""
    _set_version(path, minimum_required_version, dry_run)


def _set_version(path: str, version_of: Callable[[Any], str], dry_run: bool) -> None:
    change(path, lambda spec: spec.update(cdiVersion=version_of(spec)), dry_run)
