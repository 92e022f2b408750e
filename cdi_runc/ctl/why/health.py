"""Checks of the whole host: is everything in place for containers to get their devices, and what mends it if not.

Every check is a plain function from the host to its results, and the list of them is at the end. Nothing here prints;
a check changes nothing, but a result may bring a function that mends what it is about without any harm.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from cdi_runc import __version__
from cdi_runc.ctl.options import Options
from cdi_runc.ctl.output import counted
from cdi_runc.ctl.why.cluster import devices_reach_pods
from cdi_runc.ctl.why.handover import runtime_behind
from cdi_runc.ctl.why.result import Level, Result
from cdi_runc.ctl.why.runtime import hooks_have_env, no_edits_dropped
from cdi_runc.engines import NAMES, journal, launcher, records
from cdi_runc.engines import engine as engine_of
from cdi_runc.engines.ask import ask
from cdi_runc.engines.engine import MARKER_MOUNTS, EngineError, NotInstalled
from cdi_runc.host import snapshot
from cdi_runc.host.known import SpecFiles
from cdi_runc.shim.errors import ShimError


class Host:
    """This host, as cdictl was asked to look at it; what several checks want is found out once."""

    def __init__(self, options: Options) -> None:
        self.options = options

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What cdi-runc is set to, `fault` among it."""
        from cdi_runc.host import settings

        found = settings.read(self.options.config_path)
        return found | {"spec-dirs": list(self.options.spec_dirs or found["spec-dirs"])}

    @cached_property
    def files(self) -> SpecFiles:
        """What the spec files say."""
        from cdi_runc.host import trust

        return SpecFiles(trust.registry(self.settings), self.settings, self.options.config_path)

    @cached_property
    def registrations(self) -> list[records.Registration]:
        """What `cdictl engine enable` did here; nothing if the record of it is damaged."""
        try:
            return records.registrations(journal.state_directory())
        except EngineError:
            return []


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


def files_protected(host: Host) -> Iterator[Result]:
    """Only root may write what root believes or executes."""
    from cdi_runc.ctl.why.guard import untrusted_files

    yield from untrusted_files(host)


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


def registrations_readable(host: Host) -> Iterator[Result]:
    """What `cdictl engine` noted down is whole, and no change of it is unfinished."""
    directory = journal.state_directory()
    try:
        records.registrations(directory)
    except EngineError as fault:
        yield Result("problem", "engines", str(fault), "cdictl engine list")
    pending = journal.pending_path(directory)
    if os.path.lexists(pending):
        text = f"a change of the engines' files was cut short: {pending}"
        yield Result("problem", "engines", text, "cdictl engine status")


def registrations_hold(host: Host) -> Iterator[Result]:
    """An engine that was told of cdi-runc knows it still."""
    for record in host.registrations:
        if record["native"]:
            continue  # which the next check says
        name, runtime = record["engine"], record["runtime"]
        module = engine_of(name)
        try:
            known = module.runtimes(module.find(record["config"] if record["explicit"] else None))
        except EngineError:
            continue  # which the next check says
        if known.handlers.get(runtime, {}).get("path") != record["path"]:
            text = f"{name} does not know {runtime} any more, which was registered with it"
            mend = f"cdictl engine enable {name}, or disable it if that was meant"
            yield Result("problem", "engines", text, mend)


def engines_know_us(host: Host) -> Iterator[Result]:
    """Some engine is told to use cdi-runc, or brings devices itself."""
    told = {record["engine"] for record in host.registrations}
    without: list[tuple[str, str]] = []
    served = 0
    for name in NAMES:
        module = engine_of(name)
        try:
            found = module.find(None)
            handlers = module.runtimes(found).handlers.items()
        except NotInstalled:
            continue
        except EngineError as fault:
            yield Result("warning", "engines", f"{name}: {fault}", f"cdictl engine status {name}")
            continue
        ours = [runtime for runtime, handler in handlers if launcher.is_ours(str(handler["path"]))]
        itself = found.cdi == "on"
        served += bool(ours or itself)
        if ours or itself:
            if ours and not itself and not _can_ask(module.takes_annotations(found), host.settings["requests"]):
                text = f"{name} {found.version} knows cdi-runc, but nobody can ask for a device: it has no annotations"
                mend = f"two lines in {host.options.config_path}: `requests:` and `  mounts: {MARKER_MOUNTS}`"
                yield Result("warning", "engines", text, mend)
                continue
            how = [f"knows cdi-runc as {', '.join(ours)}"] * bool(ours) + ["injects CDI devices itself"] * itself
            yield Result("ok", "engines", f"{name} {found.version} {' and '.join(how)}")
        elif name != "nerdctl" and name not in told:
            without.append((name, found.version))
    yield from _unregistered(without, "warning" if served else "problem")
    if not without and not served and not told:
        yield Result("ok", "engines", "no container engine is installed: call cdi-runc in the place of runc")


def _unregistered(engines: list[tuple[str, str]], level: Level) -> Iterator[Result]:
    """What is said of engines (name and version) that do not know cdi-runc, each with its own remedy."""
    for name, version in engines:
        title = f"{name} {version}".strip()
        if name == "containerd" and _is_dockers():
            yield Result("ok", "engines", f"{title} is there for Docker, which has runtimes of its own")
        else:
            text = f"cdi-runc is not registered with {title}: containers there get no devices"
            yield Result(level, "engines", text, f"cdictl engine enable {name}")


def _is_dockers() -> bool:
    """Is containerd on this host for Docker only? Nothing else that starts containers through it is installed."""
    others = ("kubelet", "nerdctl", "crictl", "ctr-enc", "faasd")
    return shutil.which("dockerd") is not None and not any(map(shutil.which, others))


def _can_ask(annotations: bool, requests: Mapping[str, Any]) -> bool:
    """Is there a way to ask that both the engine and the settings have?"""
    return bool((annotations and requests["annotations"]) or requests["mounts"] or requests["env"])


def images_cannot_ask(host: Host) -> Iterator[Result]:
    """Only users ask for devices, not the authors of images."""
    from cdi_runc.ctl.why.guard import asking_images

    yield from asking_images(host)


def last_refusal(host: Host) -> Iterator[Result]:
    """No container was refused of late."""
    path = os.path.join(host.options.snapshot_place[0], "refused")
    try:
        age = time.time() - os.stat(path).st_mtime
    except OSError:
        return
    if age < 3600:
        yield Result("warning", "containers", f"one was refused {int(age / 60)} min ago", "cdictl explain last")


def kernel_notes(host: Host) -> Iterator[Result]:
    """What of the kernel matters when a device is there and yet can't be used."""
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
    """The results of a check; if it fails itself, that is one too, and the other checks are still made."""
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
    """Whether the Python that the code was compiled for takes it; also where that Python is not here any more."""
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


def interpreters(path: str) -> list[str]:
    """The Pythons that are written into a launcher."""
    return re.findall(r"^_cdi_(?:python|full)='(/[^']+)'", _read(os.path.realpath(path)) or "", re.MULTILINE)


def _interpreters(path: str) -> Iterator[Result]:
    """The Pythons that the launcher has written into it are still there."""
    for python in interpreters(path):
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
