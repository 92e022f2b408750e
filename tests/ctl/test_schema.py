"""What programs get is what docs/cdictl.schema.json promises them."""

import json
import shutil
from pathlib import Path

import jsonschema
import pytest

from cdi_runc.engines import journal
from tests.ctl.conftest import Cdictl

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "cdictl.schema.json").read_text("utf-8"))


def check(name: str, text: str) -> None:
    """Raises ValidationError where this is not what the schema promises under a name."""
    schema = {"$ref": f"#/definitions/{name}", "definitions": SCHEMA["definitions"]}
    jsonschema.Draft7Validator(schema).validate(json.loads(text))


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "args",
    [
        ["devices"],
        ["devices", "-v"],
        ["device", "vendor.com/nic=0"],
        ["resolve", "vendor.com/nic=*"],
        ["vendors"],
        ["classes"],
        ["specs"],
        ["dirs"],
        ["validate"],
        ["rules"],
        ["rules", "type-u"],
        ["diff", "CONFIG", "vendor.com/nic=0"],
        ["explain", "bundle", "CONFIG"],
        ["explain", "device", "vendor.com/gpu=0"],
        ["doctor"],
        ["render", "docker", "vendor.com/nic=0"],
        ["render", "lxc", "vendor.com/nic=0"],
        ["generate"],
        ["recipes", "list"],
        ["kubernetes", "classes"],
        ["version"],
    ],
    ids=" ".join,
)
def test_data_are_as_promised(cdictl: Cdictl, spec_dir: Path, tmp_path: Path, args: list[str]) -> None:
    shutil.copy(spec_dir / "gpu.json", spec_dir / "same.json")
    (spec_dir / "bad.yaml").write_text("kind: 1\n")
    nic = {"name": "0", "containerEdits": {"env": ["A=1"], "mounts": [{"hostPath": "/none", "containerPath": "/x"}]}}
    spec = {"cdiVersion": "1.1.0", "kind": "vendor.com/nic", "devices": [nic]}
    (spec_dir / "nic.json").write_text(json.dumps(spec))
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"annotations": {"cdi.k8s.io/x": "vendor.com/nic=0"}}))
    result = cdictl("-o", "json", *(str(config) if word == "CONFIG" else word for word in args))
    check(args[0], result.stdout)


@pytest.mark.parametrize(("name", "args"), [("files", ["--check"]), ("explain", ["--explain", "kvm"])])
def test_data_of_generate_are_as_promised(cdictl: Cdictl, tmp_path: Path, name: str, args: list[str]) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "kvm").touch()
    result = cdictl("-o", "json", "generate", "--root", tmp_path, *args)
    check(f"generate-{name}", result.stdout)
    assert json.loads(result.stdout) not in ({"files": []}, {"explained": []})


def test_data_of_engines_are_as_promised(cdictl: Cdictl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "state_directory", lambda: str(tmp_path / "state"))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    # A Docker whose daemon does not run.
    for name, script in {"dockerd": "echo Docker version 20.10.24", "docker": "exit 1", "cdi-runc": ""}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    config = tmp_path / "daemon.json"
    assert cdictl("engine", "enable", "docker", "--config", config).exit_code == 0
    said = {
        "engine-list": cdictl("engine", "list", "-o", "json").stdout,
        "engine-status": cdictl("engine", "status", "-o", "json").stdout,
        "engine-test": cdictl("engine", "test", "docker", "--runtime-name", "none", "-o", "json").stdout,
    }
    for name, text in said.items():
        check(name, text)
    assert "docker" in [row["engine"] for row in json.loads(said["engine-list"])["engines"]]
    assert [row["engine"] for row in json.loads(said["engine-status"])["registrations"]] == ["docker"]
    assert [step["works"] for step in json.loads(said["engine-test"])["steps"]] == [False]
