"""`cdictl support-bundle`: everything that someone elsewhere needs to find out what is wrong here, in one tar.

The values of variables are left out, since they may be passwords. A file that can't be read as a spec is left out too,
because its values can't be found.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

import click

from cdi_runc.cdi._files import read_file, replace_file
from cdi_runc.ctl.about import versions
from cdi_runc.ctl.look.files import dir_row, spec_rows
from cdi_runc.ctl.options import Options
from cdi_runc.ctl.why.health import examine
from cdi_runc.ctl.why.host import Host
from cdi_runc.engines.ask import ask
from cdi_runc.engines.engine import EngineError

_LOG_LINES = 500  # lines: the last ones of the journal that name cdi-runc


@click.command(name="support-bundle")
@click.option(
    "-f",
    "--file",
    "path",
    metavar="FILE",
    type=click.Path(),
    help="Where to write it, instead of ./cdi-runc-support.tar.gz.",
)
@click.pass_obj
def support_bundle(options: Options, path: str | None) -> None:
    """Collect doctor's output, the specs and the logs in one file.

    The file is a tar archive. The values of variables are left out."""
    path = path or "cdi-runc-support.tar.gz"
    with io.BytesIO() as file:
        _write_tar(file, options)
        try:
            # Not to be read by others: the tar says a lot about the host. So a file that is there is not written into.
            replace_file(path, file.getvalue(), mode=0o600, keep=False)
        except OSError as fault:
            raise click.ClickException(f"can't write {path}: {fault.strerror}") from None
    click.echo(f"{path}: written; look into it before you send it")


def _write_tar(file: BinaryIO, options: Options) -> None:
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, text in contents(options):
            entry = tarfile.TarInfo(f"cdi-runc-support/{name}")
            data = text.encode("utf-8", "backslashreplace")
            entry.size, entry.mtime = len(data), int(time.time())
            tar.addfile(entry, io.BytesIO(data))


def contents(options: Options) -> Iterator[tuple[str, str]]:
    """Names and texts of the files in the bundle."""
    host = Host(options)
    registry = host.files.registry
    checks = [{"level": each.level, "topic": each.topic, "text": each.text} for each in examine(host)]
    yield "doctor.json", _json(checks)
    yield "versions.json", _json(versions(options))
    yield "settings.json", _json(host.settings)
    yield "dirs.json", _json([dir_row(directory, registry) for directory in registry.spec_dirs])
    yield "specs.json", _json(spec_rows(registry))
    yield "devices.json", _json({name: device.path for name, device in registry.devices.items()})
    for path, spec in registry.specs.items():
        yield f"specs{path}.json", _json(without_values(spec))
    refused = os.path.join(options.snapshot_place[0], "refused")
    if os.path.exists(refused):
        yield "refused.json", read_file(refused, 1 << 20, links=False).decode("utf-8", "replace")
    yield "journal.txt", _journal()


def without_values(spec: Any) -> Any:
    """A copy of a spec in which variables, those of hooks too, have no values.

    >>> without_values({"containerEdits": {"env": ["TOKEN=secret"], "hooks": [{"path": "/h", "env": ["A=b"]}]}})
    {'containerEdits': {'env': ['TOKEN=...'], 'hooks': [{'path': '/h', 'env': ['A=...']}]}}
    """
    if isinstance(spec, dict):
        return {
            key: [f"{entry.partition('=')[0]}=..." for entry in value] if key == "env" else without_values(value)
            for key, value in spec.items()
        }
    return [without_values(item) for item in spec] if isinstance(spec, list) else spec


def _json(data: object) -> str:
    return json.dumps(data, indent=2) + "\n"


def _journal() -> str:
    """What the engines' logs say of us, as far as systemd keeps them."""
    if not shutil.which("journalctl"):
        return "there is no journalctl on this host\n"
    try:
        return ask(["journalctl", "--no-pager", "--lines", str(_LOG_LINES), "--grep", "cdi-runc"], timeout=30)
    except EngineError as fault:
        return f"{fault}\n"
