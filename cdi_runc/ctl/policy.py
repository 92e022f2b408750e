"""`cdictl policy`: the administrator's rules, checked, shown, and tried on containers that need not exist."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from cdi_runc import parse_qualified_name
from cdi_runc.ctl.commands import Group
from cdi_runc.ctl.options import Options, complete_device, output_option
from cdi_runc.ctl.output import counted, echo_aside, echo_data, echo_folded, echo_table, painted
from cdi_runc.host import policy as policy_file
from cdi_runc.host.errors import SettingsError
from cdi_runc.shim.decision import from_kubelet, together, why_refused
from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.policy import BUNDLES, HOOKED, NAMES, Container, judged
from cdi_runc.shim.requests import Request, requested

if TYPE_CHECKING:
    from cdi_runc.shim.policy import Rules

BUILT_IN = (
    ("built in", "refuse", "a pod's sandbox", ""),
    ("built in", "refuse", "command: restore, unless config.yaml says 'restore: inject'", ""),
)
THROUGH = ("annotation", "mount", "variable", "kubelet", "hook")
# An annotation that tells the engine, where one does; of Docker the place of the bundle tells.
MARKS = {
    "docker": "",
    "containerd": "io.kubernetes.cri.sandbox-id",
    "crio": "io.kubernetes.cri-o.Name",
    "podman": "io.podman.annotations.x",
}


def _complete_runtime(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The runtimes that cdi-runc knows."""
    from cdi_runc.shim.cmdline import RUNTIMES

    return [name for name in RUNTIMES if name.startswith(incomplete)]


@click.group(cls=Group)
def policy() -> None:
    """Say who may have which device: policy.yaml."""


@policy.command()
@click.argument("path", metavar="[FILE]", required=False, type=click.Path(exists=True, dir_okay=False))
@click.pass_obj
def check(options: Options, path: str | None) -> None:
    """Check a policy: the one in use, or FILE."""
    path = path or policy_file.path_beside(options.config_path)
    rules = _rules(path)
    for line in policy_file.idle_rules(rules):
        echo_aside(f"warning: {line}")
    click.echo(f"{path}: {counted(len(rules), 'rule')}")


@policy.command()
@output_option("table", "json", "yaml")
@click.pass_obj
def show(options: Options, output: str) -> None:
    """List the rules; the first that matches decides."""
    rules = _rules(policy_file.path_beside(options.config_path))
    rows = [(rule["place"], rule["action"], _text(rule["match"]), _text(rule["limits"])) for rule in rules]
    if output != "table":
        fields = ("place", "action", "match", "limits")
        echo_data({"rules": [dict(zip(fields, row, strict=True)) for row in (*BUILT_IN, *rows)]}, output)
        return
    echo_table(("RULE", "ACTION", "MATCH", "LIMITS"), [*BUILT_IN, *rows])


