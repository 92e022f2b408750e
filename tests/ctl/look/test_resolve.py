"""`cdictl resolve`, and the patterns that `inject` takes too."""

import json
from pathlib import Path

import pytest

from tests.ctl.conftest import Cdictl


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["vendor.com/gpu=1"], "1"),
        (["vendor.com/gpu=*"], "01"),
        (["vendor.com/gpu=1", "vendor.com/gpu=*"], "10"),
        (["*[1]", "*=?"], "10"),
    ],
)
def test_names_and_patterns(cdictl: Cdictl, words: list[str], names: str) -> None:
    result = cdictl("resolve", "-o", "name", *words)
    assert (result.exit_code, result.stdout.split()) == (0, [f"vendor.com/gpu={name}" for name in names])


def test_for_people(cdictl: Cdictl, spec_dir: Path) -> None:
    assert cdictl("resolve", "*=1").stdout.splitlines() == [
        "DEVICE            SPEC FILE",
        f"vendor.com/gpu=1  {spec_dir}/gpu.json",
    ]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            ["vendor.com/gpu=0", "gpu=1"],
            "'gpu=1' is not a CDI device name; expected vendor.com/class=name; did you mean",
        ),
        (["vendor.com/gpu=0", "vendor.com/gpu=2"], "defines vendor.com/gpu=2; did you mean vendor.com/gpu="),
        (["vendor.com/gpu=0", "nvidia.com/*"], "no device matches 'nvidia.com/*' (see: cdictl devices)"),
    ],
)
def test_a_word_without_a_device(cdictl: Cdictl, words: list[str], complaint: str) -> None:
    result = cdictl("resolve", *words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert complaint in result.stderr


def test_inject_takes_patterns(cdictl: Cdictl, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"process": {"env": []}}')
    result = cdictl("inject", "--config", config, "vendor.com/gpu=*")
    assert json.loads(result.stdout)["process"]["env"] == ["GPU0=yes", "GPU1=yes"]
    assert cdictl("inject", "--config", config, "nvidia.com/*").exit_code == 1


def test_devices_that_are_not_there(cdictl: Cdictl) -> None:
    result = cdictl("devices", "nosuch")
    assert (result.exit_code, result.stderr) == (1, "cdictl: no device matches nosuch\n")
    assert cdictl("devices", "nosuch", "-o", "json").exit_code == 1
    assert "did you mean vendor.com/gpu=" in cdictl("devices", "vendor.com/gpu=3").stderr


def test_names_only(cdictl: Cdictl) -> None:
    assert cdictl("devices", "-o", "name").stdout == "vendor.com/gpu=0\nvendor.com/gpu=1\n"
