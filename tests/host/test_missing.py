"""Why a device can't be had, in one wording for all who ask."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cdi_runc import Registry
from cdi_runc.host.known import SpecFiles
from cdi_runc.host.missing import why_missing

SPEC = {"cdiVersion": "0.5.0", "kind": "vendor.com/gpu", "devices": [{"name": "0", "containerEdits": {"env": ["A=1"]}}]}
SECOND = "cdiVersion: 0.5.0\nkind: vendor.com/nic\ndevices:\n- name: a\n  containerEdits: {env: [A=1]}\n"


def known(directory: Path) -> SpecFiles:
    return SpecFiles(Registry([directory]), {"spec-dirs": [str(directory)]})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("vendor.com/gpu=1", "no spec file in DIR defines vendor.com/gpu=1; did you mean vendor.com/gpu=0?"),
        ("gpu=0", "'gpu=0' is not a CDI device name; expected vendor.com/class=name; did you mean vendor.com/gpu=0?"),
        (
            "vendor.com/nic=a",
            "no spec file in DIR defines vendor.com/nic=a; DIR/two.yaml names it in a second YAML document, "
            "which nobody reads: move it to another file",
        ),
        (
            "vendor.com/cam=a",
            "no spec file in DIR defines vendor.com/cam=a; DIR/cam.yml names it, but only files that end in "
            ".yaml or .json are read: rename it",
        ),
    ],
)
def test_a_device_that_is_not_there(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "gpu.json").write_text(json.dumps(SPEC))
    (tmp_path / "two.yaml").write_text(SECOND.replace("nic", "net") + "---\n" + SECOND)
    (tmp_path / "cam.yml").write_text(SECOND.replace("nic", "cam"))
    assert why_missing([name], known(tmp_path)).replace(str(tmp_path), "DIR") == said
