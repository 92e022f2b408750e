import json
import shlex
from pathlib import Path

import pytest

from tests.ctl.conftest import Cdictl

DEVICE = "vendor.com/odd=0"


@pytest.fixture(autouse=True)
def odd_device(spec_dir: Path) -> None:
    edits = {"env": ["A=it's $x"], "hooks": [{"hookName": "poststop", "path": "/bin/true"}]}
    spec = {"cdiVersion": "0.5.0", "kind": "vendor.com/odd", "devices": [{"name": "0", "containerEdits": edits}]}
    (spec_dir / "odd.json").write_text(json.dumps(spec))


def test_words_are_ready_to_paste(cdictl: Cdictl) -> None:
    assert shlex.split(cdictl("render", "bwrap", DEVICE).stdout) == ["--setenv", "A", "it's $x"]


def test_losses_go_to_standard_error_and_fail_only_with_strict(cdictl: Cdictl) -> None:
    line = "cdictl: not expressible: hook poststop /bin/true: bubblewrap has no hooks\n"
    lax, strict = cdictl("render", "bwrap", DEVICE), cdictl("render", "bwrap", DEVICE, "--strict")
    assert (lax.stderr, lax.exit_code) == (line, 0)
    assert (strict.stderr, strict.exit_code) == (line, 1)
    assert strict.stdout == lax.stdout


def test_programs_get_the_words_and_the_losses(cdictl: Cdictl) -> None:
    assert json.loads(cdictl("render", "docker", DEVICE, "-o", "json").stdout) == {
        "arguments": ["--env", "A=it's $x"],
        "lost": [{"edit": "hook poststop /bin/true", "reason": "docker run has no hooks"}],
        "whole": f"--runtime cdi-runc --annotation cdi.k8s.io/x={DEVICE}",
    }


def test_the_user_learns_how_cdi_runc_carries_it_all(cdictl: Cdictl) -> None:
    assert f"annotations: {{cdi.k8s.io/x: '{DEVICE}'}}" in cdictl("render", "compose", DEVICE).stdout
    assert f"--annotation cdi.k8s.io/x={DEVICE}" in cdictl("render", "docker", DEVICE).stderr


def test_hooks_of_podman_are_written_anew(cdictl: Cdictl, tmp_path: Path) -> None:
    directory = tmp_path / "hooks"
    directory.mkdir()
    (directory / "50-cdi-07.json").write_text("{}")
    (directory / "mine.json").write_text("{}")
    cdictl("render", "podman", DEVICE, "--hooks-dir", directory)
    assert sorted(path.name for path in directory.iterdir()) == ["50-cdi-00.json", "mine.json"]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["docker", "vendor.com/odd=7"], 1, "vendor.com/odd=7"),
        (["dokcer", DEVICE], 2, "'dokcer' is not one of"),
        (["docker"], 2, "Missing argument 'DEVICE...'"),
        (["docker", DEVICE, "--file"], 2, "--file is for nspawn, not for docker"),
        (["lxc", DEVICE, "--hooks-dir", "/x"], 2, "--hooks-dir is for podman and quadlet, not for lxc"),
        (["podman", DEVICE, "--hooks-dir", "/usr/share/containers/oci/hooks.d"], 1, "for every container"),
    ],
)
def test_bad_input(cdictl: Cdictl, words: list[str], status: int, said: str) -> None:
    result = cdictl("render", *words)
    assert result.exit_code == status
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_device_that_is_not_there_is_said_as_everywhere(cdictl: Cdictl, spec_dir: Path) -> None:
    result = cdictl("render", "lxc", "vendor.com/odd=1")
    assert (result.exit_code, result.stdout) == (1, "")
    expected = f"cdictl: no spec file in {spec_dir} defines vendor.com/odd=1; did you mean {DEVICE}?\n"
    assert result.stderr == expected
