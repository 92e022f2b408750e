"""`cdictl engine`: register cdi-runc with the container engines of this host, show, test and undo it."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

from cdi_runc.ctl.commands import Group
from cdi_runc.ctl.engine_options import (
    CONFIG,
    DRY_RUN,
    ENGINE,
    HOOKS,
    MODE,
    NATIVE,
    NEW_RUNTIME,
    RESTART,
    RUNTIME,
    WRAP,
    require_fitting,
)
from cdi_runc.ctl.engine_rows import engine_cells, engine_row, status_row
from cdi_runc.ctl.options import Options, output_option
from cdi_runc.ctl.output import echo_data, echo_table
from cdi_runc.engines import (
    HOOKS_REQUESTS,
    NAMES,
    PLUGINS,
    WITH_HOOKS,
    WITHOUT_RUNTIME,
    images,
    journal,
    launcher,
    records,
    registration,
)
from cdi_runc.engines import engine as engine_of
from cdi_runc.engines.engine import Engine, EngineError, Found, NewRuntime, NotInstalled, is_root


def _plainly(command: Callable[..., None]) -> Callable[..., None]:
    """What an engine won't do is one line for the user."""

    @functools.wraps(command)
    def wrapped(*args: Any, **named: Any) -> None:
        try:
            command(*args, **named)
        except EngineError as fault:
            raise click.ClickException(str(fault)) from None

    return wrapped


@click.group(cls=Group)
def engine() -> None:
    """Register cdi-runc with the container engines of this host.

    These are Docker, Podman, containerd, CRI-O, nerdctl, k3s, RKE2, LXC, Incus and Nomad."""


@engine.command(name="list")
@output_option("table", "json", "yaml")
@_plainly
def list_(output: str) -> None:
    """List the engines of this host, and whether they know cdi-runc."""
    rows = [row for name in NAMES if (row := engine_row(name))]
    if output != "table":
        echo_data({"engines": rows}, output)
        return
    head = ("ENGINE", "VERSION", "RUNNING", "CDI ITSELF", "CDI-RUNC AS", "CONFIG")
    echo_table(head, [engine_cells(row) for row in rows])
    for row in rows:
        if row["fault"]:
            click.echo(f"cdictl: {row['engine']}: {row['fault']}", err=True)


@engine.command()
@click.argument("names", metavar="[ENGINE]...", nargs=-1, type=click.Choice(NAMES))
@output_option("table", "json", "yaml")
@_plainly
def status(names: tuple[str, ...], output: str) -> None:
    """Show where cdi-runc is registered.

    That is: whether the files are as we left them, and whether the engine knows it.

    The exit status is 1 if a named ENGINE has no registration.
    """
    directory = _recovered()
    everything = records.registrations(directory)
    found = [record for record in everything if not names or record["engine"] in names]
    rows = [status_row(record, everything) for record in found]
    if output != "table":
        echo_data({"registrations": rows}, output)
    elif not rows:
        click.echo(f"cdi-runc is not registered with {' or '.join(names) or 'any engine'} (see: cdictl engine list)")
    for row in rows if output == "table" else []:
        what = f"{row['runtime']} is {row['path']}{', the default' if row['default'] else ''}"
        click.echo(f"{row['engine']}: {'its own CDI is turned on' if row['native'] else what}")
        click.echo(f"  the engine: {row['engine_says']}")
        for file in row["files"]:
            click.echo(f"  {file['path']}: {file['state']}")
    if set(names) - {record["engine"] for record in found}:
        raise click.exceptions.Exit(1)


