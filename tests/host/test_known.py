"""The devices of the spec files in the form that the shim decides by."""

import json
from pathlib import Path
from typing import Any

import pytest

from cdi_runc.cdi.registry import Registry
from cdi_runc.host import places, settings
from cdi_runc.host.known import SpecFiles, shadowed


def spec(path: Path, *names: str, kind: str = "v.com/c") -> str:
    path.parent.mkdir(exist_ok=True)
    devices = [{"name": name, "containerEdits": {"env": [f"A={path.name}"]}} for name in names]
    edits = {"env": ["FILE=1"]}
    path.write_text(json.dumps({"cdiVersion": "0.6.0", "kind": kind, "devices": devices, "containerEdits": edits}))
    return str(path)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    spec(tmp_path / "one/a.json", "0", "1", "two")
    spec(tmp_path / "one/b.json", "two")
    spec(tmp_path / "later/c.json", "1")
    spec(tmp_path / "later/d.json", "1", kind="v.com/d")
    (tmp_path / "one/bad.json").write_text("{")
    return Registry([str(tmp_path / "one"), str(tmp_path / "later")])


def test_what_a_snapshot_has_too(registry: Registry, tmp_path: Path) -> None:
    known = SpecFiles(registry, {"spec-dirs": []})
    assert sorted(known.names) == ["v.com/c=0", "v.com/c=1", "v.com/d=1"]
    one = f"{tmp_path}/one"
    assert known.find("v.com/c=0") == (f"{one}/a.json", {"env": ["FILE=1"]}, {"env": ["A=a.json"]})
    assert known.find("v.com/c=9") is None
    assert known.conflicts == {"v.com/c=two": [f"{one}/a.json", f"{one}/b.json"]}
    assert known.refused[f"{one}/bad.json"].startswith(f"{one}/bad.json:1:")


def test_the_settings_count_the_rules(registry: Registry) -> None:
    rule: dict[str, Any] = {"place": "p:1", "action": "deny", "message": "", "match": {}, "limits": {}}
    known = SpecFiles(registry, {"policy": {"rules": [rule], "fault": "x"}})
    assert known.settings == {"policy": {"rules": 1, "fault": "x"}}
    assert list(known.rules("v.com/c=0", str)) == [rule]
    without = SpecFiles(registry, {})
    assert without.settings == {"policy": {"rules": 0, "fault": ""}}
    assert list(without.rules("v.com/c=0", str)) == []


def test_foreign_files_are_named(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "is_host_root", lambda: True)
    config = tmp_path / "config.yaml"
    config.write_text("")
    config.chmod(0o666)
    (tmp_path / "one/a.json").chmod(0o666)
    found = SpecFiles(registry, settings.read(str(config)), str(config)).settings["foreign"]
    assert {"", f"{tmp_path}/one/a.json"} <= set(found)


def test_devices_that_a_later_directory_takes_over(registry: Registry, tmp_path: Path) -> None:
    assert shadowed(registry) == {"v.com/c=1": [f"{tmp_path}/one/a.json"]}
