"""Real containers start whatever becomes of their line for audit."""

import json
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from integration.bundles import WIDGET, WITH, report
from integration.conftest import Runtime


@pytest.mark.parametrize("place", ["audit.log", "pipe", "directory", "none/audit.log"])
def test_a_container_starts_and_its_line_is_there_or_lost(
    runtime: Runtime, bundle: Callable[..., Path], tmp_path: Path, spec_dir: Path, place: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    target = f"file:{tmp_path}/{place}"
    runtime.settings.write_text(json.dumps({"spec-dirs": [str(spec_dir)], "audit": target}))
    log = tmp_path / "runtime.log"

    done = runtime.shim("--log", str(log), "run", "--bundle", str(bundle()), "box")

    assert report(done.stdout) == WITH, done.stderr
    lost = log.read_text().count(f"a line for audit: {target} is lost") if log.exists() else 0
    assert lost == (place != "audit.log")
    if not lost:
        entry = json.loads((tmp_path / place).read_text())
        assert (entry["container"], entry["allowed"], entry["devices"]) == ("box", True, [WIDGET])
        spec = spec_dir / "widget.json"
        assert entry["specs"] == {str(spec): sha256(spec.read_bytes()).hexdigest()}


def test_a_denial_is_written_down(
    runtime: Runtime, bundle: Callable[..., Path], tmp_path: Path, spec_dir: Path
) -> None:
    runtime.settings.write_text(json.dumps({"spec-dirs": [str(spec_dir)], "audit": f"file:{tmp_path}/audit.log"}))
    asking = bundle(annotations={"cdi.k8s.io/x": "example.com/widget=none"})

    assert runtime.shim("run", "--bundle", str(asking), "box").returncode == 1

    entry = json.loads((tmp_path / "audit.log").read_text())
    assert (entry["container"], entry["allowed"], entry["devices"]) == ("box", False, [])
    assert "example.com/widget=none" in entry["reason"]
