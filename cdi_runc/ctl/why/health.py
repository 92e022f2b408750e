"""Checks of the whole host: is everything in place for containers to get their devices, and what repairs it if not.

Every check is a plain function from the host to its results, and the list of them is at the end. Nothing here prints;
a check changes nothing, but a result may have a function that repairs the problem without risk.
"""

from __future__ import annotations

import glob
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from cdi_runc import __version__
from cdi_runc.ctl.output import counted
from cdi_runc.ctl.why.cluster import devices_reach_pods
from cdi_runc.ctl.why.guard import files_protected, images_cannot_ask, policy_usable
from cdi_runc.ctl.why.handover import runtime_behind
from cdi_runc.ctl.why.host import Host
from cdi_runc.ctl.why.nomad import nomad_finds_plugin, nomad_tasks_can_ask
from cdi_runc.ctl.why.registered import engines_know_us, registrations_hold, registrations_readable
from cdi_runc.ctl.why.result import Result
from cdi_runc.ctl.why.runtime import hooks_have_env, no_edits_dropped
from cdi_runc.engines import launcher
from cdi_runc.engines.ask import ask
from cdi_runc.engines.engine import EngineError
from cdi_runc.host import snapshot
from cdi_runc.shim.errors import ShimError


def settings_usable(host: Host) -> Iterator[Result]:
    """The settings can be read and make sense."""
    path = host.options.config_path
    if host.settings["fault"]:
        yield Result("problem", "settings", host.settings["fault"], f"edit {path} (cdictl schema settings)")
        return
    for name, wanted in host.settings["runtimes"].items():
        if name.startswith("cdi-"):
            right = name.removeprefix("cdi-")
            text = f"`{name}` below `runtimes:` in {path} has no effect: {name} looks for `{right}` there"
            yield Result("warning", "settings", text, f"write `{right}: {wanted}` in its place")
    yield Result("ok", "settings", path if os.path.exists(path) else f"the defaults, there is no {path}")


def specs_usable(host: Host) -> Iterator[Result]:
    """Every spec file can be used, and no device is defined twice."""
    registry = host.files.registry
    disputed = {path for paths in registry.conflicts.values() for path in paths}
    for name, paths in registry.conflicts.items():
        text = f"conflict: {name} is defined twice: in {' and in '.join(paths)}"
        yield Result("problem", "specs", text, f"remove it from all but one: cdictl spec remove-device FILE {name}")
    for path, errors in registry.errors.items():
        if path not in disputed:
            yield Result("problem", "specs", str(errors[0]), f"cdictl validate {path}")
    if registry.devices:
        there = f"{counted(len(registry.devices), 'device')} in {counted(len(registry.specs), 'usable spec file')}"
        yield Result("ok", "specs", there)
    elif not registry.errors:
        yield Result("warning", "specs", f"no spec files in {', '.join(registry.spec_dirs)}", "cdictl spec new --help")


def specs_fresh(host: Host) -> Iterator[Result]:
    """Specs name what is there, and those of `cdictl generate` are what it would write now."""
    from cdi_runc.ctl.why.freshness import outdated

    for finding in outdated(host.files.registry.specs, host.options):
        yield Result("warning", "specs", finding.text, finding.mend, finding.fix)


def launcher_works(host: Host) -> Iterator[Result]:
    """cdi-runc is installed and starts."""
    again = "install cdi-runc again"
    try:
        path = launcher.installed("cdi-runc")
        said = ask([path, "--cdi-version"], timeout=20).strip()
    except EngineError as fault:
        yield Result("problem", "cdi-runc", str(fault), again)
        return
    if said != f"cdi-runc {__version__}":
        yield Result("problem", "cdi-runc", f"{path} is {said}, and this is cdictl {__version__}", again)
    elif shutil.which("cdi-runc"):
        yield Result("ok", "cdi-runc", f"{path} starts")
    else:
        yield Result("ok", "cdi-runc", f"{path} starts; it is not on PATH, so engines need the full path")
    yield from _interpreters(path)


def hot_path_quick(host: Host) -> Iterator[Result]:
    """What containers wait for is compiled in advance."""
    from cdi_runc.shim import start

    cache = os.path.join(os.path.dirname(os.path.abspath(start.__file__)), "__pycache__")
    frozen = glob.glob(os.path.join(glob.escape(cache), "frozen-3.*.pyc"))
    damaged = [path for path in frozen if not _can_be_loaded(path)]
    for path in damaged:
        text = f"{path} is damaged, so every container waits some ms longer"
        yield Result("warning", "cdi-runc", text, "run a container as root, which compiles it, or install it again")
    if len(frozen) > len(damaged):
        yield Result("ok", "cdi-runc", "its code is compiled in advance")
    elif not frozen:
        text = f"nothing is compiled in {cache}, so every container waits some ms longer"
        yield Result("warning", "cdi-runc", text, "run a container as root, which compiles it, or install it again")


