"""Nodes for the plugin: spec files in a directory of their own, for the devices that each host has."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

MARKERS = "/var/run/cdi-devices"


class Node:
    """Directories of a test: for specs, for the plugin's sockets, and for what the specs name."""

    def __init__(self, root: Path) -> None:
        self.specs = root / "cdi"
        self.temporary = root / "tmp"
        self.things = root / "things"
        self.settings = root / "config.yaml"
        for directory in (self.specs, self.temporary, self.things):
            directory.mkdir()
        self.settings.write_text(f"requests: {{mounts: {MARKERS}}}\n")

    def config(self, mode: str | None = None) -> dict[str, Any]:
        """The plugin's configuration."""
        return {"mode": mode, "spec_dirs": [str(self.specs)]}

    def spec(self, name: str, devices: dict[str, Any], kind: str = "vendor.com/gpu", **more: Any) -> Path:
        """Writes a spec; a device is its edits."""
        entries = [{"name": name, "containerEdits": edits} for name, edits in devices.items()]
        content = {"cdiVersion": "1.1.0", "kind": kind, "devices": entries, **more}
        new = self.specs / f".{name}.new"
        new.write_text(json.dumps(content))
        return new.rename(self.specs / name)

    def pipe(self, name: str) -> str:
        """Makes a FIFO, which is a node that nobody needs to be root to make."""
        os.mkfifo(self.things / name, 0o600)
        return str(self.things / name)


@pytest.fixture
def node() -> Iterator[Node]:
    # Not in pytest's directory: its path is too long for some sockets.
    with tempfile.TemporaryDirectory() as directory:
        yield Node(Path(directory))
