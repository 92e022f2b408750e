import copy
import json
from pathlib import Path

import pytest

import cdi_runc as cdi
from cdi_runc.cdi.injection import resolve
from cdi_runc.ctl.why.changes import diff_lines, patch, steps
from cdi_runc.shim.outcome import outcome
from tests.cdi.compare import Case, prepare
from tests.cdi.test_vectors import vectors
from tests.ctl.conftest import Cdictl
from tests.ctl.json_patch import patched

ASKS = {"annotations": {"cdi.k8s.io/x": "vendor.com/gpu=0"}, "process": {"env": ["A=1"]}}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(ASKS))
    return tmp_path


@pytest.mark.parametrize("form", ["", "config.json"])
def test_for_people(cdictl: Cdictl, bundle: Path, spec_dir: Path, form: str) -> None:
    result = cdictl("diff", bundle / form)
    assert (result.exit_code, result.stdout.splitlines()) == (
        0,
        [
            f"--- {bundle}/config.json",
            f"+++ {bundle}/config.json as the runtime will get it",
            f"@@ vendor.com/gpu=0, {spec_dir}/gpu.json @@",
            '+ process.env[1]: "GPU0=yes"',
        ],
    )
    assert json.loads((bundle / "config.json").read_text()) == ASKS


def test_for_programs(cdictl: Cdictl, bundle: Path, spec_dir: Path) -> None:
    found = json.loads(cdictl("diff", bundle, "vendor.com/gpu=1", "-o", "json").stdout)
    provenance = {"spec": f"{spec_dir}/gpu.json", "device": "vendor.com/gpu=1"}
    assert found == [{"op": "add", "path": "/process/env/1", "value": "GPU1=yes", "provenance": provenance}]


def test_what_stands_there_already_is_no_change(cdictl: Cdictl, bundle: Path) -> None:
    cdictl("inject", "--in-place", "--config", bundle / "config.json", "vendor.com/gpu=0")
    assert cdictl("diff", bundle).stdout == f"{bundle}/config.json: nothing would change\n"


def test_what_cannot_be_had_is_said_as_the_shim_says_it(cdictl: Cdictl, bundle: Path, spec_dir: Path) -> None:
    result = cdictl("diff", bundle, "vendor.com/gpu=9")
    assert (result.exit_code, result.stdout) == (1, "")
    expected = f"cdictl: no spec file in {spec_dir} defines vendor.com/gpu=9; did you mean vendor.com/gpu=1?\n"
    assert result.stderr == expected


@pytest.mark.parametrize(("match", "place"), [("runtime: crun", ""), ("engine: docker", "docker/containerd/x")])
def test_a_rule_about_the_runtime_or_the_engine_denies_here_too(
    cdictl: Cdictl, tmp_path: Path, match: str, place: str
) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("runtimes: {runc: /usr/bin/crun}\n")
    (tmp_path / "policy.yaml").write_text(f"rules:\n- {{match: {{{match}}}, action: deny, message: ask first}}\n")
    bundle = tmp_path / place
    bundle.mkdir(parents=True, exist_ok=True)
    (bundle / "config.json").write_text(json.dumps(ASKS))
    result = cdictl("--config", settings, "diff", bundle)
    assert result.exit_code == 1
    assert "vendor.com/gpu=0: ask first" in result.stderr


def test_a_marker_mount_goes(cdictl: Cdictl, bundle: Path, tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("requests: {mounts: /cdi}\n")
    marker = {"destination": "/cdi/vendor.com/gpu/0", "type": "bind", "source": "/dev/null"}
    config = {"mounts": [{"destination": "/proc"}, marker]}
    (bundle / "config.json").write_text(json.dumps(config))
    lines = cdictl("--config", settings, "diff", bundle).stdout.splitlines()
    assert lines[2:4] == ["@@ cdi-runc itself @@", f"- mounts[1]: {json.dumps(marker)}"]


@pytest.mark.parametrize("case", vectors("inject"))
def test_the_steps_together_make_what_the_shim_makes(case: Case, tmp_path: Path) -> None:
    run = prepare(case, tmp_path)
    registry = cdi.Registry(run["spec_dirs"])
    before = run["config"]
    try:
        groups = resolve(run["devices"], registry.find)
        after = outcome(before, groups, lambda: False)
    except cdi.CDIError:
        return  # the vectors' own test looks at these
    files = {name: registry.devices[name].path for name in run["devices"]}
    found = steps(copy.deepcopy(before), groups, files)
    assert patched(before, [operation for step in found for operation in step.operations]) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {}),
        ({"a": 1}, {"a": True}),
        ({"a": 1, "b": 2}, {"b": 3, "c": None}),
        ({"a/b~c": [1]}, {"a/b~c": [1, 2]}),
        ([1, 2, 3], [3, 2, 1]),
        ([{"a": 1}, {"b": 2}], [{"b": 2}, {"c": 3}, {"a": 1}]),
        ({"a": [1]}, {"a": {}}),
        ({"a": {}}, {}),
    ],
    ids=str,
)
def test_a_patch_makes_the_one_of_the_other(before: object, after: object) -> None:
    made = patched(before, patch(before, after))
    assert json.dumps(made, sort_keys=True) == json.dumps(after, sort_keys=True)


def test_objects_are_opened_and_items_are_not() -> None:
    operation = {"op": "add", "path": "/linux", "value": {"devices": [{"path": "/dev/a"}], "intelRdt": {}}}
    assert [line for _, line in diff_lines(operation)] == ['linux.devices[0]: {"path": "/dev/a"}', "linux.intelRdt: {}"]
