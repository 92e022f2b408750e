"""The bill of materials of a release."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cdi_runc import __version__

TREE = Path(__file__).resolve().parents[2]
VENDORED = re.findall(r"(?m)^(\S+)==(\S+) ", (TREE / "packaging/vendored.txt").read_text())


@pytest.fixture(scope="module")
def bill() -> dict[str, object]:
    command = [sys.executable, str(TREE / "packaging/bill-of-materials")]
    said = subprocess.check_output(command, env={"SOURCE_DATE_EPOCH": "1700000000"}, timeout=60)
    read: dict[str, object] = json.loads(said)
    return read


def test_it_is_of_this_version_and_commit(bill: dict[str, object]) -> None:
    metadata = bill["metadata"]
    assert isinstance(metadata, dict)
    assert (metadata["component"]["version"], metadata["timestamp"]) == (__version__, "2023-11-14T22:13:20Z")


def test_it_lists_what_the_archive_brings(bill: dict[str, object]) -> None:
    components = bill["components"]
    assert isinstance(components, list)
    assert [(each["name"], each["version"]) for each in components] == VENDORED
    assert all(len(each["hashes"][0]["content"]) == 64 for each in components)
