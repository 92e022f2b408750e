"""`cdictl explain`: why a container has its devices, or why it has not."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from typing import Any

import click

from cdi_runc.ctl.commands import Group
from cdi_runc.ctl.options import Options, complete_device, output_option
from cdi_runc.ctl.output import counted, echo_data, echo_folded, painted, printable
from cdi_runc.ctl.why import containers, hooked
from cdi_runc.ctl.why.story import Case, Step, read_config, tell, tell_of_devices
from cdi_runc.shim.errors import ConfigError

_MARKS = {"ok": "->", "note": "->", "warning": "?>", "problem": "!>"}


@click.group(cls=Group)
def explain() -> None:
    """Tell why a container gets its devices, or why not.

    Problems come first. Then come the steps, in the order of cdi-runc."""


@explain.command()
@click.argument("path", metavar="DIR", type=click.Path())
@output_option("table", "json", "yaml")
@click.pass_obj
def bundle(options: Options, path: str, output: str) -> None:
    """The container of a bundle, a directory with a config.json."""
    _explain_config(options, path if path.endswith(".json") else os.path.join(path, "config.json"), None, output)


@explain.command()
@click.argument("name", metavar="ID", shell_complete=containers.complete)
@output_option("table", "json", "yaml")
@click.pass_obj
def container(options: Options, name: str, output: str) -> None:
    """A container of this host, by its id or name.

    It is one of runc, crun, youki, Docker, Podman, containerd or CRI-O; or of LXC or Incus, by its name. ID may be the
    beginning of one, for Docker and Podman also the container's name."""
    hooked_one = hooked.find(name)
    if hooked_one:
        _echo(hooked_one.subject, hooked.tell(hooked_one, options), output)
        return
    found = containers.find(name)
    _explain_config(options, os.path.join(found.bundle, "config.json"), found, output)


@explain.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=complete_device)
@output_option("table", "json", "yaml")
@click.pass_obj
def device(options: Options, names: tuple[str, ...], output: str) -> None:
    """Devices, as they are looked up for a container."""
    _echo(", ".join(names), tell_of_devices(Case(options.spec_files(), asked=list(names))), output)


@explain.command()
@click.argument("name", metavar="NAMESPACE/NAME")
@click.option(
    "--kubelet-dir",
    default="/var/lib/kubelet",
    metavar="DIR",
    type=click.Path(),
    help="The kubelet's directory.",
)
@output_option("table", "json", "yaml")
@click.pass_obj
def pod(options: Options, name: str, kubelet_dir: str, output: str) -> None:
    """A pod of Kubernetes that runs on this node."""
    try:
        from cdi_runc.ctl.why.pod import tell_of_pod
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"there is no Python module {error.name}: install cdi-runc with them: cdi-runc[nodes]"
        ) from None
    namespace, _, pod_name = name.rpartition("/")
    socket = os.path.join(kubelet_dir, "pod-resources/kubelet.sock")
    steps = tell_of_pod(namespace or "default", pod_name, socket, options.spec_files())
    _echo(f"pod {namespace or 'default'}/{pod_name}", list(steps), output)


@explain.command()
@output_option("table", "json", "yaml")
@click.pass_obj
def last(options: Options, output: str) -> None:
    """The newest container, or the one that was refused last.

    The later of the two is shown. cdi-runc keeps only one record of what it does: why it last refused a container.
    The newest container is the one whose config.json was written last."""
    refused, newest = _refused(options), containers.newest()
    if refused and (newest is None or refused["time"] >= int(newest[1])):  # the shim notes whole seconds
        path = os.path.join(refused["bundle"], "config.json")
        said = Step("problem", refused["message"], [f"cdi-runc said so {_ago(refused['time'])}, of {path}"])
        if not os.path.exists(path):
            _echo(f"{refused['bundle']} (which is gone)", [said], output)
            return
        _explain_config(options, path, None, output, [said])
    elif newest:
        _explain_config(options, os.path.join(newest[0].bundle, "config.json"), newest[0], output)
    else:
        raise click.ClickException("there is no container, and none was refused")


def _explain_config(
    options: Options,
    path: str,
    found: containers.Container | None,
    output: str,
    said: Sequence[Step] = (),
) -> None:
    try:
        steps = tell(Case(options.spec_files(), path, read_config(path), found))
    except ConfigError as fault:
        steps = [Step("problem", str(fault))]
    _echo(f"container {found.id}, {path}" if found else path, [*said, *steps], output)


def _echo(subject: str, steps: Sequence[Step], output: str) -> None:
    causes = list({step.text: step for step in steps if step.level == "problem"}.values())
    if output != "table":
        data = {"subject": subject, "causes": [step.text for step in causes], "steps": [_data(step) for step in steps]}
        echo_data(data, output)
        raise SystemExit(1 if causes else 0)
    for step in causes:
        echo_folded(f"{painted('problem', 'problem')}: {printable(step.text)}", 9)
    if not causes:
        warnings = [step for step in steps if step.level == "warning"]
        for step in warnings:
            echo_folded(f"{painted('warning', 'warning')}: {printable(step.text)}", 9)
        if not warnings:
            click.echo(painted("nothing is wrong", "ok"))
    click.echo(f"\n{painted(printable(subject), 'head')}")
    for step in steps:
        mark = painted(_MARKS[step.level], "faint" if step.level == "note" else step.level)
        echo_folded(f"  {mark} {printable(step.text)}", 5)
        for line in step.details:
            echo_folded(f"       {printable(line)}", 9)
    raise SystemExit(1 if causes else 0)


def _ago(seconds: float) -> str:
    """How long ago a time (in seconds since 1970) was, in words."""
    age = max(0, int(time.time() - seconds))
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if age >= size:
            return f"{counted(age // size, unit)} ago"
    return f"{counted(age, 'second')} ago"


def _data(step: Step) -> dict[str, Any]:
    return {"level": step.level, "text": step.text, "details": list(step.details)}


def _refused(options: Options) -> dict[str, Any] | None:
    """What the shim kept of the last container that it refused."""
    try:
        with open(os.path.join(options.snapshot_place[0], "refused"), encoding="utf-8") as file:
            data = json.load(file)
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) and {"time", "bundle", "message"} <= data.keys() else None
