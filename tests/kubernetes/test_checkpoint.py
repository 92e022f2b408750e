from __future__ import annotations

import os
from pathlib import Path

import pytest

from cdi_runc.kubernetes.checkpoint import Checkpoint, Corrupt, Given, Prepared, boot_id, read, set_aside

CLAIM = Prepared("default", "c", (Given("gpu-0", ("v/c=0",), ("v/c=0",), ("r",), "share", True),))


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "state/claims.json")


def test_what_is_written_is_read(path: str) -> None:
    Checkpoint(path, "boot", {"uid": CLAIM}).write()
    assert read(path, "boot").claims == {"uid": CLAIM}
    assert os.listdir(os.path.dirname(path)) == ["claims.json"]


def test_a_reboot_voids_all(path: str) -> None:
    Checkpoint(path, "boot", {"uid": CLAIM}).write()
    assert read(path, "another").claims == {}


def test_none_is_empty(path: str) -> None:
    assert read(path, "boot").claims == {}


def test_fields_of_a_later_version_are_not_in_the_way(path: str) -> None:
    Checkpoint(path, "boot", {"uid": CLAIM}).write()
    text = (
        Path(path)
        .read_text()
        .replace('"version":1', '"version":2,"new":{}')
        .replace('"namespace"', '"new":1,"namespace"')
    )
    Path(path).write_text(text)
    assert read(path, "boot").claims == {"uid": CLAIM}


@pytest.mark.parametrize("text", ["", "{", "null", "[]", '{"claims": {}}', '{"boot": "boot", "claims": {"u": {}}}'])
def test_what_cannot_be_understood_is_corrupt_and_kept(text: str, path: str) -> None:
    os.makedirs(os.path.dirname(path))
    Path(path).write_text(text)
    with pytest.raises(Corrupt, match=path):
        read(path, "boot")
    assert Path(set_aside(path)).read_text() == text
    assert not os.path.exists(path)


def test_a_write_that_fails_leaves_the_old(path: str) -> None:
    Checkpoint(path, "boot", {"uid": CLAIM}).write()
    os.symlink("/dev/full", f"{path}.new")
    with pytest.raises(OSError, match="No space left"):
        Checkpoint(path, "boot", {}).write()
    assert read(path, "boot").claims == {"uid": CLAIM}


def test_the_kernel_says_which_boot_this_is() -> None:
    assert len(boot_id()) == 36
