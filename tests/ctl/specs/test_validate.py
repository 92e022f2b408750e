import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from cdi_runc.ctl import main
from cdi_runc.ctl.specs.check.file import Wanted, check_file
from cdi_runc.ctl.specs.check.finding import rule_of
from cdi_runc.ctl.specs.check.host import HOST
from cdi_runc.ctl.specs.check.practice import PRACTICE
from cdi_runc.ctl.specs.check.rules import RULES
from cdi_runc.ctl.specs.check.text import TEXT
from tests.cdi.compare import Case
from tests.cdi.test_vectors import ANSWERED_OTHERWISE, vectors
from tests.ctl.conftest import Cdictl

TWO_FAULTS = """\
cdiVersion: "0.5.0"
kind: vendor.com/gpu
devices:
  - name: "0"
    containerEdits:
      env: [NO_VALUE]
      mounts:
        - hostPath: /a
"""


def test_a_good_file(cdictl: Cdictl, spec_dir: Path) -> None:
    result = cdictl("validate", spec_dir / "gpu.json")
    assert (result.exit_code, result.output) == (0, f"{spec_dir}/gpu.json: valid\n")


def test_every_problem_has_its_line_and_a_caret_below(cdictl: Cdictl, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(TWO_FAULTS)
    result = cdictl("validate", path)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{path}:6:13: error: devices[0].containerEdits.env[0]: is 'NO_VALUE', not NAME=VALUE",
        "     6 |       env: [NO_VALUE]",
        "       |             ^",
        f"{path}:8:11: error: devices[0].containerEdits.mounts[0].containerPath: is missing",
        "     8 |         - hostPath: /a",
        "       |           ^",
        "2 errors in 1 file",
    ]


