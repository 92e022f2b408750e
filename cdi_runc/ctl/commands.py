"""What all commands of cdictl share on the command line: groups, help texts, hints, global options.

`prepared` is called once for each command, when it is looked up. So a command's own module says only what is special.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import click

from cdi_runc.ctl.options import OUTPUTS, Options

MAX_SHORT_HELP = 1000  # characters: the whole first sentence, since a cut one says nothing


def nearest(word: str, words: Iterable[str]) -> str:
    """The end of an error message: the name that was perhaps meant; '' if no name is similar.

    >>> nearest("dokcer", ["docker", "podman"]), nearest("Docker", ["docker"]), nearest("x", ["docker"])
    (" Did you mean 'docker'?", " Did you mean 'docker'?", '')
    """
    import difflib

    near = difflib.get_close_matches(word.lower(), list(words), 1)
    return f" Did you mean {near[0]!r}?" if near else ""


class Help(click.HelpFormatter):
    """Help texts in which no option, file name or default value is broken at a hyphen."""

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write terms with their explanations beside them, or below a term that is long."""
        rows = list(rows)
        first = min(max((len(term) for term, _ in rows), default=0), col_max) + col_spacing
        indent = " " * (self.current_indent + first)
        wrapper = textwrap.TextWrapper(max(self.width, 40), break_on_hyphens=False, break_long_words=False)
        wrapper.subsequent_indent = indent
        for term, text in rows:
            start = f"{'':>{self.current_indent}}{term}"
            if len(term) > first - col_spacing:
                self.write(f"{start}\n")
                start = ""
            wrapper.initial_indent = start.ljust(len(indent))
            self.write("\n".join(wrapper.wrap(text)) or start)
            self.write("\n")


class Context(click.Context):
    """A command line that is being read, with our form of help."""

    formatter_class = Help

    @contextmanager
    def scope(self, cleanup: bool = True) -> Iterator[click.Context]:
        """A fault of the command line knows its command. click leaves it out for an option without its value."""
        try:
            with super().scope(cleanup):
                yield self
        except click.UsageError as fault:
            fault.ctx = fault.ctx or self
            raise


class Group(click.Group):
    """A command with commands. Without a command it shows its help. For an unknown command it names the nearest."""

    context_class = Context

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the group's own options. Showing help without --help is not an error."""
        if not args and self.no_args_is_help and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """The command that the words name; UsageError with the nearest name for one that is not there."""
        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(f"No such command {args[0]!r}.{nearest(args[0], names)}", ctx)
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        found = super().get_command(ctx, cmd_name)
        return found and prepared(found)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with a sentence on each."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.sentences(ctx, self.list_commands(ctx))))

    def sentences(self, ctx: click.Context, names: Iterable[str]) -> Iterable[tuple[str, str]]:
        """The first sentence of each command's help, by name."""
        for name in names:
            command = self.get_command(ctx, name)
            if command:
                yield name, command.get_short_help_str(MAX_SHORT_HELP)


class Choice(click.Choice):  # type: ignore[type-arg,unused-ignore]  # generic since click 8.2
    """One of some words; for another one, the error names the nearest."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The word. Raises BadParameter if it is not one of them."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as fault:
            self.fail(f"{fault.message}{nearest(str(value), map(str, self.choices))}", param, ctx)


def prepared(command: click.Command) -> click.Command:
    """The command, with what every command of cdictl has. A second call changes nothing."""
    command.context_class = Context
    names = {name for param in command.params for name in param.opts}
    for option in (
        spec_dir_option(),
        config_option(),
        *([output_option()] if isinstance(command, click.Group) else ()),
    ):
        if not names & set(option.opts):  # inject and engine have a --config of their own
            option.hidden = True  # `cdictl --help` shows them
            command.params.append(option)
    for param in command.params:
        if type(param.type) is click.Choice:
            param.type = Choice(list(param.type.choices), param.type.case_sensitive)
    return command


def spec_dir_option() -> click.Option:
    """--spec-dir, which adds directories to those before it on the command line."""
    return click.Option(
        ["--spec-dir"],
        multiple=True,
        type=click.Path(),
        metavar="DIR",
        expose_value=False,
        callback=_changing(lambda options, value: {"spec_dirs": (*options.spec_dirs, *value)}),
        help="Where CDI specs are. May be repeated; the last wins.",
    )


def config_option() -> click.Option:
    """--config, the settings of cdi-runc."""
    return click.Option(
        ["--config"],
        type=click.Path(exists=True, dir_okay=False),
        metavar="FILE",
        expose_value=False,
        callback=_changing(lambda _, value: {"config": value}),
        help="Settings of cdi-runc to use instead of /etc/cdi-runc/config.yaml.",
    )


def output_option() -> click.Option:
    """-o, for all commands together. A command with fewer forms has its own -o."""
    return click.Option(
        ["-o", "--output"],
        type=Choice(OUTPUTS),
        expose_value=False,
        callback=_changing(lambda _, value: {"output": value}),
        help="Form of the output.",
    )


def _changing(change: Callable[[Options, Any], dict[str, Any]]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A callback that has the commands behind it see other Options, if the option was given."""

    def callback(ctx: click.Context, _: click.Parameter, value: Any) -> Any:
        if value:
            options = ctx.find_object(Options) or Options()
            ctx.obj = replace(options, **change(options, value))
        return value

    return callback
