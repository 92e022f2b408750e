"""What doctor says of specs that the host has overtaken."""

import json
from pathlib import Path
from typing import Any

import pytest

from cdi_runc.ctl.options import Options
from cdi_runc.ctl.why.freshness import Finding, outdated
from cdi_runc.generate import specs as generate_specs
from tests.ctl.conftest import Cdictl


def spec(kind: str, **edits: Any) -> dict[str, Any]:
    return {"cdiVersion": "0.5.0", "kind": kind, "devices": [{"name": "0", "containerEdits": edits}]}


@pytest.mark.parametrize(
    ("found", "text", "mend"),
    [
        (
            spec("nvidia.com/gpu", deviceNodes=[{"path": "/dev/nvidia0"}, {"path": "/dev/nvidia1"}]),
            "/etc/cdi/v.yaml: host device '/dev/nvidia0': No such file or directory (and 1 more)",
            "nvidia-ctk cdi generate --output=/etc/cdi/v.yaml",
        ),
        (
            spec("amd.com/gpu", deviceNodes=[{"path": "/dev/null", "type": "c", "major": 7, "minor": 3}]),
            "/etc/cdi/v.yaml: host device '/dev/null' is 1:3 and not 7:3, which is not what the spec says",
            "amd-ctk cdi generate --output=/etc/cdi/v.yaml",
        ),
        (
            spec("v.com/x", mounts=[{"hostPath": "/none/lib.so.1", "containerPath": "/x", "options": ["bind"]}]),
            "/etc/cdi/v.yaml: /none/lib.so.1 is not there on this host",
            "make /etc/cdi/v.yaml again with the tool of its vendor",
        ),
    ],
    ids=["dangling node", "drifted number", "removed library"],
)
def test_a_vendors_spec(found: Any, text: str, mend: str) -> None:
    assert list(outdated({"/etc/cdi/v.yaml": found}, Options())) == [Finding(text, mend)]


def test_a_spec_that_fits_is_not_named() -> None:
    found = spec("v.com/x", deviceNodes=[{"path": "/dev/null"}])
    assert list(outdated({"/etc/cdi/v.yaml": found}, Options())) == []


def test_ours_is_stale_and_doctor_mends_it(cdictl: Cdictl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "cdi"
    (directory / "gpu.json").unlink()
    path = directory / "cdictl-host.local-none.yaml"
    found = spec("host.local/none", deviceNodes=[{"path": "/dev/none"}])
    path.write_text(f"# Made by cdictl generate, from the recipe none (0).\n{json.dumps(found)}\n")
    monkeypatch.setattr(generate_specs, "candidates", lambda *_, **__: [])  # so that this host's devices do not matter
    checks = json.loads(cdictl("-o", "json", "doctor").stdout)["checks"]
    assert {
        "check": "specs-fresh",
        "level": "warning",
        "topic": "specs",
        "text": f"{path} is stale: no recipe in use makes it",
        "mend": f"cdictl generate --write --output-dir {directory}",
    } in checks
    cdictl("doctor", "--fix")
    assert not path.exists()
