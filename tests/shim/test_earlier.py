"""A bundle remembers what its config.json was before the edits of a run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdi_runc.shim.bundle import Config
from cdi_runc.shim.earlier import before_edits, replace, restore
from tests.files import write_of

Change = Callable[[dict[str, Any]], dict[str, Any]]

USERS = ' {"hostname": "box", "process": {"env": ["A=1"]}}\n'
KEPT = [".config.json.after-cdi-runc", ".config.json.before-cdi-runc", "config.json"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "config.json").write_text(USERS)
    return tmp_path / "bundle" / "config.json"


def env(*entries: str) -> Change:
    """An injection of variables."""
    return lambda config: {**config, "process": {"env": [*config["process"]["env"], *entries]}}


def run(path: Path, change: Change) -> dict[str, Any]:
    """One call of the shim; what the config is from then on."""
    config = Config(str(path))
    before = before_edits(config)
    made = change(before)
    if made != config.data:
        replace(config, before, made)
    config.close()
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_the_first_run_keeps_what_it_found_and_what_it_wrote(path: Path) -> None:
    found = path.stat().st_ino
    run(path, env("B=2"))
    assert sorted(os.listdir(path.parent)) == KEPT
    assert (path.parent / KEPT[1]).stat().st_ino == found
    assert json.loads((path.parent / KEPT[0]).read_text()) == json.loads(path.read_text())


def test_each_run_has_its_own_edits(path: Path) -> None:
    assert run(path, env("B=2"))["process"]["env"] == ["A=1", "B=2"]
    before = write_of(path)
    assert run(path, env("B=2"))["process"]["env"] == ["A=1", "B=2"]
    assert write_of(path) == before  # not even written
    assert run(path, env("C=3"))["process"]["env"] == ["A=1", "C=3"]
    assert run(path, env())["process"]["env"] == ["A=1"]
    assert os.listdir(path.parent) == ["config.json"]


@pytest.mark.parametrize("in_place", [True, False])
def test_what_the_user_writes_in_between_stays(path: Path, in_place: bool) -> None:
    made = run(path, env("B=2"))
    made |= {"hostname": "other"}
    made["process"]["env"].append("MINE=1")
    if not in_place:
        path.unlink()
    path.write_text(json.dumps(made, indent=2))
    assert run(path, env("C=3")) == {"hostname": "other", "process": {"env": ["A=1", "MINE=1", "C=3"]}}
    assert run(path, env("D=4"))["process"]["env"] == ["A=1", "MINE=1", "D=4"]


def test_a_config_that_an_engine_writes_anew_is_what_it_says(path: Path) -> None:
    run(path, env("B=2"))
    path.write_text('{"process": {"env": ["B=0"]}}')
    assert run(path, env("C=3")) == {"process": {"env": ["B=0", "C=3"]}}
    assert run(path, env("D=4")) == {"process": {"env": ["B=0", "D=4"]}}


@pytest.mark.parametrize("text", ["", "{", "[]", None])
@pytest.mark.parametrize("name", KEPT[:2])
def test_a_memory_that_is_damaged_is_none(path: Path, name: str, text: str | None) -> None:
    run(path, env("B=2"))
    kept = path.parent / name
    kept.unlink()
    if text is None:
        kept.symlink_to("/dev/zero")
    else:
        kept.write_text(text)
    assert run(path, env("C=3"))["process"]["env"] == ["A=1", "B=2", "C=3"]


def test_a_runtime_that_cannot_be_started_leaves_no_trace(path: Path) -> None:
    config = Config(str(path))
    replace(config, before_edits(config), env("B=2")(config.data))
    restore(config)
    assert (path.read_text(), os.listdir(path.parent)) == (USERS, ["config.json"])


def test_a_second_runtime_that_cannot_be_started_changes_nothing(path: Path) -> None:
    run(path, env("B=2"))
    before = path.read_text()
    config = Config(str(path))
    found = before_edits(config)
    replace(config, found, env("C=3")(found))
    restore(config)
    config.close()
    assert path.read_text() == before
    assert run(path, env("D=4"))["process"]["env"] == ["A=1", "D=4"]


def test_a_file_of_another_name_has_a_memory_of_its_own(path: Path) -> None:
    """As crun's `--config FILE` names one."""
    other = path.with_name("other.json")
    other.write_text(USERS)
    run(other, env("B=2"))
    assert run(other, env("C=3"))["process"]["env"] == ["A=1", "C=3"]
    assert path.read_text() == USERS


def test_numbers_keep_their_digits_over_several_runs(path: Path) -> None:
    path.write_text('{"x": [1.10, 1e400], "process": {"env": []}}')
    run(path, env("B=2"))
    changed = json.loads(path.read_text().replace("1e400", "0"))
    path.write_text(json.dumps(changed | {"x": None}))
    config = Config(str(path))
    before = before_edits(config)
    replace(config, before, env("C=3")(before))
    run(path, env())
    assert path.read_text() == '{"x":null,"process":{"env":[]}}'
    path.write_text('{"x": [1.10, 1e400], "process": {"env": []}}')
    run(path, env("B=2"))
    run(path, env("C=3"))
    assert path.read_text() == '{"x":[1.10,1e400],"process":{"env":["C=3"]}}'