@engine.command()
@ENGINE
@HOOKS
@NEW_RUNTIME
@WRAP
@click.option("--set-as-default", is_flag=True, help="Use it for containers that name no runtime.")
@CONFIG
@click.option(
    "--drop-in", metavar="PATH", type=click.Path(), help="Write to this file, where the engine reads such files."
)
@NATIVE
@DRY_RUN
@RESTART
@click.option("--force", is_flag=True, help="Take the name even if another runtime has it.")
@click.option(images.OPTION, is_flag=True, help="podman before 4.6: although images can ask for devices then.")
@MODE
@click.pass_obj
@_plainly
def enable(
    options: Options, /, name: str, hooks: bool, runtime_name: str, wrap: str, config: str | None, **how: Any
) -> None:
    """Register cdi-runc as a runtime of ENGINE. What its files held before comes back with `disable`."""
    name = _with_hooks(name, hooks)
    module = engine_of(name)
    require_fitting(name, options)
    if how["native"]:
        _refuse_beside_native("runtime_name", "wrap", "set_as_default", "drop_in", "force", "accept_image_annotations")
    found = module.find(config)
    if not how["dry_run"]:
        _say_which(found, config)
    if how["native"]:
        _enable_native(module, found, how["dry_run"], how["restart"])
        return
    known = module.runtimes(found)
    if not how["dry_run"] and not how["accept_image_annotations"]:
        images.require_consent(found, _settings(options)["requests"], options.config_path)
    behind = launcher.behind(wrap, known)
    path, scripts = launcher.registered(name, behind, runtime_name, options.config)
    new = NewRuntime(
        runtime_name,
        path,
        wrap,
        how["set_as_default"],
        how["drop_in"],
        how["mode"],
        tuple(options.spec_dirs or ()),
        os.path.abspath(options.config) if options.config else None,
    )
    outcome = registration.enable(
        module,
        found,
        new,
        scripts,
        directory=journal.state_directory(),
        force=how["force"],
        dry_run=how["dry_run"],
        reload=how["restart"],
    )
    _report(outcome, f"{name}: {runtime_name} is registered", how["dry_run"])
    if not how["dry_run"]:
        _say_reload(module.reload_command(found, gone=False), name, how["restart"])
        missing = [] if name in WITHOUT_RUNTIME else launcher.missing_runtime(behind)
        for line in [*missing, *module.advice(found, new), *_native_hint(module, found)]:
            click.echo(f"  {line}")


def _enable_native(module: Engine, found: Found, dry_run: bool, restart: bool) -> None:
    directory = journal.state_directory()
    outcome = registration.enable_native(module, found, directory=directory, dry_run=dry_run, reload=restart)
    _report(outcome, f"{found.name}: its own CDI is turned on", dry_run)
    if not dry_run:
        if outcome.changes and found.running:
            _say_reload(module.NATIVE.restart_command, found.name, restart)
        click.echo(f"  ask for a device: {module.NATIVE.request}")


def _native_hint(module: Engine, found: Found) -> list[str]:
    """Whether the engine could do without us."""
    if found.cdi == "on":
        return [
            f"{found.name} {found.version} also injects CDI devices itself, without cdi-runc: {module.NATIVE.request}"
        ]
    if found.cdi == "off":
        return [
            f"{found.name} {found.version} can inject CDI devices itself: cdictl engine enable {found.name} --native"
        ]
    return []


def _say_which(found: Found, config: str | None) -> None:
    """Which of several engines of that name this is about, if that is not obvious."""
    if not is_root() and found.config.startswith(os.path.expanduser("~/")):
        click.echo(f"{found.name}: this is your own {found.name}, without root; the system's: run this as root")
    elif found.explicit and config is None and found.running:
        click.echo(f"{found.name}: the running {found.name} uses {found.config}")


@engine.command()
@ENGINE
@HOOKS
@RUNTIME
@CONFIG
@NATIVE
@DRY_RUN
@RESTART
@click.option("--force", is_flag=True, help="Even if running containers use it, or the engine has doubts.")
@_plainly
def disable(
    name: str,
    hooks: bool,
    runtime_name: str,
    config: str | None,
    native: bool,
    dry_run: bool,
    restart: bool,
    force: bool,
) -> None:
    """Take cdi-runc out of ENGINE's files.

    What was there before comes back."""
    if native:
        _refuse_beside_native("runtime_name")
    directory = journal.state_directory() if dry_run else _recovered()
    name = _with_hooks(name, hooks)
    module = engine_of(name)
    record = _recorded(directory, name, "" if native else runtime_name, config)
    if record is None:
        what = "its own CDI was not turned on here" if native else f"{runtime_name} is not registered"
        click.echo(f"{name}: {what}, nothing to do")
        return
    found = _found(module, record["config"] if record["explicit"] else None)
    outcome = registration.disable(
        module,
        found,
        record,
        directory=directory,
        force=force,
        dry_run=dry_run,
        reload=restart,
    )
    _report(outcome, f"{name}: {'its own CDI is as before' if native else f'{runtime_name} is taken out'}", dry_run)
    if found and not dry_run:
        command = module.NATIVE.restart_command if native and found.running else module.reload_command(found, gone=True)
        _say_reload(command, name, restart)


