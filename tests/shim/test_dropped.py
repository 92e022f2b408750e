"""What a runtime drops of a device without an error is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cdi_runc.shim import dropped as module
from cdi_runc.shim.dropped import dropped, features_of

NET = {"netDevices": [{"hostInterfaceName": "eth9", "name": "rdma0"}]}
RDT = {"intelRdt": {"closID": "a"}}
NODE = {"deviceNodes": [{"path": "/dev/x"}]}
MOVES = {"linux": {"netDevices": {"enabled": True}}}


@pytest.mark.parametrize(
    ("edits", "config", "features", "word"),
    [
        (NET, {}, {}, "netDevices"),
        (NET, {}, {"linux": {"netDevices": {"enabled": False}}}, "netDevices"),
        (NET, {}, {"linux": []}, "netDevices"),
        (NET, {}, MOVES, ""),
        (RDT, {}, MOVES, "resctrl"),
        ({"intelRdt": {}}, {}, {}, ""),
        (NODE, {"mounts": [{"destination": "/dev/", "source": "/dev", "type": "bind"}]}, {}, "bind mount at /dev"),
        (NODE, {"mounts": [{"destination": "/dev", "source": "/dev", "options": ["rbind"]}]}, {}, "bind mount at /dev"),
        (NODE, {"mounts": [{"destination": "/dev", "type": "tmpfs"}, {"destination": "/dev/pts"}]}, {}, ""),
        (NODE, {"mounts": None}, {}, ""),
        ({"env": ["A=1"]}, {"mounts": [{"destination": "/dev", "type": "bind"}]}, {}, ""),
    ],
)
def test_what_is_dropped_is_said(
    edits: Any, config: Any, features: Any, word: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "RESCTRL", str(tmp_path))
    lines = dropped([edits], config, lambda: features)
    assert len(lines) == bool(word)
    assert not word or word in lines[0]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ('echo \'{"linux": {"netDevices": {"enabled": true}}}\'', MOVES),
        ("echo unknown command; exit 1", {}),
        ("echo '[]'", {}),
        ("echo '{'", {}),
    ],
)
def test_features_of_a_runtime(tmp_path: Path, script: str, expected: Any) -> None:
    runtime = tmp_path / "runc"
    runtime.write_text(f'#!/bin/sh\n[ "$*" = features ] || exit 9\n{script}\n')
    runtime.chmod(0o755)
    assert features_of(str(runtime)) == expected
    assert features_of(str(tmp_path / "absent")) == {}