def snapshot_fresh(host: Host) -> Iterator[Result]:
    """Containers find the devices in a snapshot that is up to date."""
    directory, name = host.options.snapshot_place
    path = os.path.join(directory, name)
    try:
        kept = snapshot.load(directory, name) if directory else None
    except snapshot.Damaged as fault:
        yield Result("warning", "snapshot", f"{path} is not used: {fault}", "cdictl refresh", _refresher(host))
        return
    if kept and kept.is_fresh():
        yield Result("ok", "snapshot", f"{path} is up to date")
    elif directory:
        state = "is out of date" if kept else "is not there"
        text = f"{path} {state}: the next container that asks for a device waits for a new one"
        yield Result("warning", "snapshot", text, "cdictl refresh", _refresher(host))


def runtime_there(host: Host) -> Iterator[Result]:
    """There is a runtime to hand over to."""
    mapped = host.settings["runtimes"]
    for name in {"runc": "", **mapped}:
        if name.startswith("cdi-"):
            continue  # which another check says
        try:
            found = runtime_behind(name, host.settings)
        except ShimError as fault:
            others = [other for other in ("crun", "youki") if shutil.which(other)] if name not in mapped else []
            hint = f" (there is {others[0]}: use cdi-{others[0]})" if others else ""
            yield Result("warning" if others else "problem", "runtime", f"{fault}{hint}", f"install {name}")
        else:
            yield Result("ok", "runtime", f"{name} is {found}")


def last_refusal(host: Host) -> Iterator[Result]:
    """No container was refused of late."""
    path = os.path.join(host.options.snapshot_place[0], "refused")
    try:
        age = time.time() - os.stat(path).st_mtime
    except OSError:
        return
    if age < 3600:
        yield Result("warning", "containers", f"a container was refused {int(age / 60)} min ago", "cdictl explain last")


def kernel_notes(host: Host) -> Iterator[Result]:
    """What in the kernel matters if a device is there but can't be used."""
    unified = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    version = "2 (device rules are a BPF program)" if unified else "1 (device rules are in devices.list)"
    yield Result("ok", "kernel", f"cgroup version {version}")
    if _read("/sys/fs/selinux/enforce") == "1":
        text = "SELinux is enforcing: containers may use only nodes and mounts whose labels allow it"
        yield Result("ok", "kernel", text, "setsebool -P container_use_devices 1")
    if _read("/sys/module/apparmor/parameters/enabled") == "Y":
        yield Result("ok", "kernel", "AppArmor is enabled: a container's profile may forbid mounts and nodes")


CHECKS: tuple[Callable[[Host], Iterator[Result]], ...] = (
    settings_usable,
    policy_usable,
    specs_usable,
    specs_fresh,
    files_protected,
    launcher_works,
    hot_path_quick,
    runtime_there,
    no_edits_dropped,
    hooks_have_env,
    registrations_readable,
    registrations_hold,
    engines_know_us,
    nomad_finds_plugin,
    nomad_tasks_can_ask,
    images_cannot_ask,
    devices_reach_pods,
    snapshot_fresh,
    last_refusal,
    kernel_notes,
)


def examine(host: Host) -> list[Result]:
    """The results of all checks, the worst first."""
    found = [result for check in CHECKS for result in _results(check, host)]
    return sorted(found, key=lambda result: ("problem", "warning", "ok").index(result.level))


def _results(check: Callable[[Host], Iterator[Result]], host: Host) -> Iterator[Result]:
    """The results of a check. If the check itself fails, that is a result too, and the other checks still run."""
    name = check.__name__.replace("_", "-")
    try:
        for result in check(host):
            yield replace(result, check=name)
    except Exception as fault:
        reason = " ".join(f"{type(fault).__name__}: {fault}".split())
        yield Result("problem", "doctor", f"the check {name} has failed: {reason}", "please report this", check=name)


# What the launcher does with frozen code before it executes it.
_LOAD = """
import importlib.util, marshal, sys
code = open(sys.argv[1], "rb").read()
assert code[:4] == importlib.util.MAGIC_NUMBER
marshal.loads(code[16:])
"""


def _can_be_loaded(frozen: str) -> bool:
    """Whether the Python that the code was compiled for can load it; also true if that Python is gone."""
    name = os.path.basename(frozen).replace("frozen-", "python").removesuffix(".pyc")
    for directory in (os.path.dirname(sys.executable), "/usr/bin"):
        python = os.path.join(directory, name)
        if os.access(python, os.X_OK):
            try:
                ask([python, "-I", "-S", "-c", _LOAD, frozen], timeout=20)
            except EngineError:
                return False
            break
    return True


def _interpreters(path: str) -> Iterator[Result]:
    """The Pythons that the launcher has written into it are still there."""
    for python in launcher.interpreters(path):
        if not os.access(python, os.X_OK):
            yield Result("problem", "cdi-runc", f"its interpreter {python} is gone", "install cdi-runc again")


def _refresher(host: Host) -> Callable[[], object]:
    def refresh() -> None:
        from cdi_runc.ctl.refresh import kept

        kept(host.options, lambda line: None, anew=True)

    return refresh


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None
