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


def test_a_path_may_hold_any_bytes(tmp_path: Path) -> None:
    path = executable(tmp_path / "b\udcff" / "a-runtime", "")
    environ = {b"PATH": b"/nonexistent:" + str(tmp_path).encode() + b"/b\xff"}
    assert runtime.find("a-runtime", "/dev/null", environ) == str(path)


@pytest.mark.parametrize("path", ["/etc/passwd", "/usr/bin", "/nonexistent", "./env"])
def test_a_path_that_leads_to_no_program_is_an_error(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    with pytest.raises(RuntimeMissing) as raised:
        runtime.find(path, "/dev/null", {})
    assert str(raised.value) == f"the runtime {path} is missing or can't be executed"


def test_a_path_from_here_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(tmp_path / "a-runtime", "")
    monkeypatch.chdir(tmp_path)
    assert runtime.find("./a-runtime", "/dev/null", {}) == "./a-runtime"


@pytest.mark.parametrize("how", ["link", "copy", "itself"])
def test_the_shim_never_runs_itself(tmp_path: Path, how: str) -> None:
    own = executable(tmp_path / "cdi-runc", "#!/bin/sh\n# cdi-runc: a launcher\n")
    path = {"link": tmp_path / "l", "copy": tmp_path / "copy", "itself": own}[how]
    if how == "link":
        path.symlink_to(own)
    elif how == "copy":
        executable(path, own.read_text())
    with pytest.raises(RuntimeMissing) as raised:
        runtime.find(str(path), str(own), {})
    assert str(raised.value) == (
        f"the runtime {path} is cdi-runc itself: give the path of the real runtime in /etc/cdi-runc/config.yaml under"
        " 'runtimes'"
    )


@pytest.mark.parametrize(("said", "loops"), [("cdi-runc wraps a runtime", True), ("runc version 1", False)])
def test_a_wrapper_that_leads_back_is_found_out_by_a_process_that_is_old(
    tmp_path: Path, said: str, loops: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = f'[ "$1:$CDI_RUNC_PROBE:$A" = --version:1:b ] && echo "{said}"'
    path = str(executable(tmp_path / "wrapper", f"#!/bin/sh\n{words}\n"))
    monkeypatch.setattr(runtime, "_SUSPICIOUS_AGE", 1e9)
    assert runtime.find(path, "/dev/null", {b"A": b"b"}) == path
    monkeypatch.setattr(runtime, "_SUSPICIOUS_AGE", 0)
    if loops:
        with pytest.raises(RuntimeMissing, match="is cdi-runc itself"):
            runtime.find(path, "/dev/null", {b"A": b"b"})
    else:
        assert runtime.find(path, "/dev/null", {b"A": b"b"}) == path


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
