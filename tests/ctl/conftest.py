"""cdictl as it is typed, and a spec directory for it to look at."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cdi_runc.ctl import main

Cdictl = Callable[..., Result]


@pytest.fixture
def spec_dir(tmp_path: Path) -> Path:
    """A directory with two devices, gpu=0 and gpu=1 of vendor.com, in gpu.json."""
    directory = tmp_path / "cdi"
    directory.mkdir()
    devices = [{"name": name, "containerEdits": {"env": [f"GPU{name}=yes"]}} for name in ("0", "1")]
    spec = {"cdiVersion": "0.5.0", "kind": "vendor.com/gpu", "devices": devices}
    (directory / "gpu.json").write_text(json.dumps(spec))
    return directory


@pytest.fixture
def cdictl(spec_dir: Path) -> Cdictl:
    """Runs `cdictl --spec-dir SPEC_DIR ...`."""

    def run(*args: str | Path) -> Result:
        return CliRunner().invoke(main, ["--spec-dir", str(spec_dir), *map(str, args)], catch_exceptions=False)

    return run
