"""What is registered, read from a file that may be damaged, older or newer than this version."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cdi_runc.engines import records
from cdi_runc.engines.engine import EngineError

RECORD = {"engine": "docker", "config": "/d", "runtime": "cdi-runc", "path": "/x", "files": []}
FILE = {"path": "/d", "syntax": "json", "after": "", "undos": []}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "{}",
        "[{}]",
        "[3]",
        json.dumps([RECORD | {"files": None}]),
        json.dumps([RECORD | {"files": [{}]}]),
        json.dumps([RECORD | {"files": [FILE | {"undos": [{"keys": "x"}]}]}]),
        "[" * 100_000,
    ],
)
def test_damage_is_one_line_with_the_file_and_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / "registrations.json").write_text(text)
    with pytest.raises(EngineError, match=f"^{tmp_path}/registrations.json is damaged.*then remove this file$"):
        records.registrations(str(tmp_path))


def test_what_older_and_later_versions_wrote_is_read(tmp_path: Path) -> None:
    (tmp_path / "registrations.json").write_text(json.dumps([RECORD | {"files": [FILE], "colour": "red"}]))
    [record] = records.registrations(str(tmp_path))
    assert (record["native"], record["unread"], record["files"][0]["made"]) == (False, False, [])
    assert record["colour"] == "red"  # type: ignore[typeddict-item]
