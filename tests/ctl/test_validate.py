import json
from pathlib import Path

import pytest

from tests.ctl.conftest import Cdictl

TWO_FAULTS = """\
cdiVersion: "0.5.0"
kind: vendor.com/gpu
devices:
  - name: "0"
    containerEdits:
      env: [NO_VALUE]
      mounts:
        - hostPath: /a
"""


def test_a_good_file(cdictl: Cdictl, spec_dir: Path) -> None:
    result = cdictl("validate", spec_dir / "gpu.json")
    assert (result.exit_code, result.output) == (0, f"{spec_dir}/gpu.json: valid\n")


def test_every_problem_has_its_line(cdictl: Cdictl, tmp_path: Path, spec_dir: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(TWO_FAULTS)
    result = cdictl("validate", path, spec_dir / "gpu.json")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{path}:6:13: devices[0].containerEdits.env[0]: ")
    assert lines[1].startswith(f"{path}:8:11: devices[0].containerEdits.mounts[0]")
    assert lines[2] == f"{spec_dir}/gpu.json: valid"


def test_problems_for_programs(cdictl: Cdictl, tmp_path: Path, spec_dir: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(TWO_FAULTS)
    bad, good = json.loads(cdictl("-o", "json", "validate", path, spec_dir / "gpu.json").stdout)
    assert good == {"path": f"{spec_dir}/gpu.json", "valid": True, "problems": []}
    assert (bad["path"], bad["valid"]) == (str(path), False)
    assert [(problem["line"], problem["column"]) for problem in bad["problems"]] == [(6, 13), (8, 11)]
    assert bad["problems"][0].keys() == {"line", "column", "field", "message"}


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"[", b"text"], ids=str)
def test_what_is_no_spec_is_one_line_that_names_it_once(cdictl: Cdictl, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bad.json"
    if content is not None:
        path.write_bytes(content)
    result = cdictl("validate", path)
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{path}:")
    assert result.stdout.count(str(path)) == result.stdout.count("\n")
