"""`cdictl schema`, `version`, `completion` and `help`: what programs and shells need to know of cdictl itself."""

import platform
from typing import Any

import click

from cdi_runc.ctl.commands import Context
from cdi_runc.ctl.options import Options, output_option
from cdi_runc.ctl.output import echo_data, echo_table


@click.command()
@click.argument("what", type=click.Choice(["spec", "settings", "recipe"]), default="spec")
@output_option("json", "yaml")
def schema(what: str, output: str) -> None:
    """Print the JSON schema of CDI specs, of settings or of recipes."""
    if what == "spec":
        from cdi_runc import schema as spec_schema

        echo_data(spec_schema(), output)
    elif what == "recipe":
        from cdi_runc.generate.recipe import schema as recipe_schema

        echo_data(recipe_schema(), output)
    else:
        from cdi_runc.host.settings import schema as settings_schema

        echo_data(settings_schema(), output)


@click.command()
@output_option("table", "json", "yaml")
@click.pass_obj
def version(options: Options, output: str) -> None:
    """Show the versions of what cdi-runc is made of and works with."""
    found = versions(options)
    if output != "table":
        echo_data(found, output)
    else:
        echo_table(("WHAT", "VERSION"), [(name, value or "-") for name, value in found.items()])


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that completes cdictl's command lines.

    \b
    bash:  cdictl completion bash > /etc/bash_completion.d/cdictl
    zsh:   cdictl completion zsh > "${fpath[1]}/_cdictl"
    fish:  cdictl completion fish > ~/.config/fish/completions/cdictl.fish
    """
    from click.shell_completion import get_completion_class

    from cdi_runc.ctl.completion import install

    install()
    made: Any = get_completion_class(shell)
    click.echo(made(ctx.find_root().command, {}, "cdictl", "_CDICTL_COMPLETE").source())


def _complete_command(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The names of cdictl's commands that begin so, for the shell."""
    root = ctx.find_root()
    return [name for name in root.command.list_commands(root) if name.startswith(incomplete)]  # type: ignore[attr-defined]


@click.command("help")
@click.argument("words", nargs=-1, metavar="[COMMAND]...", shell_complete=_complete_command)
@click.pass_context
def help_(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Show the help of cdictl or of a command.

    `cdictl help spec new` is the same as `cdictl spec new --help`."""
    shown = ctx.find_root()
    for word in words:
        group = shown.command
        if not isinstance(group, click.Group):
            raise click.UsageError(f"{shown.command_path} has no commands of its own", shown)
        name, command, _ = group.resolve_command(shown, [word])
        assert command
        shown = Context(command, info_name=name, parent=shown)
    click.echo(shown.get_help())


def versions(options: Options) -> dict[str, str]:
    """By name; '' for what is not there."""
    from importlib import metadata

    from cdi_runc import CURRENT_VERSION, __version__
    from cdi_runc.engines.ask import ask, binary
    from cdi_runc.engines.ask import version as number
    from cdi_runc.engines.engine import EngineError

    found = {"cdi-runc": __version__, "CDI": CURRENT_VERSION, "kernel": platform.release()}
    found["python"] = platform.python_version()
    for package in ("click", "PyYAML", "jsonschema", "ruamel.yaml", "tomlkit"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = ""
    for runtime in ("runc", "crun", "youki"):
        try:
            found[runtime] = number(ask([binary(runtime, runtime), "--version"], timeout=10))
        except EngineError:
            found[runtime] = ""
    return found
