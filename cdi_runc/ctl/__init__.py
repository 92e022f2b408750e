"""cdictl, the command that people and programs type to see, check, explain and edit CDI devices.

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
from cdi_runc.ctl.commands import Group, config_option, output_option, prepared, spec_dir_option
from cdi_runc.ctl.options import Options
from cdi_runc.ctl.output import echo_aside
from cdi_runc.host.errors import SettingsError
from cdi_runc.shim.errors import ShimError

# What `--help` lists, in this order: under each heading the commands, and where each one is.
SECTIONS = {
    "See what is there": {
        "devices": "look.devices:devices",
        "device": "look.devices:device",
        "vendors": "look.kinds:vendors",
        "classes": "look.kinds:classes",
        "specs": "look.files:specs",
        "dirs": "look.files:dirs",
        "resolve": "look.resolve:resolve",
        "watch": "look.watch:watch",
        "who": "access.who:who",
    },
    "Find out why": {
        "explain": "why.explain:explain",
        "diff": "why.diff:diff",
        "doctor": "why.doctor:doctor",
        "log": "access.log:log",
        "metrics": "access.metrics:metrics",
        "support-bundle": "why.support_bundle:support_bundle",
    },
    "Check and change": {
        "validate": "specs.validate:validate",
        "rules": "specs.rules:rules",
        "spec": "specs.spec:spec",
        "generate": "specs.generate:generate",
        "recipes": "specs.recipes:recipes",
        "inject": "specs.inject:inject",
        "render": "specs.render:render",
        "kubernetes": "specs.kubernetes:kubernetes",
        "engine": "engine:engine",
        "policy": "policy:policy",
        "refresh": "refresh:refresh",
    },
    "About cdictl": {
        "schema": "about:schema",
        "version": "about:version",
        "completion": "about:completion",
        "help": "about:help_",
    },
}
MAX_MESSAGE = 2000  # characters of an error; nobody reads more

COMMANDS = {name: place for section in SECTIONS.values() for name, place in section.items()}


class Commands(Group):
    """A group that imports a command when it is called, and prints each error in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module, _, function = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(f"cdi_runc.ctl.{module}"), function)
        return prepared(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands under their headings."""
        for heading, names in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl(list(self.sentences(ctx, names)))

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> NoReturn:
        """Run the command line `args` and exit with its status."""
        _open_what_is_closed()
        if "_CDICTL_COMPLETE" in os.environ:  # a shell asks, by the script that `cdictl completion` printed
            from cdi_runc.ctl import completion

            completion.install()
        try:
            for stream in (sys.stdout, sys.stderr):
                if isinstance(stream, io.TextIOWrapper):
                    stream.reconfigure(errors="backslashreplace")  # a path may hold bytes that are no text
            status = super().main(args, *rest, **extra | {"standalone_mode": False})
            sys.stdout.flush()
        except (Exception, KeyboardInterrupt) as error:
            status = _told(error)
        _flush_or_drop()
        sys.exit(status)


def _told(error: BaseException) -> int:
    """The exit status for a command that failed, after one line that says why."""
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        return 130  # what a shell makes of SIGINT
    if isinstance(error, BrokenPipeError):
        return 1  # the reader of our output (`| head`) has ended
    if isinstance(error, click.UsageError):
        help_of = error.ctx.command_path if error.ctx else "cdictl"
        return _fail(f"{' '.join(error.format_message().split())} (see {help_of} --help)", 2)
    if isinstance(error, click.ClickException):
        return _fail(error.format_message())
    if isinstance(error, OSError):
        return _fail(f"{error.filename or 'output'}: {error.strerror}" if error.strerror else str(error))
    if isinstance(error, (CDIError, SettingsError, ShimError)):
        return _fail(str(error))
    if os.environ.get("CDI_RUNC_DEBUG"):
        raise error
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return _fail(f"internal error, please report it: {reason} (CDI_RUNC_DEBUG=1 shows where)")


def _open_what_is_closed() -> None:
    """Let no file that a command opens become its standard output: Python has None for a stream that is closed."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            # What is written to standard output fails then, as it should; nobody misses standard error.
            opened = os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            setattr(sys, name, open(descriptor, "r" if name == "stdin" else "w"))  # noqa: SIM115  # till the end


def _flush_or_drop() -> None:
    """Write the rest of the output. If that fails, Python must not try again at exit."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, status: int = 1) -> int:
    try:
        echo_aside(message if len(message) <= MAX_MESSAGE else f"{message[:MAX_MESSAGE]} ...")
    except OSError:
        pass  # nobody reads it
    return status


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="cdictl %(version)s")
@click.pass_context
def main(context: click.Context) -> None:
    """See, check, explain and edit CDI devices, and give them to container engines.

    --spec-dir, --config and -o can also be after the command, except --config after inject and engine, where it is
    the file that these are about."""
    context.ensure_object(Options)  # of a command line without options


main.params += [spec_dir_option(), config_option(), output_option()]
