import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from cdi_runc.ctl import main
from tests.ctl.conftest import Cdictl

CONFIG = {"process": {"env": ["A=\ud800"]}, "x": 18446744073709551615, "y": 0.5}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG))
    return path


@pytest.mark.parametrize("form", [["-o", "json"], ["-o", "yaml"], []], ids=" ".join)
def test_to_standard_output(cdictl: Cdictl, config: Path, form: list[str]) -> None:
    before = config.read_bytes()
    result = cdictl("inject", "--config", config, "vendor.com/gpu=0", *form)
    assert (result.exit_code, result.stderr) == (0, "")
    found = (yaml.safe_load if "yaml" in form else json.loads)(result.stdout)
    assert found == {**CONFIG, "process": {"env": ["A=\ud800", "GPU0=yes"]}}
    assert config.read_bytes() == before


def test_in_place(cdictl: Cdictl, config: Path) -> None:
    config.chmod(0o600)
    result = cdictl("inject", "--in-place", "--config", config, "vendor.com/gpu=1", "vendor.com/gpu=0")
    assert (result.exit_code, result.output) == (0, "")
    assert json.loads(config.read_text()) == {**CONFIG, "process": {"env": ["A=\ud800", "GPU1=yes", "GPU0=yes"]}}
    assert config.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("devices", [["vendor.com/gpu=2"], ["vendor.com/gpu=0", "gpu"], [""]], ids=" ".join)
def test_all_or_nothing(cdictl: Cdictl, config: Path, devices: list[str]) -> None:
    before = config.read_bytes()
    result = cdictl("inject", "--in-place", "--config", config, *devices)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("cdictl: ")
    assert result.stderr.count("\n") == 1
    assert config.read_bytes() == before


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{", b"\xff", b'{"process": 1}'], ids=str)
def test_what_is_no_config_is_one_line(cdictl: Cdictl, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "config.json"
    if content is not None:
        path.write_bytes(content)
    result = cdictl("inject", "--config", path, "vendor.com/gpu=0")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("cdictl: ")
    assert result.stderr.count("\n") == 1


NUMBERS = "[1.10, 1e400, -0.0, 0.1000000000000000055511151231257827, 123456789012345678901234567890]"


def test_numbers_keep_their_digits(cdictl: Cdictl, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(f'{{"x": {NUMBERS}}}')
    printed = cdictl("inject", "--config", path, "vendor.com/gpu=0").stdout
    assert [line.strip(" ,") for line in printed.splitlines()[2:7]] == NUMBERS.strip("[]").split(", ")
    in_yaml = cdictl("inject", "--config", path, "vendor.com/gpu=0", "-o", "yaml").stdout
    assert in_yaml.startswith("x:\n- 1.10\n- !!float '1e400'\n- -0.0\n- 0.1000000000000000055511151231257827\n")
    assert cdictl("inject", "--in-place", "--config", path, "vendor.com/gpu=0").exit_code == 0
    assert path.read_text().startswith(f'{{"x":{NUMBERS.replace(" ", "")},')


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xef\xbb\xbf{}", "it starts with a byte order mark (BOM); save the file as UTF-8 without one"),
        (b"{\xff", "not UTF-8 at byte 1"),
    ],
)
def test_what_editors_put_into_a_file_is_said_in_plain_words(
    cdictl: Cdictl, spec_dir: Path, tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    assert cdictl("inject", "--config", path, "vendor.com/gpu=0").stderr.endswith(f"{reason}\n")
    piped = CliRunner().invoke(main, ["--spec-dir", str(spec_dir), "inject", "vendor.com/gpu=0"], input=content)
    assert piped.stderr.endswith(f"{reason}\n")