@engine.command()
@ENGINE
@HOOKS
@RUNTIME
@CONFIG
@click.option("--image", help="An image with sh and sleep, instead of one made from busybox.")
@output_option("table", "json", "yaml")
@click.pass_obj
@_plainly
def test(
    options: Options,
    /,
    name: str,
    hooks: bool,
    runtime_name: str,
    config: str | None,
    image: str | None,
    output: str,
) -> None:
    """Start a container with a harmless device, and say what works.

    ENGINE starts it. Everything is removed afterwards. With nomad, cdictl starts and asks the plugin, as Nomad does."""
    from cdi_runc.engines.trials import nomad, trial

    name = _with_hooks(name, hooks)
    module = engine_of(name)
    ours = _settings(options)
    if ours["fault"]:
        raise EngineError(ours["fault"])
    if options.spec_dirs:
        ours["spec-dirs"] = list(options.spec_dirs)
    if name in WITH_HOOKS:
        ours["requests"] = HOOKS_REQUESTS
    steps = []
    found = module.find(config)
    for step in nomad.run(found, ours) if name in PLUGINS else trial.run(module, found, runtime_name, ours, image):
        steps.append(step)
        if output == "table":
            click.echo(f"{'ok    ' if step.works else 'FAILED'}  {step.name}: {step.seen}")
    if output != "table":
        echo_data({"steps": [vars(step) for step in steps]}, output)
    if not all(step.works for step in steps):
        raise click.exceptions.Exit(1)


def _settings(options: Options) -> dict[str, Any]:
    """What cdi-runc is set to, `fault` among it."""
    from cdi_runc.host import settings

    return settings.read(options.config_path)


def _with_hooks(name: str, hooks: bool) -> str:
    """The engine that is meant; UsageError where it has no second way."""
    if hooks and name != "podman":
        raise click.UsageError(f"--hooks is for podman: {name} has one way only")
    return f"{name}-hooks" if hooks else name


def _recovered() -> str:
    """The state directory, after a change that was cut short is rolled back."""
    directory = journal.state_directory()
    for line in journal.recover_pending(directory):
        click.echo(f"cdictl: {line}", err=True)
    return directory


def _refuse_beside_native(*names: str) -> None:
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"--native is about the engine's own CDI, without a runtime: leave {option} out")


def _recorded(directory: str, name: str, runtime: str, config: str | None) -> records.Registration | None:
    """The registration that is meant. Without --config: the one in the engine's usual file, or the only one."""
    found = [record for record in records.registrations(directory, name) if record["runtime"] == runtime]
    if config:
        return next((record for record in found if record["config"] == os.path.abspath(config)), None)
    usual = [record for record in found if not record["explicit"]]
    if not usual and len(found) > 1:
        raise EngineError(
            f"{runtime} is registered in {', '.join(record['config'] for record in found)}: --config says which"
        )
    return next(iter(usual or found), None)


def _found(module: Engine, config: str | None) -> Found | None:
    """The engine, or None where it has been uninstalled since."""
    try:
        return module.find(config)
    except NotInstalled:
        return None


def _report(outcome: registration.Outcome, done: str, dry_run: bool) -> None:
    for line in outcome.said:
        click.echo(f"cdictl: {line}", err=True)
    if dry_run:
        click.echo(outcome.diff() or "nothing would change\n", nl=False)
        return
    click.echo(done if outcome.changes else f"{done} already")
    for change in outcome.changes:
        click.echo(f"  {'removed' if change.after is None else 'wrote'} {change.path}")


def _say_reload(command: str, name: str, reloaded: bool) -> None:
    if command and not reloaded:
        click.echo(f"  {name} knows of it after: {command}")
