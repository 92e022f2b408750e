import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cdi_runc.ctl import COMMANDS

TREE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with all manual pages."""
    directory = tmp_path_factory.mktemp("man")
    command = [sys.executable, str(TREE / "packaging/man/make-man"), str(directory)]
    subprocess.run(command, env={"PYTHONPATH": str(TREE), "SOURCE_DATE_EPOCH": "0"}, check=True, timeout=60)
    return directory


def test_every_command_has_a_page(pages: Path) -> None:
    assert {page.name for page in pages.iterdir()} == {"cdictl.1", *(f"cdictl-{name}.1" for name in COMMANDS)}


@pytest.mark.parametrize("name", ["cdictl", *(f"cdictl-{name}" for name in COMMANDS)])
def test_roff_has_no_complaint(pages: Path, name: str) -> None:
    if not shutil.which("groff"):
        pytest.skip("groff is not installed")
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", str(pages / f"{name}.1")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert "1970-01-01" in done.stdout
