"""`cdictl spec transform root` moves paths to another root directory, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

import cdi_runc as cdi
from tests.ctl.conftest import Cdictl

SPEC = """\
cdiVersion: 0.5.0
kind: v.com/x
containerEdits:
  hooks:
  - {hookName: createContainer, path: /host/bin/x, args: [x, /host/a]}  # as it was
devices:
- name: a
  containerEdits:
    deviceNodes:
    - path: /dev/a
      hostPath: /host/dev/a
    - path: /host/dev/b
    - path: /hosts/dev/c
    mounts:
    - {hostPath: /host, containerPath: /host/x}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "a.yaml"
    file.write_text(SPEC)
    return file


def test_on_the_host(cdictl: Cdictl, path: Path) -> None:
    assert cdictl("spec", "transform", "root", path, "--from", "/host/", "--to", "/").exit_code == 0
    spec = cdi.load_spec(path)
    edits = spec["devices"][0]["containerEdits"]
    assert edits["deviceNodes"] == [
        {"path": "/dev/a", "hostPath": "/dev/a"},
        {"path": "/host/dev/b", "hostPath": "/dev/b"},
        {"path": "/hosts/dev/c"},
    ]
    assert edits["mounts"] == [{"hostPath": "/", "containerPath": "/host/x"}]
    assert spec["containerEdits"]["hooks"][0]["path"] == "/bin/x"
    assert "# as it was" in path.read_text()


def test_in_the_container(cdictl: Cdictl, path: Path) -> None:
    options = ["--from", "/host", "--to", "/opt/h", "--relative-to", "container"]
    assert cdictl("spec", "transform", "root", path, *options).exit_code == 0
    edits = cdi.load_spec(path)["devices"][0]["containerEdits"]
    assert edits["deviceNodes"][1] == {"path": "/opt/h/dev/b", "hostPath": "/host/dev/b"}
    assert edits["mounts"] == [{"hostPath": "/host", "containerPath": "/opt/h/x"}]


def test_nothing_to_move(cdictl: Cdictl, path: Path) -> None:
    result = cdictl("spec", "transform", "root", path, "--from", "/none", "--to", "/")
    assert result.stdout == f"{path}: nothing to change\n"
    assert cdictl("spec", "transform", "root", path, "--from", "none", "--to", "/").exit_code == 2
