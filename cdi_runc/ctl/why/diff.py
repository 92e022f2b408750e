"""`cdictl diff`: what cdi-runc would change in a container's config.json, and by whose edits."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from cdi_runc.ctl.options import Options, complete_device, output_option
from cdi_runc.ctl.output import echo_aside, echo_data, painted
from cdi_runc.ctl.why.changes import Operation, Step, diff_lines, patch, steps
from cdi_runc.host.places import in_user_namespace
from cdi_runc.shim.bundle import Config
from cdi_runc.shim.decision import decide, from_kubelet
from cdi_runc.shim.earlier import before_edits
from cdi_runc.shim.outcome import outcome
from cdi_runc.shim.requests import Request

if TYPE_CHECKING:
    from cdi_runc.host.known import Known


@click.command()
@click.argument("path", metavar="BUNDLE|FILE", type=click.Path(exists=True))
@click.argument("names", nargs=-1, metavar="[DEVICE]...", shell_complete=complete_device)
@output_option("table", "json", "yaml")
@click.pass_obj
def diff(options: Options, path: str, names: tuple[str, ...], output: str) -> None:
    """Show what cdi-runc would change in a bundle's config.json.

    Nothing is changed. DEVICE is asked for in place of what the container asks for itself. `-o json` is a JSON patch
    (RFC 6902), in which `provenance` names the spec file and the device behind each operation."""
    path = os.path.join(path, "config.json") if os.path.isdir(path) else path
    read = Config(path)
    before = json.loads(read.text(before_edits(read)))
    found = changes(json.loads(read.text()), names or None, options.known(), before, os.path.abspath(path))
    if output != "table":
        echo_data([_data(step, operation) for step in found for operation in step.operations], output)
        return
    click.echo(f"--- {path}\n+++ {path} as the runtime will get it" if found else f"{path}: nothing would change")
    for step in found:
        click.echo(painted(f"@@ {step.provenance} @@", "head"))
        for sign, line in (line for operation in step.operations for line in diff_lines(operation)):
            click.echo(painted(f"{sign} {line}", "added" if sign == "+" else "removed"))


def changes(
    config: dict[str, Any],
    names: Sequence[str] | None,
    known: Known,
    before: dict[str, Any] | None = None,
    path: str = "",
) -> list[Step]:
    """What the shim would change in an OCI config that asks for these devices, or for those that it names itself.

    before: the config without the edits of an earlier run. path: where it is, since that tells of some engines. The
    shim is taken to be called as cdi-runc. Raises ShimError and CDIError as the shim does.
    """
    after = dict(config if before is None else before)
    asked = None if names is None else [Request(name, "command line", "DEVICE") for name in names]
    given = from_kubelet(after, "create", known, echo_aside) if names is None else ()
    runtime = os.path.basename(known.settings["runtimes"].get("runc", "runc"))
    decision = decide(after, "create", known, asked, runtime, given, path)
    if decision.mounts is not None:
        after["mounts"] = decision.mounts
    if outcome(after, decision.groups, in_user_namespace) == config:
        return []
    own = [Step("", "", list(patch(config, after)))] if after != config else []
    files = {request.name: found[0] for request in decision.requests if (found := known.find(request.name))}
    return own + steps(after, decision.groups, files)


def _data(step: Step, operation: Operation) -> Operation:
    standard = {field: operation[field] for field in ("op", "path", "value") if field in operation}
    return standard | {"provenance": {"spec": step.spec or None, "device": step.device or None}}
