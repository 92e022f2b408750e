"""What all commands share: the options that stand before the command, and what follows from them."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click

import cdi_runc as cdi
from cdi_runc.shim.errors import SettingsError

OUTPUTS = ("table", "json", "yaml")


@dataclass(frozen=True)
class Options:
    """The options before the command. `config` is the settings file of cdi-runc, None for the usual one."""

    spec_dirs: Sequence[str]
    config: str | None
    output: str

    def registry(self) -> cdi.Registry:
        """The devices that cdi-runc would find; SettingsError where its settings can't be used."""
        return cdi.Registry(self.spec_dirs or _spec_dirs_of(self.config))


def output_option(*forms: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`-o` after the command, where people look for it too. The first form stands in for one that is not offered."""

    def chosen(ctx: click.Context, _: click.Parameter, value: str | None) -> str:
        value = value or ctx.ensure_object(Options).output
        return value if value in forms else forms[0]

    return click.option("-o", "--output", type=click.Choice(forms), callback=chosen, help="Form of the output.")


def _spec_dirs_of(config: str | None) -> Sequence[str]:
    from cdi_runc.shim import places, settings

    found = settings.read(config or places.config_path(os.environb, not places.is_host_root()))
    if found["fault"]:
        raise SettingsError(found["fault"])
    directories: list[str] = found["spec-dirs"]
    return directories
