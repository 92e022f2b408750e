"""What systems with hooks are given: files whose text is all that they read."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cdi_runc.engines import launcher, lxc, lxc_units, podman_hooks, records, registration, values
from cdi_runc.engines.engine import EngineError, FilePlan, Found, NewRuntime
from cdi_runc.engines.withdraw import withdraw

NEW = NewRuntime(path="/usr/bin/cdi-runc")


@pytest.fixture
def common(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """LXC's common.conf, on a host without systemd's units."""
    monkeypatch.setattr(lxc_units, "_LOOKED_INTO", (str(tmp_path / "lib"),))
    monkeypatch.setattr(lxc_units, "_ADMINISTRATORS", str(tmp_path / "etc/systemd/system"))
    (tmp_path / "common.conf.d").mkdir()
    return tmp_path / "common.conf"


@pytest.fixture
def units(common: Path, tmp_path: Path) -> Path:
    """The administrators' directory, on a host with both of LXC's units."""
    folder = tmp_path / "lib/systemd/system"
    folder.mkdir(parents=True)
    for name in ("lxc@.service", "lxc.service", "lxc-net.service"):
        (folder / name).touch()
    return tmp_path / "etc/systemd/system"


def found(name: str, config: Path) -> Found:
    return Found(name, f"/usr/bin/{name}", "6.0.4", str(config), None, "no", True)


def text_of(plan: FilePlan, before: str = "") -> str:
    return values.apply(plan, before)[0]


def write(plans: list[FilePlan]) -> None:
    for plan in plans:
        path = Path(plan.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text_of(plan, path.read_text() if path.exists() else plan.start))


@pytest.mark.parametrize("system", [lxc.LXC, lxc.INCUS], ids=["lxc", "incus"])
def test_lxc_has_four_hooks_that_are_found_again(common: Path, system: lxc._Lxc) -> None:
    here = found(system.system, common)
    assert system.runtimes(here).handlers == {}
    plans = system.plan(here, NEW, system.runtimes(here))
    write(plans)
    assert [Path(plan.path).name for plan in plans] == [f"50-cdi-{system.system}.conf"]
    assert system.runtimes(here).handlers == {"cdi-runc": {"path": "/usr/bin/cdi-runc"}}


def test_hooks_that_are_there_twice_are_an_error(common: Path) -> None:
    here = found("lxc", common)
    write(lxc.LXC.plan(here, NEW, lxc.LXC.runtimes(here)))
    text = (common.parent / "common.conf.d/50-cdi-lxc.conf").read_text()
    (common.parent / "common.conf.d/mine.conf").write_text(text)
    with pytest.raises(EngineError, match="there twice"):
        lxc.LXC.runtimes(here)


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (NewRuntime(path="/usr/bin/cdi-runc", default=True), "leave --set-as-default"),
        (NewRuntime(name="x", path="/usr/bin/cdi-runc"), "and --runtime-name out"),
        (NewRuntime(path="/opt/a b/cdi-runc"), "a simpler path"),
    ],
)
def test_what_lxc_cannot_have(common: Path, new: NewRuntime, said: str) -> None:
    here = found("lxc", common)
    with pytest.raises(EngineError, match=said):
        lxc.LXC.plan(here, new, lxc.LXC.runtimes(here))


@pytest.mark.parametrize(
    ("config", "asks"),
    [
        ("", False),
        ("lxc.environment = A=b\nlxc.include = /usr/share/lxc/config/common.conf\n", False),
        ("lxc.include=/usr/share/lxc/config/common.conf.d/\n", False),
        ("  lxc.environment = CDI_DEVICES=vendor.com/gpu=0\n", True),
        ('lxc.environment = "CDI_DEVICES=vendor.com/gpu=0"\n', True),
        ("lxc.include = /etc/asks.conf\n", True),
        ("lxc.include = relative.conf\n", True),
        (None, False),
    ],
)
@pytest.mark.parametrize("version", [0, 1])
def test_before_a_start_only_a_config_that_may_ask_starts_python(
    common: Path, tmp_path: Path, config: str | None, asks: bool, version: int
) -> None:
    here = found("lxc", common)
    plan = lxc.LXC.plan(here, NEW, lxc.LXC.runtimes(here))[0]
    line = next(line for line in text_of(plan, "").splitlines() if "pre-start" in line)
    line = line.partition(" = ")[2].replace("/usr/bin/cdi-runc", "/bin/echo called")
    path = tmp_path / "config"
    if config is not None:
        path.write_text(config)
    appended = "" if version else " c lxc pre-start"  # as LXC calls it (run_script_argv)
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {line}{appended}"],
        env={"LXC_CONFIG_FILE": str(path)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("called") == asks


@pytest.mark.parametrize(
    ("left", "cgroups", "refused", "given", "python"),
    [
        (None, "5:devices:/c\n", False, "", False),
        ("c 1:3 rwm\nc 1:5 r\n", "6:name=systemd:/\n5:devices:/c\n4:cpu:/\n", False, "c 1:3 rwm\nc 1:5 r\n", False),
        ("c 1:3 rwm\n", "5:cpu,devices:/c\n", False, "c 1:3 rwm\n", False),
        ("c 1:3 rwm\n", "5:devices:/c\n", True, "", True),  # so that the error is reported
        ("c 1:3 rwm\n", "0::/c\n", False, "", True),
        ("", "5:devices:/c\n", False, "", True),  # it has hooks to run
    ],
)
def test_at_start_host_rights_alone_need_no_python(
    common: Path, tmp_path: Path, left: str | None, cgroups: str, refused: bool, given: str, python: bool
) -> None:
    here = found("lxc", common)
    text = text_of(lxc.LXC.plan(here, NEW, lxc.LXC.runtimes(here))[0])
    line = next(line for line in text.splitlines() if "start-host" in line).partition(" = ")[2]
    for path in ("/usr/bin/cdi-runc", "/sys/fs/cgroup/devices", "/run/cdi-runc-lxc", "/proc/$LXC_PID"):
        assert path in line
    line = line.replace("/usr/bin/cdi-runc", "/bin/echo called").replace("/proc/$LXC_PID", str(tmp_path))
    line = line.replace("/run/cdi-runc-lxc", str(tmp_path / "run"))
    # A file that only grows, as the kernel takes each line by itself.
    line = line.replace('>"/sys/fs/cgroup/devices', f'>>"{tmp_path}/devices')
    (tmp_path / "run/c/config").mkdir(parents=True)
    (tmp_path / "devices/c").mkdir(parents=True)
    (tmp_path / "cgroup").write_text(cgroups)
    allow = tmp_path / "devices/c/devices.allow"
    if refused:
        allow.mkdir()
    if left is not None:
        (tmp_path / "run/c/config/start-host").write_text(left)
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {line}"],
        env={"LXC_CONFIG_FILE": "/c/config", "LXC_PID": "1"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0
    assert done.stdout.startswith("called") == python
    assert (allow.read_text() if allow.is_file() else "") == given
    assert not (tmp_path / "devices/devices.allow").exists()  # the rights of every container


@pytest.mark.parametrize("settings", [None, "/srv/cdi.yaml"])
def test_each_of_lxcs_units_renews_what_hooks_cannot_give(
    common: Path, units: Path, monkeypatch: pytest.MonkeyPatch, settings: str | None
) -> None:
    monkeypatch.setattr(launcher, "installed", lambda name: f"/usr/bin/{name}")
    plans = lxc.LXC.plan(found("lxc", common), NewRuntime(settings=settings), lxc.LXC.runtimes(found("lxc", common)))
    lines = {plan.path: text_of(plan).splitlines()[-1] for plan in plans[1:]}
    command = f"ExecStartPre=-/usr/bin/cdictl{f' --config {settings}' if settings else ''} render lxc"
    assert lines == {
        f"{units}/lxc@.service.d/50-cdi-runc.conf": f"{command} --container=%i",
        f"{units}/lxc.service.d/50-cdi-runc.conf": f"{command} --all-containers",
    }
    incus = found("incus", common)
    assert len(lxc.INCUS.plan(incus, NEW, lxc.INCUS.runtimes(incus))) == 1


def test_a_path_that_a_unit_cannot_have(common: Path, units: Path) -> None:
    with pytest.raises(EngineError, match=r"a b\.yaml has characters that a unit's line can't have"):
        lxc.LXC.plan(found("lxc", common), NewRuntime(settings="/a b.yaml"), lxc.LXC.runtimes(found("lxc", common)))


def test_what_administrators_have_beside_our_drop_in_stays(common: Path, units: Path, tmp_path: Path) -> None:
    common.touch()
    theirs = units / "lxc@.service.d/50-cdi-runc.conf", units / "lxc@.service.d/60-mine.conf"
    for path in theirs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("[Service]\nNice=5")
    here, state = found("lxc", common), str(tmp_path / "state")
    registration.enable(lxc.LXC, here, NEW, directory=state)
    assert "ExecStartPre=-" in (units / "lxc@.service.d/50-cdi-runc.conf").read_text()
    assert "ExecStartPre=-" in (units / "lxc.service.d/50-cdi-runc.conf").read_text()
    (record,) = records.registrations(state)
    registration.disable(lxc.LXC, here, record, directory=state)
    assert {path: path.read_text() for path in units.rglob("*") if path.is_file()} == dict.fromkeys(
        theirs, "[Service]\nNice=5"
    )
    assert not (units / "lxc.service.d").exists()


def test_units_that_come_later_get_their_drop_ins_by_a_second_call(
    common: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an upgrade from a version that wrote none."""
    common.touch()
    here, state = found("lxc", common), str(tmp_path / "state")
    registration.enable(lxc.LXC, here, NEW, directory=state)
    (tmp_path / "lib/systemd/system").mkdir(parents=True)
    (tmp_path / "lib/systemd/system/lxc@.service").touch()
    outcome = registration.enable(lxc.LXC, here, NEW, directory=state)
    drop_in = tmp_path / "etc/systemd/system/lxc@.service.d/50-cdi-runc.conf"
    assert [change.path for change in outcome.changes] == [str(drop_in)]
    (record,) = records.registrations(state)
    registration.disable(lxc.LXC, here, record, directory=state)
    assert not (tmp_path / "etc").exists()
    assert list((tmp_path / "common.conf.d").iterdir()) == []


