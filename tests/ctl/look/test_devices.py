import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.ctl.conftest import Cdictl


def test_a_table_for_people(cdictl: Cdictl, spec_dir: Path) -> None:
    result = cdictl("devices")
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "DEVICE            SPEC FILE",
        f"vendor.com/gpu=0  {spec_dir}/gpu.json",
        f"vendor.com/gpu=1  {spec_dir}/gpu.json",
    ]


@pytest.mark.parametrize("args", [["-o", "json", "devices"], ["devices", "-o", "json"], ["devices", "-o", "yaml"]])
def test_data_for_programs(cdictl: Cdictl, spec_dir: Path, args: list[str]) -> None:
    read = yaml.safe_load if "yaml" in args else json.loads
    assert read(cdictl(*args).stdout) == {
        "devices": [{"name": f"vendor.com/gpu={name}", "path": f"{spec_dir}/gpu.json"} for name in "01"],
        "conflicts": {},
        "errors": {},
    }


def test_conflicts_and_bad_files_are_told_apart(cdictl: Cdictl, spec_dir: Path) -> None:
    shutil.copy(spec_dir / "gpu.json", spec_dir / "same.json")
    (spec_dir / "bad.yaml").write_text("{")
    found = json.loads(cdictl("devices", "-o", "json").stdout)
    paths = [f"{spec_dir}/gpu.json", f"{spec_dir}/same.json"]
    assert found["devices"] == []
    assert found["conflicts"] == {"vendor.com/gpu=0": paths, "vendor.com/gpu=1": paths}
    assert [*found["errors"]] == [f"{spec_dir}/bad.yaml", *paths]


def test_a_bad_file_is_said_beside_the_table(cdictl: Cdictl, spec_dir: Path) -> None:
    (spec_dir / "bad.yaml").write_text("{")
    result = cdictl("devices")
    assert len(result.stdout.splitlines()) == 3
    assert result.stderr.startswith(f"cdictl: {spec_dir}/bad.yaml:")
    assert result.stderr.count("\n") == 1
