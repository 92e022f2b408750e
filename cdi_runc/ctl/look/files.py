"""`cdictl specs` and `cdictl dirs`: the spec files and their directories, and what is wrong with either."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from cdi_runc.cdi.registry import spec_files
from cdi_runc.ctl.options import Options, output_option
from cdi_runc.ctl.output import echo_aside, echo_data, echo_table
from cdi_runc.host.known import shadowed

if TYPE_CHECKING:
    from cdi_runc import Registry


@click.command()
@output_option("table", "json", "yaml")
@click.pass_obj
def specs(options: Options, output: str) -> None:
    """List the spec files, those that are refused among them."""
    registry = options.registry()
    rows = spec_rows(registry)
    if output != "table":
        echo_data({"specs": rows}, output)
        return
    cells = [(row["kind"] or "-", row["cdiVersion"] or "-", str(row["devices"]), row["path"]) for row in rows]
    echo_table(("KIND", "CDI", "DEVICES", "SPEC FILE"), cells)
    for row in rows:
        for line in row["errors"]:
            echo_aside(line)
        if row["shadowed"]:
            names = ", ".join(row["shadowed"])
            echo_aside(f"{row['path']}: a later directory overrides {names}")


@click.command()
@output_option("table", "json", "yaml")
@click.pass_obj
def dirs(options: Options, output: str) -> None:
    """List the spec directories, of which later ones win."""
    registry = options.registry()
    rows = [dir_row(directory, registry) for directory in registry.spec_dirs]
    if output != "table":
        echo_data({"dirs": rows}, output)
        return
    cells = [(row["state"], str(row["specs"]), str(row["refused"]), row["path"]) for row in rows]
    echo_table(("STATE", "SPECS", "REFUSED", "DIRECTORY"), cells)
    for row in rows:
        if row["error"]:
            echo_aside(row["error"])


def spec_rows(registry: Registry) -> list[dict[str, Any]]:
    """What there is to say of each spec file, good or bad, in the order of reading."""
    hidden: dict[str, list[str]] = {}
    for name, paths in shadowed(registry).items():
        for path in paths:
            hidden.setdefault(path, []).append(name)
    rows = []
    for path in [*registry.specs, *(path for path in registry.errors if path not in registry.specs)]:
        spec: Any = registry.specs.get(path, {})
        if path not in registry.spec_dirs:
            rows.append(
                {
                    "path": path,
                    "kind": spec.get("kind"),
                    "cdiVersion": spec.get("cdiVersion"),
                    "devices": len(spec.get("devices", ())),
                    "shadowed": hidden.get(path, []),
                    "errors": [str(error) for error in registry.errors.get(path, ())],
                }
            )
    return sorted(rows, key=lambda row: _place(row["path"], registry))


def dir_row(directory: str, registry: Registry) -> dict[str, Any]:
    """What there is to say of a spec directory."""
    faults = registry.errors.get(directory)
    files = [] if faults else spec_files(directory)
    refused = [path for path in files if path not in registry.specs]
    state = "unreadable" if faults else "there" if os.path.isdir(directory) else "missing"
    return {
        "path": directory,
        "state": state,
        "specs": len(files),
        "refused": len(refused),
        "error": str(faults[0]) if faults else None,
    }


def _place(path: str, registry: Registry) -> tuple[int, str]:
    directory = os.path.dirname(path)
    return (registry.spec_dirs.index(directory) if directory in registry.spec_dirs else -1), path