@pytest.mark.parametrize(("unit", "booted", "told"), [(True, True, True), (True, False, False), (False, True, False)])
def test_systemd_is_told_where_it_runs_and_has_such_units(
    common: Path, units: Path, monkeypatch: pytest.MonkeyPatch, unit: bool, booted: bool, told: bool
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(lxc_units, "ask", asked.append)
    monkeypatch.setattr(lxc_units, "_BOOTED", str(units if booted else units / "none"))
    units.mkdir(parents=True)
    if not unit:
        monkeypatch.setattr(lxc_units, "_LOOKED_INTO", ())
    for system in (lxc.LXC, lxc.INCUS):
        system.reload(found(system.system, common), None)
    assert asked == [["systemctl", "daemon-reload"]] * told
    command = lxc.LXC.reload_command(found("lxc", common), gone=False)
    assert command == ("systemctl daemon-reload, or --restart" if told else "")
    assert lxc.INCUS.reload_command(found("incus", common), gone=False) == ""


def test_each_system_passes_over_the_others_containers(common: Path, tmp_path: Path) -> None:
    path = tmp_path / "incus/c/lxc.conf"
    path.parent.mkdir(parents=True)
    path.write_text("lxc.environment = CDI_DEVICES=vendor.com/gpu=0\n")
    called = {}
    for system in (lxc.LXC, lxc.INCUS):
        here = found(system.system, common)
        text = text_of(system.plan(here, NEW, system.runtimes(here))[0], "")
        line = next(line for line in text.splitlines() if "pre-start" in line).partition(" = ")[2]
        command = f"exec {line.replace('/usr/bin/cdi-runc', '/bin/echo called')}"
        done = subprocess.run(
            ["/bin/sh", "-c", command], env={"LXC_CONFIG_FILE": str(path)}, capture_output=True, text=True, timeout=30
        )
        called[system.system] = bool(done.stdout)
    assert called == {"lxc": False, "incus": True}


def test_podmans_hook_is_in_a_directory_of_its_own(tmp_path: Path) -> None:
    here = found("podman-hooks", tmp_path / "containers.conf")
    (tmp_path / "containers.conf").write_text('[engine]\nhooks_dir = ["/opt/hooks"]\n')
    plans = podman_hooks.plan(here, NEW, podman_hooks.runtimes(here))
    write(plans)
    folder = tmp_path / "cdi-runc-hooks.d"
    assert f'hooks_dir = ["/opt/hooks", "{folder}"]' in (tmp_path / "containers.conf").read_text()
    text = (folder / "50-cdi-runc.json").read_text()
    assert '"precreate"' in text
    assert podman_hooks.runtimes(here).handlers == {"cdi-runc": {"path": "/usr/bin/cdi-runc"}}


def test_a_podman_hook_of_that_name_is_not_replaced(tmp_path: Path) -> None:
    here = found("podman-hooks", tmp_path / "containers.conf")
    folder = tmp_path / "cdi-runc-hooks.d"
    folder.mkdir()
    (folder / "50-cdi-runc.json").write_text("{}")
    with pytest.raises(EngineError, match="exists and is not from cdictl"):
        podman_hooks.plan(here, NEW, podman_hooks.runtimes(here))


@pytest.mark.usefixtures("units")
@pytest.mark.parametrize(
    ("module", "name"), [(lxc.LXC, "lxc"), (lxc.INCUS, "incus"), (podman_hooks, "podman-hooks")], ids=str
)
def test_hooks_go_before_the_program_that_they_name(common: Path, tmp_path: Path, module: Any, name: str) -> None:
    """A hook without its program would stop a container that asks, or with Podman be passed over without a word."""
    state, program = str(tmp_path / "state"), tmp_path / "bin/cdi-runc"
    program.parent.mkdir()
    program.touch(0o755)
    common.touch()

    def files() -> dict[Path, str]:
        return {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file() and "state" not in path.parts}

    before = files()
    there = found(name, common)
    registration.enable(module, there, NewRuntime(path=str(program)), directory=state)
    assert files() != before

    def cdictl(command: Sequence[str]) -> None:
        assert list(command[2:4]) == ["disable", name]
        assert program.exists()
        (record,) = records.registrations(state)
        registration.disable(module, there, record, directory=state)

    assert withdraw(str(program.parent), state, False, cdictl) == ""
    assert files() == before
