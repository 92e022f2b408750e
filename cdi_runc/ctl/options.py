"""The options that all commands share, and what follows from them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from cdi_runc.host.errors import SettingsError

if TYPE_CHECKING:
    from cdi_runc import Registry
    from cdi_runc.host.known import Known, SpecFiles
    from cdi_runc.host.settings import Settings
    from cdi_runc.host.snapshot import Snapshot

OUTPUTS = ("table", "json", "yaml")


@dataclass(frozen=True)
class Options:
    """The options of all commands. `config` is the settings file of cdi-runc, None for the usual one."""

    spec_dirs: Sequence[str] = ()
    config: str | None = None
    output: str = "table"

    @property
    def config_path(self) -> str:
        """The settings file that counts, which may be missing."""
        from cdi_runc.host import places

        return os.path.abspath(self.config) if self.config else places.config_path(os.environb, _rootless())

    def settings(self) -> Settings:
        """What cdi-runc is set to, with the spec directories of the command line; SettingsError for a faulty file."""
        from cdi_runc.host import policy, settings

        found = settings.read(self.config_path)
        if found["fault"]:
            raise SettingsError(found["fault"])
        rules = policy.read(policy.path_beside(self.config_path))
        return found | {"spec-dirs": list(self.spec_dirs or found["spec-dirs"]), "policy": rules}

    def registry(self) -> Registry:
        """The devices that cdi-runc would find, read from the spec files."""
        from cdi_runc.host import trust

        return trust.registry(self.settings())

    def known(self) -> Known:
        """The devices: from the shim's snapshot where that is fresh, else from the spec files."""
        return self.fresh_snapshot() or self.spec_files()

    def spec_files(self) -> SpecFiles:
        """The devices as the spec files have them, with all that is to be told of the files."""
        from cdi_runc.host.known import SpecFiles

        return SpecFiles(self.registry(), self.settings(), self.config_path)

    @property
    def snapshot_place(self) -> tuple[str, str]:
        """The directory and the name under which the shim keeps what it knows of these settings' devices."""
        from cdi_runc.host import places

        return places.state_directory(os.environb, _rootless()), places.snapshot_name(self.config_path)

    def fresh_snapshot(self) -> Snapshot | None:
        """What the shim knows of the devices; None if it would have to read the files again, as we do."""
        from cdi_runc.host import snapshot

        if self.spec_dirs:
            return None
        try:
            kept = snapshot.load(*self.snapshot_place)
        except snapshot.Damaged:
            return None
        return kept if kept and kept.is_fresh() and not kept.settings["fault"] else None


def output_option(*forms: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`-o` after the command, where people look for it too. The first form replaces one that is not offered."""

    def chosen(ctx: click.Context, _: click.Parameter, value: str | None) -> str:
        value = value or (ctx.find_object(Options) or Options()).output
        return value if value in forms else forms[0]

    return click.option("-o", "--output", type=click.Choice(forms), callback=chosen, help="Form of the output.")


def complete_device(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The names of devices that begin so, for the shell that completes a command line."""
    try:
        names = (ctx.find_object(Options) or Options()).known().names
    except SettingsError:
        return []
    return sorted(name for name in names if name.startswith(incomplete))


def _rootless() -> bool:
    from cdi_runc.host import places

    return not places.is_host_root()