@policy.command()
@click.argument("bundle", metavar="[BUNDLE]", required=False, type=click.Path(exists=True))
@click.option("--device", "devices", multiple=True, metavar="NAME", shell_complete=complete_device, help="Asked for.")
@click.option("--namespace", metavar="NAME", help="The pod's namespace, or Incus's project.")
@click.option("--pod", metavar="NAME", help="The pod's name.")
@click.option("--container", metavar="NAME", help="The container's name in the pod, or LXC's or Incus's name for it.")
@click.option("--image", metavar="NAME", help="The image's name.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label of the pod.")
@click.option("--uid", type=int, help="The user id of its process.")
@click.option("--user-namespace", is_flag=True, help="It has a user namespace.")
@click.option("--through", type=click.Choice(THROUGH), help="How it asks (default: as is usual with the engine).")
@click.option("--command", default="create", type=click.Choice(["create", "run", "restore"]), help="The command.")
@click.option(
    "--runtime",
    default="runc",
    metavar="NAME",
    shell_complete=_complete_runtime,
    help="The real runtime's name.",
)
@click.option("--engine", type=click.Choice([*MARKS, *HOOKED]), help="The engine.")
@output_option("table", "json", "yaml")
@click.pass_obj
def test(options: Options, /, bundle: str | None, devices: tuple[str, ...], output: str, **what_if: Any) -> None:
    """Tell what the policy says of a container.

    The container is that of BUNDLE, or one with the properties that the options give. The exit status is 1 if
    it may not have a device."""
    known = options.spec_files()
    if known.settings["policy"]["fault"]:
        raise SettingsError(known.settings["policy"]["fault"])
    for name in devices:
        parse_qualified_name(name)
    config = _config(bundle, what_if)
    sources = known.settings["requests"]
    hooked = what_if["engine"] in HOOKED
    requests = [Request(name, what_if["through"] or ("hook" if hooked else "annotation"), "") for name in devices]
    if not requests:
        given = from_kubelet(config, what_if["command"], known, echo_aside)
        requests = together(requested(config, sources), given)
    if not requests:
        raise click.UsageError("no device is asked for: give --device, or a BUNDLE that asks for one")
    runtime = what_if["engine"] if hooked else what_if["runtime"]
    container = Container(config, what_if["command"], runtime, _place(bundle, what_if["engine"]))
    reason = why_refused(config, what_if["command"], known.settings)
    verdicts = [{"device": request.name, **_verdict(request, container, known.rules, reason)} for request in requests]
    if output != "table":
        echo_data({"verdicts": verdicts}, output)
    for verdict in verdicts if output == "table" else ():
        mark = painted("allowed", "ok") if verdict["allowed"] else painted("denied", "problem")
        echo_folded(f"{verdict['device']}: {mark}: {verdict['reason']}", 4)
    raise SystemExit(0 if all(verdict["allowed"] for verdict in verdicts) else 1)


def _rules(path: str) -> list[dict[str, Any]]:
    found = policy_file.read(path)
    if found["fault"]:
        raise SettingsError(found["fault"])
    rules: list[dict[str, Any]] = found["rules"]
    return rules


def _config(bundle: str | None, what_if: Mapping[str, Any]) -> dict[str, Any]:
    """The OCI config of the bundle, with the properties that are given on the command line."""
    config: dict[str, Any] = {}
    if bundle:
        from cdi_runc.shim.bundle import Config

        config = json.loads(Config(os.path.join(bundle, "config.json") if os.path.isdir(bundle) else bundle).text())
    annotations = dict(config.get("annotations") or {})
    place = 1 if what_if["engine"] == "crio" else 0
    annotations |= {keys[place]: what_if[name] for name, keys in NAMES.items() if what_if[name]}
    if MARKS.get(what_if["engine"]):
        annotations.setdefault(MARKS[what_if["engine"]], "")
    config["annotations"] = annotations | dict(label.partition("=")[::2] for label in what_if["labels"])
    if what_if["uid"] is not None:
        config["process"] = {**(config.get("process") or {}), "user": {"uid": what_if["uid"]}}
    if what_if["user_namespace"]:
        config["linux"] = {**(config.get("linux") or {}), "namespaces": [{"type": "user"}]}
    return config


def _place(bundle: str | None, engine: str | None) -> str:
    """The path of the bundle, or one such as an engine has that makes no annotations."""
    if engine:
        return next((part for part, name in BUNDLES if name == engine == "docker"), "")
    return os.path.abspath(bundle) if bundle else ""


def _verdict(request: Request, container: Container, rules: Rules, reason: str) -> dict[str, Any]:
    if reason:
        return {"allowed": False, "reason": reason}
    notes: list[str] = []
    try:
        allowed = judged([request], container, rules, notes.append)
    except ShimError as denied:
        return {"allowed": False, "reason": str(denied).partition(": ")[2]}
    rule = allowed.get(request.name)
    said = f"by {rule['place']}" if rule else "no rule is about it"
    return {"allowed": True, "reason": "; ".join([said, *notes])}


def _text(part: Mapping[str, Any]) -> str:
    """Conditions or limits as people write them."""
    return ", ".join(f"{key}: {_value(value)}" for key, value in part.items())


def _value(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_value, value)) or "none"
    if isinstance(value, tuple):
        if len(value) == 2 and isinstance(value[1], list):
            return f"{value[0]}={_value(value[1])}"
        return "*".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
