import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cdi_runc import __version__
from cdi_runc.ctl import COMMANDS, Commands, main
from tests.ctl.conftest import Cdictl

CDICTL = str(Path(sys.executable).with_name("cdictl"))


def test_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"cdictl {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_help_and_has_its_own(command: str) -> None:
    assert f"\n  {command} " in CliRunner().invoke(main, ["--help"]).output
    assert CliRunner().invoke(main, [command, "--help"]).output.startswith(f"Usage: main {command}")


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["-o", "json"], "cdictl: Missing command. (see cdictl --help)"),
        (["divices"], "cdictl: No such command 'divices'"),
        (["devices", "--no-such"], "cdictl: No such option"),
        (["devices", "-o", "xml"], "cdictl: Invalid value for '-o'"),
        (["-o", "xml", "devices"], "cdictl: Invalid value for '-o'"),
        (["inject"], "cdictl: Missing argument 'DEVICE...'"),
        (["inject", "--in-place", "vendor.com/gpu=0"], "cdictl: --in-place needs a file"),
        (["validate", "--for", "lxc@1"], "cdictl: Invalid value for '--for': 'lxc' is not one of podman, docker"),
        (
            ["validate", "--for", "docker@new"],
            "cdictl: Invalid value for '--for': 'new' is not a release: expected one such as docker@1.2",
        ),
        (["spec", "new", "v.com/x", "--device", "a", "--mount", "/a"], "cdictl: '/a' is not of the form HOSTPATH:PATH"),
        (["spec", "new", "v.com/x", "--device", "a", "--hook", "startContainer"], "cdictl: 'startContainer' is not of"),
        (["spec", "convert", "a.yaml"], "cdictl: Missing option '--to'"),
        (["--spec-dir", "/x", "refresh"], "cdictl: --spec-dir is for looking only"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_2(args: list[str], complaint: str) -> None:
    result = CliRunner().invoke(main, args, prog_name="cdictl")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(complaint)
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("fault", "status", "complaint"),
    [
        (KeyboardInterrupt(), 130, ""),
        (FileNotFoundError(2, "No such file or directory", "a.json"), 1, "cdictl: a.json: No such file or directory\n"),
        (OSError("odd"), 1, "cdictl: odd\n"),
        (OSError(28, "No space left on device"), 1, "cdictl: output: No space left on device\n"),
        (
            AttributeError("a\nb"),
            1,
            "cdictl: internal error, please report it: AttributeError: a b (CDI_RUNC_DEBUG=1 shows where)\n",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_faults_of_a_command(
    cdictl: Cdictl, monkeypatch: pytest.MonkeyPatch, fault: BaseException, status: int, complaint: str
) -> None:
    def invoke(*_: object) -> None:
        raise fault

    monkeypatch.setattr(Commands, "invoke", invoke)
    result = cdictl("devices")
    assert (result.exit_code, result.stderr.lstrip("\n")) == (status, complaint)


def test_a_reader_that_has_had_enough_is_no_fault(spec_dir: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [CDICTL, "--spec-dir", str(spec_dir), "devices"], stdout=write, stderr=subprocess.PIPE, check=False, timeout=60
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_command_line_without_any_option_has_the_usual_ones() -> None:
    done = CliRunner().invoke(main, ["render", "docker", "vendor.com/none=0"])
    assert "internal error" not in done.stderr
    assert "vendor.com/none=0" in done.stderr


def test_an_output_that_cannot_be_used_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    class Odd(io.TextIOWrapper):
        def reconfigure(self, **_: object) -> None:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stdout", Odd(io.BytesIO()))
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 1
    assert capfd.readouterr().err == "cdictl: output: Input/output error\n"
