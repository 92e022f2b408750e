"""The arguments and options that several commands of `cdictl engine` share, and what a shell completes for them."""

from __future__ import annotations

import functools

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from cdi_runc.ctl.options import Options
from cdi_runc.engines import NAMES, PLUGINS, journal, records
from cdi_runc.engines.engine import EngineError
from cdi_runc.engines.launcher import WRAPPED


def _complete_wrapped(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The runtimes that cdi-runc knows by name, or a file."""
    names = [name for name in WRAPPED if name.startswith(incomplete)]
    return [CompletionItem(name) for name in names] or [CompletionItem(incomplete, type="file")]


def _complete_registered(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The names under which cdi-runc is registered with the engine that is on the command line, or with any."""
    # While an option has no value yet, click has not parsed the arguments.
    engine = ctx.params.get("name") or next((word for word in ctx.args if word in NAMES), None)
    try:
        registered = records.registrations(journal.state_directory())
    except (EngineError, OSError):
        return []
    names = {
        record["runtime"]
        for record in registered
        if engine is None or record["engine"].removesuffix("-hooks") == engine.removesuffix("-hooks")
    }
    return sorted(name for name in names if name and name.startswith(incomplete))


def _complete_new(ctx: click.Context, option: click.Parameter, incomplete: str) -> list[str]:
    """The names that people give our launchers, and those that are registered."""
    names = {f"cdi-{name}" for name in WRAPPED} | set(_complete_registered(ctx, option, incomplete))
    return sorted(name for name in names if name.startswith(incomplete))


ENGINE = click.argument("name", metavar="ENGINE", type=click.Choice(NAMES))
CONFIG = click.option(
    "--config",
    metavar="PATH",
    type=click.Path(),
    help="The engine's config file (nomad: directory), if it is not the usual one.",
)
_runtime_name = functools.partial(
    click.option, "--runtime-name", default="cdi-runc", show_default=True, help="The engine's name for it."
)
NEW_RUNTIME = _runtime_name(shell_complete=_complete_new)
RUNTIME = _runtime_name(shell_complete=_complete_registered)
WRAP = click.option(
    "--wrap",
    default="runc",
    show_default=True,
    metavar="runc|crun|youki|PATH",
    shell_complete=_complete_wrapped,
    help="The runtime behind it.",
)
DRY_RUN = click.option("--dry-run", is_flag=True, help="Change nothing; print what would change as a diff.")
NATIVE = click.option("--native", is_flag=True, help="The engine's own CDI instead, if it has one.")
HOOKS = click.option("--hooks", is_flag=True, help="podman: use a hook; the runtime stays the same (podman-hooks).")
RESTART = click.option("--restart", is_flag=True, help="Make the running engine read it now.")
MODE = click.option(
    "--mode",
    type=click.Choice(("name", "edits")),
    default="name",
    show_default=True,
    help="nomad: whole devices by cdi-runc, or what Nomad itself can give a task.",
)


def require_fitting(engine: str, options: Options) -> None:
    """Refuse what this engine has no use for: a plugin has the system's settings, and no runtime behind it."""
    context = click.get_current_context()

    def given(name: str) -> bool:
        return context.get_parameter_source(name) is not ParameterSource.DEFAULT

    if engine not in PLUGINS and given("mode"):
        raise click.UsageError(f"--mode is for nomad: leave it out for {engine}")
    if engine in PLUGINS and given("wrap"):
        raise click.UsageError(f"{engine} has a plugin and no runtime: leave --wrap out")
    if engine in PLUGINS and options.config:
        raise click.UsageError(f"the plugin of {engine} reads the system's settings: leave cdictl's --config out")
