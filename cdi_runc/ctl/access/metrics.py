"""`cdictl metrics`: figures about this host for Prometheus, above all who asked for devices and what was decided."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import click

from cdi_runc import CDIError, __version__, parse_qualified_name
from cdi_runc.cdi._files import replace_file
from cdi_runc.ctl.access.lines import Entry, NothingYet, asked, entries
from cdi_runc.ctl.options import Options, output_option
from cdi_runc.ctl.output import echo_aside, echo_data
from cdi_runc.engines import journal, records
from cdi_runc.engines.engine import EngineError
from cdi_runc.host import policy as policy_file
from cdi_runc.host import settings as settings_file
from cdi_runc.host import snapshot
from cdi_runc.host.snapshot import Damaged
from cdi_runc.kubernetes.exposition import Sample, text

if TYPE_CHECKING:
    from cdi_runc.host.known import SpecFiles

MEANINGS = {
    "cdi_runc_info": "The version of cdi-runc.",
    "cdi_runc_settings_faults": "Faults of config.yaml and policy.yaml: with one, no container gets a device.",
    "cdi_runc_specs": "Spec files that are used.",
    "cdi_runc_specs_refused": "Spec files and directories that are not used, or not wholly.",
    "cdi_runc_devices": "Devices that a container can ask for.",
    "cdi_runc_conflicts": "Devices that nobody gets, since two files of one directory define them.",
    "cdi_runc_snapshot_fresh": "Whether the shim's snapshot says what the files say.",
    "cdi_runc_snapshot_age_seconds": "How long ago the shim's snapshot was made.",
    "cdi_runc_engine_registered": "What cdictl engine enable has registered: 1 if it is in the engine's files still.",
    "cdi_runc_audit_readable": "Whether the lines of audit can be read; without them there are no decisions here.",
    "cdi_runc_decisions_total": "Decisions about containers that asked for devices of a kind, in the lines of audit.",
}
UNKNOWN = "unknown"


@click.command()
@click.option(
    "--write", "path", metavar="FILE", type=click.Path(dir_okay=False), help="Replace FILE (*.prom) as a whole."
)
@output_option("prometheus", "json", "yaml")
@click.pass_obj
def metrics(options: Options, path: str | None, output: str) -> None:
    """Print figures about this host for Prometheus.

    They count the decisions that `audit:` in config.yaml has written, by outcome, engine and kind of device.

    --write FILE is for a directory of node_exporter's textfile collector."""
    if path and output != "prometheus":
        raise click.UsageError("--write writes what Prometheus reads")
    samples = list(_samples(options))
    if path:
        replace_file(path, text(samples, MEANINGS).encode())
    elif output == "prometheus":
        click.echo(text(samples, MEANINGS), nl=False)
    else:
        rows = [{"name": name, "labels": dict(labels), "value": value} for name, labels, value in samples]
        echo_data({"samples": rows}, output)


def _samples(options: Options) -> Iterator[Sample]:
    """All figures of the host; of a host whose settings are broken, those that do not need them."""
    yield "cdi_runc_info", {"version": __version__}, 1
    yield from _of_engines()
    config = options.config_path
    settings, policy = settings_file.read(config), policy_file.read(policy_file.path_beside(config))
    faults = [fault for fault in (settings["fault"], policy["fault"]) if fault]
    yield "cdi_runc_settings_faults", {}, len(faults)
    for fault in faults:
        echo_aside(fault)
    if settings["fault"]:
        return
    known = options.spec_files()
    kinds = Counter(name.partition("=")[0] for name in known.names)
    yield from _of_specs(known, kinds)
    yield from _of_snapshot(*options.snapshot_place)
    yield from _of_audit(known.settings["audit"], kinds)


def _of_engines() -> Iterator[Sample]:
    try:
        registered = records.registrations(journal.state_directory())
    except EngineError as fault:
        return echo_aside(str(fault))
    for record in registered:
        runtime = record["runtime"] or "native"
        there = all(records.state(file, registered) in ("as we left it", "changed since") for file in record["files"])
        yield "cdi_runc_engine_registered", {"engine": record["engine"], "runtime": runtime}, int(there)


def _of_specs(known: SpecFiles, kinds: Mapping[str, int]) -> Iterator[Sample]:
    yield "cdi_runc_specs", {}, len(known.registry.specs)
    yield "cdi_runc_specs_refused", {}, len(known.refused)
    for kind, number in kinds.items():
        yield "cdi_runc_devices", {"kind": kind}, number
    yield "cdi_runc_conflicts", {}, len(known.conflicts)


def _of_snapshot(directory: str, name: str) -> Iterator[Sample]:
    try:
        kept = snapshot.load(directory, name)
        made = os.stat(os.path.join(directory, name)).st_mtime if kept else 0.0
    except (Damaged, OSError):
        kept = None
    yield "cdi_runc_snapshot_fresh", {}, int(kept is not None and kept.is_fresh())
    if kept:
        yield "cdi_runc_snapshot_age_seconds", {}, max(0, round(time.time() - made, 3))


def _of_audit(target: str, kinds: Mapping[str, int]) -> Iterator[Sample]:
    """How many decisions there are in the lines of audit, by outcome, engine and kind.

    Only kinds that this host has are named: whoever may ask could make up one more with each container."""
    counts: Counter[tuple[str, str, str]] = Counter()
    readable = target not in ("none", "syslog")
    try:
        for entry in entries(target, this_boot=True) if readable else ():
            outcome = "allowed" if entry["allowed"] else "denied"
            for kind in _kinds(entry) or {UNKNOWN}:
                counts[outcome, str(entry.get("engine") or UNKNOWN), kind if kind in kinds else UNKNOWN] += 1
    except NothingYet:
        pass
    except (click.ClickException, OSError) as fault:
        readable = False
        echo_aside(fault.format_message() if isinstance(fault, click.ClickException) else f"{target}: {fault.strerror}")
    yield "cdi_runc_audit_readable", {"target": target.partition(":")[0]}, int(readable)
    for (outcome, engine, kind), number in sorted(counts.items()):
        yield "cdi_runc_decisions_total", {"outcome": outcome, "engine": engine, "kind": kind}, number


def _kinds(entry: Entry) -> set[str]:
    """The kinds of the devices that a container asked for."""
    kinds = set()
    for name in asked(entry):
        try:
            vendor, class_, _ = parse_qualified_name(name)
        except CDIError:
            continue
        kinds.add(f"{vendor}/{class_}")
    return kinds
