"""Hosts made of directories: FIFOs are their device nodes, since nobody needs to be root to make those."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cdi_runc.inventory.catalogue import catalogue
from cdi_runc.inventory.inventory import Inventory
from cdi_runc.inventory.looking import take
from cdi_runc.inventory.tree import Tree


class Host:
    """A host's root in a directory of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.specs = root / "etc/cdi"
        self.specs.mkdir(parents=True)
        (root / "dev").mkdir()
        self.tree = Tree(str(root))

    def node(self, *names: str) -> None:
        """Makes nodes in /dev."""
        for name in names:
            os.mkfifo(self.root / "dev" / name)

    def program(self, path: str, mode: int = 0o755) -> None:
        """Makes a program."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch(mode)

    def spec(self, name: str, devices: dict[str, Any], kind: str = "vendor.com/gpu", **more: Any) -> Path:
        """Writes a spec; a device is its edits, or a list of nodes in /dev."""
        entries = [{"name": name, **edits(each)} for name, each in devices.items()]
        path = self.specs / name
        path.write_text(json.dumps({"cdiVersion": "0.6.0", "kind": kind, "devices": entries, **more}))
        return path

    def take(self, before: Inventory | None = None) -> Inventory:
        """The inventory of the host now."""
        from cdi_runc import Registry

        return take(catalogue(Registry([str(self.specs)]), self.tree), self.tree, before or Inventory())


def edits(device: Any) -> dict[str, Any]:
    """The fields of a device, from a list of its nodes or from the fields themselves."""
    if isinstance(device, list):
        return {"containerEdits": {"deviceNodes": [{"path": f"/dev/{node}"} for node in device]}}
    return dict(device)


@pytest.fixture
def host() -> Iterator[Host]:
    # Not in pytest's directory: its path is too long for some sockets.
    with tempfile.TemporaryDirectory() as directory:
        yield Host(Path(directory))
