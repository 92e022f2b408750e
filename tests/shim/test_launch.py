"""Our own options, and what is said where they cannot be obeyed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.launch import Launch
from tests.shim.conftest import START, bundle

BOOT = [sys.executable, "-I", "-S", str(START / "boot.py"), sys.executable, "/x/cdi-runc", *[""] * 5]


def test_a_full_standard_output_is_told_in_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*BOOT, "--cdi-version"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "cdi-runc: nothing can be written to standard output: No space left on device\n"


def test_a_relative_config_needs_a_working_directory(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    command = ["sh", "-c", 'rmdir "$PWD"; exec "$@"', "sh", *BOOT, "--cdi-config=x.yaml", "state", "id"]
    done = subprocess.run(command, cwd=gone, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("cdi-runc: --cdi-config=x.yaml: there is no working directory")
    assert done.stderr.count("\n") == 1


def test_a_path_is_written_out_where_a_terminal_would_obey_it(tmp_path: Path) -> None:
    asks = bundle(tmp_path / "\x1b[31mred", annotations={"cdi.k8s.io/x": "vendor.com/gpu=none"})
    config = tmp_path / "\x1b]0;c.yaml"
    config.write_text("nonsense")
    command = [*BOOT, f"--cdi-config={config}", "--cdi-runtime=/bin/true", "create", "--bundle", str(asks), "id"]
    environ = {"XDG_RUNTIME_DIR": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("cdi-runc: ")
    assert "\\x1b" in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("probe", ["1", ""])
def test_a_variable_makes_no_call_vanish(tmp_path: Path, probe: str) -> None:
    plain = bundle(tmp_path / "plain")
    runtime = tmp_path / "runtime"
    runtime.write_text("#!/bin/sh\necho ran\n")
    runtime.chmod(0o755)
    environ = {"XDG_RUNTIME_DIR": str(tmp_path), "CDI_RUNC_PROBE": probe}
    command = [*BOOT, f"--cdi-runtime={runtime}", "create", "--bundle", str(plain), "id"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")


def test_the_shell_s_own_path_counts_where_the_caller_has_none() -> None:
    assert Launch(["boot.py", "", "/x/cdi-runc", "", "/from/sh", "", "", "", "state"]).default_path == "/from/sh"


STAT = "4711 (a b) c) S 1 " + " ".join(map(str, range(5, 53)))  # proc_pid_stat(5); each field is its own number


@pytest.mark.parametrize(("stat", "mask"), [(STAT, 33), ("", 0), ("4711 (sh) S 1", 0)])
def test_the_signals_that_the_caller_ignores(stat: str, mask: int) -> None:
    assert Launch(["boot.py", "", "/x/cdi-runc", "", "", stat, "", "", "state"]).ignored == mask


@pytest.mark.parametrize(("given", "kept"), [("", None), ("=", b""), ("=de_DE=x\udcff", b"de_DE=x\xff")])
def test_the_caller_s_locale_is_given_back(given: str, kept: bytes | None) -> None:
    assert Launch(["boot.py", "", "/x/cdi-runc", given, "", "", "", "", "state"]).environ.get(b"LC_ALL") == kept


def launch(*args: str, name: str = "runc") -> Launch:
    return Launch(["boot.py", "/full", f"/x/cdi-{name}", "", "", "", "/given", "/c.yaml", *args])


@pytest.mark.parametrize(
    ("args", "runtime", "config", "hook", "left"),
    [
        (["state", "--cdi-runtime=/a"], "/given", "/c.yaml", "", ["state", "--cdi-runtime=/a"]),
        (["--cdi-runtime=/a=b", "--cdi-config=/d", "--cdi-hook=x:y", "a"], "/a=b", "/d", "x:y", ["a"]),
        (["--cdi-config=d"], "/given", "{}/d", "", []),
        ([], "/given", "/c.yaml", "", []),
    ],
)
def test_our_own_options_come_first(
    args: list[str],
    runtime: str,
    config: str,
    hook: str,
    left: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    found = launch(*args)
    assert found.take_own_options() == ""
    assert (found.runtime, found.config) == (runtime, config.format(tmp_path))
    assert (found.hook, found.args, found.full_python) == (hook, left, "/full")


@pytest.mark.parametrize("option", ["--cdi-runtime", "--cdi-config=", "--cdi-hook=", "--cdi-none=x"])
def test_an_option_that_says_nothing_is_an_error(option: str) -> None:
    with pytest.raises(ShimError) as raised:
        launch(option, "state").take_own_options()
    assert str(raised.value) == (
        f"{option.partition('=')[0]}: unknown option; expected --cdi-runtime=PATH, --cdi-config=FILE or --cdi-version"
    )


@pytest.mark.parametrize(
    ("name", "runtime", "dialect"),
    [
        ("runc", "", "runc"),
        ("runc", "/a/crun", "crun"),
        ("crun", "/a/runc-1.2", "runc-1.2"),
        ("crun", "/a/kata", "crun"),
        ("kata", "/a/my-runc", "kata"),
    ],
)
def test_whose_command_line_it_is(name: str, runtime: str, dialect: str) -> None:
    assert launch(name=name).dialect(runtime) == dialect