def test_problems_for_programs(cdictl: Cdictl, tmp_path: Path, spec_dir: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(TWO_FAULTS)
    bad, good = json.loads(cdictl("-o", "json", "validate", path, spec_dir / "gpu.json").stdout)
    assert good == {"path": f"{spec_dir}/gpu.json", "valid": True, "problems": []}
    assert (bad["path"], bad["valid"]) == (str(path), False)
    assert [(problem["line"], problem["column"]) for problem in bad["problems"]] == [(6, 13), (8, 11)]


def test_problems_for_github(cdictl: Cdictl, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(TWO_FAULTS)
    first, _ = cdictl("validate", "-o", "github", path).stdout.splitlines()
    where = "devices[0].containerEdits.env[0]"
    assert first == f"::error file={path},line=6,col=13,title=spec::{where}: is 'NO_VALUE', not NAME=VALUE"


def test_problems_as_sarif(cdictl: Cdictl, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(TWO_FAULTS)
    log = json.loads(cdictl("validate", "-o", "sarif", path).stdout)
    (run,) = log["runs"]
    assert log["version"] == "2.1.0"
    (rule,) = run["tool"]["driver"]["rules"]
    assert rule["id"] == "spec"
    assert rule["shortDescription"]["text"].startswith("The file is not a spec")
    assert [result["locations"][0]["physicalLocation"]["region"] for result in run["results"]] == [
        {"startLine": 6, "startColumn": 13},
        {"startLine": 8, "startColumn": 11},
    ]


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"[", b"text"], ids=str)
def test_what_is_no_spec_is_one_finding_that_names_it_once(
    cdictl: Cdictl, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "bad.json"
    if content is not None:
        path.write_bytes(content)
    result = cdictl("validate", path)
    assert (result.exit_code, result.stderr) == (1, "")
    assert result.stdout.startswith(f"{path}:")
    assert result.stdout.count(str(path)) == 1
    assert result.stdout.endswith("\n1 error in 1 file\n")


def test_standard_input() -> None:
    result = CliRunner().invoke(main, ["validate", "-"], input=TWO_FAULTS.encode())
    assert (result.exit_code, result.stdout.splitlines()[0][:16]) == (1, "-:6:13: error: d")


def test_without_arguments_the_spec_dirs_are_checked(cdictl: Cdictl, spec_dir: Path) -> None:
    assert cdictl("validate").stdout == f"{spec_dir}/gpu.json: valid\n"


def test_no_files_are_no_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--spec-dir", str(tmp_path / "none"), "validate"])
    assert (result.exit_code, result.stdout) == (0, "no spec files to check\n")


def test_a_directory_with_a_conflict_a_name_that_nobody_reads_and_a_loose_mode(cdictl: Cdictl, spec_dir: Path) -> None:
    (spec_dir / "same.json").write_bytes((spec_dir / "gpu.json").read_bytes())
    (spec_dir / "other.yml").touch()
    (spec_dir / "gpu.json").chmod(0o666)
    found = json.loads(cdictl("validate", "-o", "json", spec_dir).stdout)
    rules = {file["path"]: [problem["rule"] for problem in file["problems"]] for file in found}
    assert rules == {
        f"{spec_dir}/gpu.json": ["writable-by-all"],
        f"{spec_dir}/same.json": ["conflict", "conflict"],
        f"{spec_dir}": ["never-read"],
    }


@pytest.mark.parametrize(("option", "status"), [("--strict", 1), ("--host", 1), (None, 0)])
def test_warnings_are_errors_only_if_that_is_wished(
    cdictl: Cdictl, tmp_path: Path, option: str | None, status: int
) -> None:
    path = tmp_path / "a.json"
    edits = {"mounts": [{"hostPath": "/none", "containerPath": "/x", "options": ["bind"]}]}
    devices = [{"name": "a", "containerEdits": edits}]
    path.write_text(json.dumps({"cdiVersion": "0.3.0", "kind": "v.com/x", "devices": devices}))
    assert cdictl("validate", *([option] if option else []), path).exit_code == status


def test_many_warnings_of_one_kind_are_counted(cdictl: Cdictl, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    mounts = [{"hostPath": f"/none/{n}", "containerPath": f"/{n}", "options": ["bind"]} for n in range(9)]
    devices = [{"name": "a", "containerEdits": {"mounts": mounts}}]
    path.write_text(json.dumps({"cdiVersion": "0.3.0", "kind": "v.com/x", "devices": devices}, indent=1))
    *_, more, total = cdictl("validate", path).stdout.splitlines()
    assert (more, total) == ("warning: 6 more of no-such-mount-source: --all shows them", "9 warnings in 1 file")
    assert cdictl("validate", "--all", path).stdout.count("[no-such-mount-source]") == 9


def test_one_warning_in_many_files_is_counted(cdictl: Cdictl, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for number in range(8):
        text = f"{{cdiVersion: 1.1.0, kind: v.com/x, devices: [{{name: a{number}, containerEdits: {{env: [A=1]}}}}]}}"
        (tmp_path / f"many/{number}.yaml").write_text(text)
    lines = cdictl("validate", tmp_path / "many").stdout.splitlines()
    assert sum("0.3.0 would do" in line for line in lines) == 3
    assert lines[-3:] == [
        f"{tmp_path}/many/7.yaml: valid (1 warning not shown)",
        "warning: 5 more of version-higher-than-needed: --all shows them",
        "8 warnings in 8 files",
    ]


def test_rules_can_be_ignored(cdictl: Cdictl, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("{cdiVersion: 1.1.0, kind: v.com/x, devices: [{name: a, containerEdits: {env: [A=1]}}]}")
    assert "[version-higher-than-needed]" in cdictl("validate", path).stdout
    for options in (["--strict"], ["-o", "json"], []):
        result = cdictl("validate", "--ignore", "version-higher-than-needed", *options, path)
        assert result.exit_code == 0
        assert "higher" not in result.stdout
    for name, complaint in (("spec", "can't be ignored"), ("type-v", "did you mean type-u?")):
        result = cdictl("validate", "--ignore", name, path)
        assert (result.exit_code, complaint in result.stderr) == (2, True)


def test_every_rule_is_listed_and_explained(cdictl: Cdictl) -> None:
    listed = {line.split()[0] for line in cdictl("rules").stdout.splitlines()[1:]}
    assert listed == set(RULES)
    checks: tuple[Callable[..., object], ...] = (*PRACTICE, *HOST, *TEXT)
    assert {rule_of(check) for check in checks} < listed
    for name, rule in RULES.items():
        explained = cdictl("rules", name).stdout
        assert explained.startswith(f"{name} ({rule.level})\n\n")
        assert len(explained.split()) > 8
    assert cdictl("rules", "typo").exit_code == 2
    assert cdictl("rules", "never-reed").stderr.count("did you mean never-read?") == 1


def test_nothing_of_a_file_elsewhere_is_shown(cdictl: Cdictl, tmp_path: Path, spec_dir: Path) -> None:
    (tmp_path / "secret").write_text("daemon:*:19000\n")
    (spec_dir / "a.yaml").symlink_to(tmp_path / "secret")
    for options in ([], ["-o", "json"], ["-o", "sarif"], ["-o", "github"]):
        result = cdictl("validate", *options, spec_dir)
        assert result.exit_code == 1
        assert "daemon" not in result.output


def test_files_that_nobody_reads(cdictl: Cdictl, tmp_path: Path) -> None:
    directory = tmp_path / "specs"
    (directory / "more").mkdir(parents=True)
    text = "{cdiVersion: 0.3.0, kind: v.com/x, devices: [{name: a, containerEdits: {env: [A=1]}}]}"
    for name in ("a.yaml", "b.yml", "c.YAML", "more/d.yaml"):
        (directory / name).write_text(text)
    data = json.loads(cdictl("-o", "json", "validate", directory, directory / "b.yml").stdout)
    found = [problem["rule"] for file in data for problem in file["problems"]]
    assert found == ["never-read"] * 4


def test_a_line_of_megabytes_is_cut_and_no_escape_reaches_the_terminal(cdictl: Cdictl, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("{" + " " * 10_000_000 + '"\x9b31m": 1}')
    assert len(cdictl("validate", path).stdout) < 1000


@pytest.mark.parametrize("case", vectors("validate"))
def test_the_verdict_is_the_references(tmp_path: Path, case: Case) -> None:
    path = tmp_path / "spec"
    path.write_bytes(case["input"]["text"].encode())
    valid = check_file(str(path), Wanted()).valid
    assert valid == (case["expected"]["valid"] or case["id"] in ANSWERED_OTHERWISE)


def test_a_version_that_only_the_reference_takes(cdictl: Cdictl, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    first = "{name: a, containerEdits: {deviceNodes: [{path: /dev/a, hostPath: /dev/null}]}}"
    path.write_text(
        f"{{cdiVersion: 0.3.0, kind: v.com/c, devices: [{first}, {{name: b, containerEdits: {{env: [A=B]}}}}]}}"
    )
    result = cdictl("validate", path)
    assert result.exit_code == 0
    field = "devices[0].containerEdits.deviceNodes[0].hostPath"
    assert f"is 0.3.0, but {field} needs 0.5.0: strict readers refuse the file [version-too-low]" in result.stdout
    assert cdictl("devices", "-o", "json").exit_code == 0
