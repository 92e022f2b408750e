"""What programs get is what docs/cdictl.schema.json promises them."""

import json
import shutil
from pathlib import Path

import jsonschema
import pytest

from tests.ctl.conftest import Cdictl

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "cdictl.schema.json").read_text("utf-8"))


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "args",
    [
        ["devices"],
        ["devices", "-v"],
        ["device", "vendor.com/nic=0"],
        ["vendors"],
        ["classes"],
        ["specs"],
        ["dirs"],
        ["validate"],
        ["diff", "CONFIG", "vendor.com/nic=0"],
        ["explain", "bundle", "CONFIG"],
        ["explain", "device", "vendor.com/gpu=0"],
        ["doctor"],
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
    schema = {"$ref": f"#/definitions/{args[0]}", "definitions": SCHEMA["definitions"]}
    jsonschema.Draft7Validator(schema).validate(json.loads(result.stdout))
