"""cdictl, the command that people and programs type to see, check and inject CDI devices.

One module for a group of commands, imported when it is called, so that each starts as fast as its own imports allow.
What goes wrong ends here in one line on standard error: exit status 1, or 2 for a command that was typed wrongly.
"""

import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from cdi_runc import CDIError, __version__
from cdi_runc.ctl.options import OUTPUTS, Options
from cdi_runc.shim.errors import ShimError

# A command's name is its module's and its function's.
COMMANDS = ("devices", "engine", "inject", "validate")


class Commands(click.Group):
    """A group whose commands are imported when they are asked for, and whose faults are one line each."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names that `--help` lists."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"cdi_runc.ctl.{cmd_name}"), cmd_name)
        return command

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> NoReturn:
        """Run the command line `args` and exit with its status."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a path may hold bytes that are no text
        try:
            status = super().main(args, *rest, **extra | {"standalone_mode": False})
            sys.stdout.flush()
        except click.UsageError as error:
            help_of = error.ctx.command_path if error.ctx else "cdictl"
            status = _fail(f"{error.format_message()} (see {help_of} --help)", 2)
        except click.ClickException as error:
            status = _fail(error.format_message())
        except (click.Abort, KeyboardInterrupt):
            status = 130  # what a shell makes of SIGINT
        except BrokenPipeError:
            # Whoever read our output (`| head`) has had enough. Python must not try to write the rest at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            status = 1
        except OSError as error:
            status = _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        except (CDIError, ShimError) as error:
            status = _fail(str(error))
        sys.exit(status)


def _fail(message: str, status: int = 1) -> int:
    click.echo(f"cdictl: {message}", err=True)
    return status


@click.command(cls=Commands, no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="cdictl %(version)s")
@click.option(
    "--spec-dir", "spec_dirs", multiple=True, metavar="DIR", help="Where CDI specs are; may be repeated, the last wins."
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Settings of cdi-runc to use instead of /etc/cdi-runc/config.yaml.",
)
@click.option("-o", "--output", type=click.Choice(OUTPUTS), default="table", help="Form of the output.")
@click.pass_context
def main(ctx: click.Context, spec_dirs: tuple[str, ...], config: str | None, output: str) -> None:
    """See, check and inject CDI devices."""
    ctx.obj = Options(spec_dirs, config, output)
