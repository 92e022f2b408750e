"""`cdictl render`: a device's edits, written for a system that runs no OCI bundle or does not know cdi-runc."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from typing import Any

import click

from cdi_runc.cdi.injection import resolve
from cdi_runc.ctl import beside
from cdi_runc.ctl.names import meant
from cdi_runc.ctl.options import Options, complete_device, output_option
from cdi_runc.ctl.output import echo_aside, echo_data
from cdi_runc.ctl.specs.render_containers import render_containers
from cdi_runc.render import TARGETS, Rendered, edits_of
from cdi_runc.render import target as target_of

# Podman and CRI-O run the hooks in these for every container.
_EVERYBODYS_HOOKS = ("/usr/share/containers/oci/hooks.d", "/etc/containers/oci/hooks.d")


@click.command()
@click.argument("target", metavar="TARGET", type=click.Choice(TARGETS))
@click.argument("names", nargs=-1, metavar="DEVICE...", shell_complete=complete_device)
@click.option("--file", "as_file", is_flag=True, help="nspawn: the text of a .nspawn file, instead of arguments.")
@click.option("--beside-hook", is_flag=True, help="lxc: only what LXC's hooks can't do (cdictl engine enable lxc).")
@click.option(
    "--container",
    "containers",
    metavar="NAME",
    multiple=True,
    shell_complete=beside.complete,
    help="lxc: write what this container needs beside LXC's hooks to cdi.conf in its directory.",
)
@click.option("--all-containers", is_flag=True, help="lxc: the same for every container.")
@click.option(
    "--hooks-dir",
    metavar="DIR",
    type=click.Path(),
    help="podman, quadlet: write the hooks there, as files for --hooks-dir.",
)
@click.option("--strict", is_flag=True, help="Exit with status 1 where TARGET can't express all.")
@output_option("table", "json", "yaml")
@click.pass_obj
def render(
    options: Options,
    /,
    target: str,
    names: tuple[str, ...],
    containers: tuple[str, ...],
    all_containers: bool,
    hooks_dir: str | None,
    strict: bool,
    output: str,
    **how: bool,
) -> None:
    """Write devices for another system.

    TARGET is one of lxc, incus, nspawn, systemd, bwrap, docker, compose, podman, quadlet, kubernetes, apptainer, nomad
    and oci. Targets with flags give shell words on one line, the others the text of a file. What TARGET can't express
    is reported on standard error. The text does not follow the spec: render again if a spec changes.

    With --container, the devices are those that the container's CDI_DEVICES names. The file is only written if it
    changes, and is empty for a container that asks for nothing any more."""
    if containers or all_containers:
        _require_alone(target, names, hooks_dir, *how.values())
        render_containers(options, None if all_containers else containers, strict, output)
        return
    if not names:
        raise click.UsageError("Missing argument 'DEVICE...'.")
    made = _rendered(options, _form(target, hooks_dir, **how), names, hooks_dir)
    if hooks_dir:
        _write_hooks(hooks_dir, made.files)
    for lost in made.lost:
        echo_aside(f"not expressible: {lost.edit}: {lost.reason}")
    if output != "table":
        echo_data(_data(made), output)
    elif made.text:
        click.echo(made.text, nl=False)
    else:
        click.echo(shlex.join(made.arguments))
        if made.lost and made.whole:
            echo_aside(f"with cdi-runc, the whole device: {made.whole}")
    if strict and made.lost:
        raise click.exceptions.Exit(1)


def _require_alone(target: str, *others: object) -> None:
    """UsageError where --container is given with what says something else."""
    if target != "lxc":
        raise click.UsageError(f"--container and --all-containers are for lxc, not for {target}")
    if any(others):
        raise click.UsageError(
            "--container and --all-containers take the devices from CDI_DEVICES: leave DEVICE and other options out"
        )


def _form(target: str, hooks_dir: str | None, as_file: bool, beside_hook: bool) -> str:
    """The target in the form that the options ask for; UsageError where it has no such form."""
    for wanted, option, targets in (
        (as_file, "--file", ("nspawn",)),
        (beside_hook, "--beside-hook", ("lxc",)),
        (hooks_dir, "--hooks-dir", ("podman", "quadlet")),
    ):
        if wanted and target not in targets:
            raise click.UsageError(f"{option} is for {' and '.join(targets)}, not for {target}")
    return f"{target}-file" if as_file else f"{target}-beside-hook" if beside_hook else target


def _rendered(options: Options, form: str, names: tuple[str, ...], hooks_dir: str | None) -> Rendered:
    known = options.known()
    devices = tuple(meant(names, known))
    edits = edits_of(devices, resolve(devices, known.find))
    return target_of(form)(edits, hooks_dir=os.path.abspath(hooks_dir)) if hooks_dir else target_of(form)(edits)


def _data(made: Rendered) -> dict[str, Any]:
    content = {"text": made.text} if made.text else {"arguments": list(made.arguments)}
    return content | {"lost": [vars(lost) for lost in made.lost], "whole": made.whole}


def _write_hooks(directory: str, files: Mapping[str, str]) -> None:
    """Put just these hooks into the directory: otherwise a hook of an earlier call would still run."""
    if os.path.realpath(directory) in _EVERYBODYS_HOOKS:
        raise click.ClickException(f"{directory}: Podman would run the hooks there for every container: name another")
    os.makedirs(directory, exist_ok=True)
    for name in os.listdir(directory):
        if name.startswith("50-cdi-") and name not in files:
            os.unlink(os.path.join(directory, name))
    for name, text in files.items():
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(text)
