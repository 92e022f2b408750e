"""Which runtime is executed, and what is said where there is none."""

from pathlib import Path

import pytest

from cdi_runc.shim import runtime
from cdi_runc.shim.errors import RuntimeMissing
from tests.shim.conftest import executable


@pytest.mark.parametrize(
    ("wanted", "called", "words"),
    [
        ("runc", "/usr/bin/cdi-runc", "no runtime 'runc' on PATH: install it, or give its path in "),
        (
            "special",
            "/usr/local/bin/special",
            r"no runtime 'special' on PATH \(the command's own name decides: cdi-NAME runs NAME, and this one is called"
            r" special\): install it",
        ),
        ("kata", "/opt/cdi-kata", r"no runtime 'kata' on PATH \(the command's own name decides.*is called cdi-kata\)"),
    ],
)
def test_a_missing_runtime_is_said_with_why_it_is_this_one(wanted: str, called: str, words: str) -> None:
    with pytest.raises(RuntimeMissing, match=f"^{words}"):
        runtime.find(wanted, called, {b"PATH": b"/nonexistent"})


@pytest.mark.parametrize("path", ["", ":", "BIN:", ":BIN", ".:BIN", "bin:BIN", "../x:BIN"])
def test_no_file_of_the_working_directory_is_found(tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for directory in ("here", "here/bin", "x", "bin"):
        executable(tmp_path / directory / "a-runtime", "")
    monkeypatch.chdir(tmp_path / "here")
    environ = {b"PATH": path.replace("BIN", f"{tmp_path}/bin").encode()}
    if "BIN" in path:
        assert runtime.find("a-runtime", "/dev/null", environ) == f"{tmp_path}/bin/a-runtime"
    else:
        with pytest.raises(RuntimeMissing, match="no runtime 'a-runtime' on PATH"):
            runtime.find("a-runtime", "/dev/null", environ)


@pytest.mark.parametrize("environ", [{}, {b"PATH": b""}])
def test_without_a_path_the_default_is_searched(tmp_path: Path, environ: dict[bytes, bytes]) -> None:
    assert runtime.find("env", "/dev/null", environ) == "/usr/bin/env"
    executable(tmp_path / "a-runtime", "")
    assert runtime.find("a-runtime", "/dev/null", environ, str(tmp_path)) == f"{tmp_path}/a-runtime"


@pytest.mark.parametrize(
    ("args", "answered"),
    [
        (["--version"], True),
        (["--cdi-runtime=x", "--cdi-config=y", "--version"], True),
        (["create", "--bundle", "x", "id"], False),
        (["state", "--version"], False),
        (["--version", "create", "id"], False),
        ([], False),
    ],
)
def test_only_a_question_for_the_version_is_a_probe(args: list[str], answered: bool) -> None:
    assert runtime.is_probe(args, {runtime.PROBE: b"1"}) is answered
    assert not runtime.is_probe(args, {})
