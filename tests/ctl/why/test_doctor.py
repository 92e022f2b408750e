import importlib.util
import json
import marshal
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cdi_runc.ctl.options import Options
from cdi_runc.ctl.why import doctor as command
from cdi_runc.ctl.why import guard, health, registered
from cdi_runc.ctl.why.host import Host
from cdi_runc.ctl.why.result import Result
from cdi_runc.ctl.why.runtime import hooks_have_env, no_edits_dropped
from cdi_runc.engines import journal
from cdi_runc.engines.engine import Found, Runtimes
from cdi_runc.host import places
from cdi_runc.shim.start import freeze
from tests.ctl.conftest import Cdictl


@pytest.fixture
def host(spec_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host with two devices, and settings and state of its own."""
    monkeypatch.setattr(places, "SYSTEM_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(journal, "state_directory", lambda: str(tmp_path / "engines"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    settings = tmp_path / "config.yaml"
    settings.write_text(json.dumps({"spec-dirs": [str(spec_dir)]}))
    return Host(Options(config=str(settings)))


def said(results: Iterator[Result]) -> list[tuple[str, str]]:
    return [(result.level, result.text) for result in results]


def test_specs_in_order(host: Host) -> None:
    assert said(health.specs_usable(host)) == [("ok", "2 devices in 1 usable spec file")]


def test_specs_in_conflict(host: Host, spec_dir: Path) -> None:
    shutil.copy(spec_dir / "gpu.json", spec_dir / "same.json")
    files = f"{spec_dir}/gpu.json and in {spec_dir}/same.json"
    assert said(health.specs_usable(host)) == [
        ("problem", f"conflict: vendor.com/gpu={name} is defined twice: in {files}") for name in "01"
    ]


def test_a_spec_that_cannot_be_read(host: Host, spec_dir: Path) -> None:
    (spec_dir / "bad.yaml").symlink_to("none")
    assert said(health.specs_usable(host))[0] == (
        "problem",
        f"{spec_dir}/bad.yaml: cannot be read: No such file or directory",
    )


def test_no_specs_at_all(tmp_path: Path) -> None:
    host = Host(Options(spec_dirs=[str(tmp_path / "none")]))
    assert said(health.specs_usable(host)) == [("warning", f"no spec files in {tmp_path}/none")]


def _of_specs(host: Host, spec_dir: Path) -> list[Result]:
    return [result for result in guard.files_protected(host) if str(spec_dir) in result.text]


def test_a_spec_that_anyone_may_write_is_mended(host: Host, spec_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "is_host_root", lambda: True)
    (spec_dir / "gpu.json").chmod(0o646)
    (result,) = _of_specs(host, spec_dir)
    assert (result.level, result.mend) == ("warning", f"chmod go-w {spec_dir}/gpu.json")
    assert result.fix
    result.fix()
    assert os.stat(spec_dir / "gpu.json").st_mode & 0o777 == 0o644
    assert _of_specs(host, spec_dir) == []


@pytest.mark.parametrize("which", ["the launcher", "the library", "config.yaml"])
def test_what_root_executes_or_believes_is_roots(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    monkeypatch.setattr(places, "is_host_root", lambda: True)
    files = {
        "the launcher": tmp_path / "runc",
        "the library": tmp_path / "lib",
        "config.yaml": tmp_path / "config.yaml",
    }
    monkeypatch.setattr("cdi_runc.engines.launcher.installed", lambda name: str(files["the launcher"]))
    monkeypatch.setattr("cdi_runc.__file__", str(tmp_path / "lib/__init__.py"))
    files["the library"].mkdir()
    files["the launcher"].touch()
    files[which].chmod(0o777)
    config = Path(host.options.config_path)
    config.write_text(config.read_text().replace("}", ', "trust": "strict"}'))
    assert [(result.level, result.mend) for result in guard.files_protected(host)] == [
        ("problem", f"chmod go-w {files[which]}")
    ]


def test_settings_with_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("spec-dir: [/etc/cdi]\n")
    (result,) = health.settings_usable(Host(Options(config=str(path))))
    assert (result.level, result.text) == ("problem", f"{path}: unknown key 'spec-dir', did you mean 'spec-dirs'?")


def test_the_snapshot_is_missing_then_made_then_out_of_date(host: Host, spec_dir: Path) -> None:
    (missing,) = health.snapshot_fresh(host)
    assert "is not there" in missing.text
    assert missing.fix
    missing.fix()
    (fresh,) = health.snapshot_fresh(host)
    assert fresh.level == "ok"
    (spec_dir / "new.json").touch()
    (stale,) = health.snapshot_fresh(host)
    assert "is out of date" in stale.text
    directory, name = host.options.snapshot_place
    Path(directory, name).write_text("junk")
    (damaged,) = health.snapshot_fresh(host)
    assert "is not used: another version of cdi-runc wrote it" in damaged.text


def test_no_runtime(host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (missing,) = health.runtime_there(host)
    assert (missing.level, missing.text[:24]) == ("problem", "no runtime 'runc' on PAT")
    (tmp_path / "crun").write_text("#!/bin/sh\n")
    (tmp_path / "crun").chmod(0o755)
    (other,) = health.runtime_there(host)
    assert (other.level, other.text[-30:]) == ("warning", " (there is crun: use cdi-crun)")


def test_no_engine(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registered, "NAMES", ())
    assert said(registered.engines_know_us(host)) == [
        ("ok", "no container engine is installed: call cdi-runc in the place of runc")
    ]


def test_a_refusal_of_late(host: Host) -> None:
    directory, _ = host.options.snapshot_place
    os.makedirs(directory, exist_ok=True)
    assert list(health.last_refusal(host)) == []
    path = Path(directory, "refused")
    path.touch()
    assert said(health.last_refusal(host)) == [("warning", "a container was refused 0 min ago")]
    os.utime(path, (1, 1))
    assert list(health.last_refusal(host)) == []


@pytest.fixture
def two_results(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Has doctor find an ok and a problem that `fix` mends; the list says what was mended."""
    mended: list[str] = []

    def check(host: Host) -> Iterator[Result]:
        yield Result("ok", "fine", "as it should be")
        if not mended:
            yield Result("problem", "worse", "not so", "do it", lambda: mended.append("done"))

    monkeypatch.setattr(health, "CHECKS", (check,))
    return mended


def test_the_worst_comes_first(cdictl: Cdictl, two_results: list[str]) -> None:
    result = cdictl("doctor")
    assert (result.exit_code, result.stdout.splitlines()) == (
        1,
        ["problem  worse: not so", "           fix: do it", "ok       fine: as it should be"],
    )
    assert two_results == []


def test_what_is_safe_is_mended(cdictl: Cdictl, two_results: list[str]) -> None:
    result = cdictl("doctor", "--fix")
    assert (result.exit_code, result.stdout.splitlines()) == (
        0,
        ["fixed    worse: not so", "ok       fine: as it should be"],
    )
    assert two_results == ["done"]


def test_what_cannot_be_mended_is_said(cdictl: Cdictl, monkeypatch: pytest.MonkeyPatch) -> None:
    def fix() -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(command, "examine", lambda host: [Result("problem", "worse", "not so", "", fix)])
    result = cdictl("doctor", "--fix")
    assert result.stderr == "cdictl: worse could not be fixed: [Errno 1] Operation not permitted\n"
    assert result.exit_code == 1


def test_for_programs(cdictl: Cdictl, two_results: list[str]) -> None:
    found = json.loads(cdictl("doctor", "-o", "json").stdout)
    assert found["checks"][0] == {
        "level": "problem",
        "topic": "worse",
        "text": "not so",
        "mend": "do it",
        "check": "check",
    }


def test_the_support_bundle_holds_no_values_of_variables(cdictl: Cdictl, spec_dir: Path, tmp_path: Path) -> None:
    edits: dict[str, Any] = {
        "env": ["TOKEN=secret"],
        "hooks": [{"hookName": "poststop", "path": "/a", "env": ["A=secret"]}],
    }
    spec = {"cdiVersion": "0.3.0", "kind": "v.com/x", "devices": [{"name": "a", "containerEdits": edits}]}
    (spec_dir / "secret.json").write_text(json.dumps(spec))
    (spec_dir / "broken.yaml").write_text("env: [TOKEN=secret")
    path = tmp_path / "bundle.tar.gz"
    assert cdictl("support-bundle", "-f", path).exit_code == 0
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as tar:
        files = {name: tar.extractfile(name) for name in tar.getnames()}
        texts = {name: file.read().decode() for name, file in files.items() if file}
    assert not [name for name, text in texts.items() if "secret" in text.replace("secret.json", "")]
    assert "TOKEN=..." in texts[f"cdi-runc-support/specs{spec_dir}/secret.json.json"]
    assert {name.removeprefix("cdi-runc-support/") for name in texts} >= {
        "doctor.json",
        "versions.json",
        "settings.json",
        "dirs.json",
        "specs.json",
        "devices.json",
    }


def test_the_support_bundle_is_a_new_file_of_our_own(cdictl: Cdictl, tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "bundle.tar.gz"
    victim.write_text("precious")
    path.symlink_to(victim)
    assert cdictl("support-bundle", "-f", path).exit_code == 0
    assert victim.read_text() == "precious"
    assert not path.is_symlink()

    path.unlink()
    path.touch(0o666)
    path.chmod(0o666)
    with path.open() as watcher:  # of whoever had the file open to read along
        assert cdictl("support-bundle", "-f", path).exit_code == 0
        assert watcher.read() == ""
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_support_bundle_that_cant_be_written_is_one_line(cdictl: Cdictl, tmp_path: Path) -> None:
    done = cdictl("support-bundle", "-f", tmp_path / "none" / "bundle.tar.gz")
    assert done.exit_code == 1
    assert f"can't write {tmp_path}/none/bundle.tar.gz: No such file or directory" in done.output


@pytest.mark.parametrize("text", ["{", "null", "[{}]", ""])
def test_damaged_records_of_the_engines_are_a_finding(host: Host, tmp_path: Path, text: str) -> None:
    (tmp_path / "engines").mkdir()
    (tmp_path / "engines/registrations.json").write_text(text)
    [(level, words)] = said(registered.registrations_readable(host))
    assert level == "problem"
    assert words.startswith(f"{tmp_path}/engines/registrations.json is damaged")
    assert said(registered.registrations_hold(host)) == []


def test_an_unfinished_change_of_the_engines_files_is_a_finding(host: Host, tmp_path: Path) -> None:
    (tmp_path / "engines").mkdir()
    (tmp_path / "engines/pending.json").write_text("[]")
    path = f"{tmp_path}/engines/pending.json"
    assert said(registered.registrations_readable(host)) == [
        ("problem", f"a change of the engines' files was interrupted: {path}")
    ]


class OldDocker:
    """Docker 20.10 with cdi-runc, which has no annotations."""

    def find(self, config: str | None) -> Found:
        return Found("docker", "/usr/bin/dockerd", "20.10.24", "/etc/docker/daemon.json", True, "no")

    def runtimes(self, found: Found) -> Runtimes:
        return Runtimes("runc", {"cdi-runc": {"path": "/usr/bin/cdi-runc"}})

    def takes_annotations(self, found: Found) -> bool:
        return False


def test_an_engine_that_knows_us_but_where_nobody_can_ask(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registered, "NAMES", ("docker",))
    monkeypatch.setattr(registered, "engine_of", lambda name: OldDocker())
    [found] = registered.engines_know_us(host)
    assert (found.level, "nobody can ask for a device" in found.text) == ("warning", True)

    lines = found.mend.split("`")[1::2]  # the two lines, as it says
    (tmp_path / "config.yaml").write_text("\n".join(lines) + "\n")
    again = Host(host.options)
    assert again.settings["requests"]["mounts"] == "/var/run/cdi-devices"
    assert said(registered.engines_know_us(again)) == [("ok", "docker 20.10.24 knows cdi-runc as cdi-runc")]


def test_an_engines_own_cdi_is_no_runtime_that_is_missing(host: Host, tmp_path: Path) -> None:
    record = {"engine": "podman", "config": "/c", "runtime": "", "path": "", "native": True, "files": []}
    (tmp_path / "engines").mkdir()
    (tmp_path / "engines/registrations.json").write_text(json.dumps([record]))
    assert said(registered.registrations_hold(host)) == []


@pytest.mark.parametrize("damage", [b"", b"\x01\x02\r\n", None])
def test_frozen_code_is_loaded_and_not_only_there(tmp_path: Path, damage: bytes | None) -> None:
    frozen = tmp_path / freeze.frozen_path().name
    code = importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(compile("1", "x", "exec"))
    frozen.write_bytes(code)
    assert health._can_be_loaded(str(frozen))
    frozen.write_bytes(code[:-3] if damage is None else damage + code[4:])
    assert not health._can_be_loaded(str(frozen))


def test_a_check_that_fails_itself_is_a_finding_and_the_others_go_on(
    cdictl: Cdictl, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken_one(host: Host) -> Iterator[Result]:
        yield Result("ok", "first", "so far")
        raise ValueError("odd\nthing")

    def other_one(host: Host) -> Iterator[Result]:
        yield Result("ok", "second", "as it should be")

    monkeypatch.setattr(health, "CHECKS", (broken_one, other_one))
    result = cdictl("doctor")
    assert (result.exit_code, result.stdout.splitlines()) == (
        1,
        [
            "problem  doctor: the check broken-one has failed: ValueError: odd thing",
            "           fix: please report this",
            "ok       first: so far",
            "ok       second: as it should be",
        ],
    )


@pytest.mark.parametrize(
    ("levels", "status"), [([], 0), (["ok"], 0), (["ok", "warning"], 2), (["warning", "problem", "ok"], 1)]
)
def test_the_exit_status(cdictl: Cdictl, monkeypatch: pytest.MonkeyPatch, levels: list[Any], status: int) -> None:
    monkeypatch.setattr(command, "examine", lambda host: [Result(level, "a", "b") for level in levels])
    assert cdictl("doctor").exit_code == status


def test_the_names_of_checks_stay_the_same() -> None:
    page = (Path(__file__).parents[3] / "docs" / "cdictl.md").read_text("utf-8")
    names = [check.__name__.replace("_", "-") for check in health.CHECKS]
    assert [name for name in names if f"| `{name}` |" not in page] == []


def test_a_runtime_under_the_name_of_its_launcher(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("runtimes: {cdi-runc: /opt/x/runc}\n")
    host = Host(Options(config=str(path)))
    warning, _ = health.settings_usable(host)
    assert (warning.level, warning.mend) == ("warning", "write `runc: /opt/x/runc` in its place")
    assert not any("/opt/x" in result.text for result in health.runtime_there(host))


def test_a_launcher_that_cannot_be_executed(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cdi-runc").touch(0o644)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.argv", [str(tmp_path / "cdictl")])
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert said(health.launcher_works(host)) == [
        ("problem", f"{tmp_path}/cdi-runc can't be executed: chmod 755 {tmp_path}/cdi-runc")
    ]


class Unregistered:
    """An engine that runs and does not know cdi-runc."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find(self, config: str | None) -> Found:
        return Found(self.name, "/usr/bin/x", "1.2.3", "/etc/x", True, "no")

    def runtimes(self, found: Found) -> Runtimes:
        return Runtimes("runc", {})


def test_each_engine_has_a_remedy_and_dockers_containerd_needs_none(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registered, "NAMES", ("docker", "crio", "podman", "podman-hooks", "containerd"))
    monkeypatch.setattr(registered, "engine_of", Unregistered)
    monkeypatch.setenv("PATH", str(tmp_path))
    commands = [f"cdictl engine enable {name}" for name in ("docker", "crio", "podman", "containerd")]
    assert [result.mend for result in registered.engines_know_us(host)] == commands

    (tmp_path / "dockerd").touch(0o755)
    assert [result.mend for result in registered.engines_know_us(host)] == [*commands[:3], ""]


@pytest.fixture
def old_runc(tmp_path: Path, spec_dir: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """runc 1.1.5, which has no features, and a spec that needs more than it can."""
    path = tmp_path / "bin" / "runc"
    path.parent.mkdir()
    path.write_text('#!/bin/sh\n[ "$1" = --version ] || exit 1\necho runc version 1.1.5\n')
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
    edits = {
        "netDevices": [{"hostInterfaceName": "eth1", "name": "net0"}],
        "hooks": [{"hookName": "createContainer", "path": "/bin/true"}],
    }
    spec = {"cdiVersion": "1.1.0", "kind": "v.com/nic", "devices": [{"name": "a", "containerEdits": edits}]}
    (spec_dir / "nic.json").write_text(json.dumps(spec))
    return str(path)


def test_edits_that_the_runtime_drops(host: Host, cdictl: Cdictl, spec_dir: Path, old_runc: str) -> None:
    line = "this runtime moves no network devices (netDevices): use runc 1.4, crun 1.22 or newer"
    assert said(no_edits_dropped(host)) == [("warning", f"runc ({old_runc}): {line}")]
    assert "moves no network devices" in cdictl("validate", "--host", spec_dir / "nic.json").stdout
    (spec_dir / "nic.json").unlink()
    assert said(no_edits_dropped(Host(host.options))) == []


def test_hooks_without_env_under_an_old_runc(host: Host, spec_dir: Path, old_runc: str) -> None:
    [(level, text)] = said(hooks_have_env(host))
    assert level == "warning"
    assert text.startswith(f"{spec_dir}/nic.json has a hook without env, which under runc 1.1.5 has the image's")
    Path(old_runc).write_text("#!/bin/sh\necho runc version 1.3.0\n")
    assert said(hooks_have_env(Host(host.options))) == []
