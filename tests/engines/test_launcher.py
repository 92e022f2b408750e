import os
import subprocess
from pathlib import Path

import pytest

from cdi_runc.engines import journal, launcher
from cdi_runc.engines.engine import EngineError, Runtimes
from tests.engines.conftest import Command


@pytest.mark.parametrize("name", ["runc", "crun"])
def test_a_runtime_by_name_is_a_launcher_of_that_name(name: str, command: Command) -> None:
    path = command(f"cdi-{name}", "")
    assert os.path.basename(launcher.launcher(name, "any", None)[0]) == path.name
    assert launcher.launcher(name, "any", None)[1] == []


@pytest.mark.parametrize(
    ("wraps", "settings", "arguments"),
    [
        ("RUNTIME", None, ["--cdi-runtime=RUNTIME"]),
        ("runc", "my settings.yaml", ["--cdi-config=HERE/my settings.yaml"]),
        ("RUNTIME", "x.yaml", ["--cdi-runtime=RUNTIME", "--cdi-config=HERE/x.yaml"]),
    ],
)
def test_what_a_path_can_not_say_goes_into_a_script(
    wraps: str,
    settings: str | None,
    arguments: list[str],
    tmp_path: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(journal, "state_directory", lambda: str(tmp_path / "state"))
    shim, runtime = command("cdi-runc", r'printf "%s\n" "$@"'), command("my runtime", "")
    monkeypatch.setattr(launcher, "installed", lambda name: str(shim.with_name(name)))
    path, [plan] = launcher.launcher(str(runtime) if wraps == "RUNTIME" else wraps, "x", settings)
    assert path == plan.path == str(tmp_path / "state/bin/x")
    script = tmp_path / "script"
    script.write_text(str(plan.puts[0].value))
    typed = ["create", "--bundle", "a b", ""]
    said = subprocess.run(["sh", str(script), *typed], capture_output=True, text=True, check=True, timeout=60).stdout
    wanted = [argument.replace("RUNTIME", str(runtime)).replace("HERE", str(tmp_path)) for argument in arguments]
    assert said.split("\n")[:-1] == [*wanted, *typed]


@pytest.mark.parametrize("wraps", ["/nonexistent/runc", "./runc", "/etc/passwd", "/"])
def test_what_is_no_runtime_is_said(wraps: str, command: Command) -> None:
    command("cdi-runc", "")
    with pytest.raises(EngineError, match="is not an executable: --wrap takes a runtime's name or its absolute path"):
        launcher.launcher(wraps, "x", None)


def test_a_launcher_that_is_not_installed_is_said() -> None:
    with pytest.raises(EngineError, match="cdi-nonesuch is not installed"):
        launcher.launcher("nonesuch", "x", None)


def test_the_engines_own_runtime_comes_before_another_of_its_name(tmp_path: Path, command: Command) -> None:
    on_path = command("runc", "")
    own, link = tmp_path / "runc", tmp_path / "link"
    own.touch(0o755)
    link.symlink_to(on_path)

    def behind(path: Path | str) -> str:
        return launcher.behind("runc", Runtimes("runc", {"runc": {"path": str(path)}}))

    assert behind(own) == str(own)
    assert [behind(path) for path in ("runc", link, tmp_path / "gone", command("cdi-runc", ""))] == ["runc"] * 4
    assert launcher.behind("crun", Runtimes("runc", {})) == "crun"


def test_a_script_tells_which_runtime_it_names(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "state_directory", lambda: str(tmp_path))
    monkeypatch.setattr(launcher, "installed", lambda name: f"/usr/bin/{name}")
    runtime = str(command("my runc", ""))
    path, [plan] = launcher.launcher(runtime, "x", None)
    (tmp_path / "bin/x").write_text(str(plan.puts[0].value))
    assert (launcher.named_in(path), launcher.named_in(runtime)) == (runtime, None)
