"""What the engines of this host know of cdi-runc, and what cdi-runc has recorded about them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from cdi_runc.ctl.why.host import Host
from cdi_runc.ctl.why.result import Level, Result
from cdi_runc.engines import NAMES, PLUGINS, journal, launcher, records
from cdi_runc.engines import engine as engine_of
from cdi_runc.engines.engine import MARKER_MOUNTS, Engine, EngineError, Found, NotInstalled


def registrations_readable(host: Host) -> Iterator[Result]:
    """What `cdictl engine` noted down is whole, and no change of it is unfinished."""
    directory = journal.state_directory()
    try:
        records.registrations(directory)
    except EngineError as fault:
        yield Result("problem", "engines", str(fault), "cdictl engine list")
    pending = journal.pending_path(directory)
    if os.path.lexists(pending):
        text = f"a change of the engines' files was interrupted: {pending}"
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
    """At least one engine uses cdi-runc, or injects devices itself."""
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
        if name == "podman-hooks" and not ours:
            continue  # another way to podman, of which the line before speaks
        if ours and not itself and name not in PLUGINS and not _can_ask(module, found, host):
            text = f"{name} {found.version} knows cdi-runc, but nobody can ask for a device: it has no annotations"
            mend = f"two lines in {host.options.config_path}: `requests:` and `  mounts: {MARKER_MOUNTS}`"
            yield Result("warning", "engines", text, mend)
        elif ours or itself:
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


def _can_ask(module: Engine, found: Found, host: Host) -> bool:
    """Is there a way to ask that both the engine and the settings have?"""
    requests = host.settings["requests"]
    return bool((module.takes_annotations(found) and requests["annotations"]) or requests["mounts"] or requests["env"])
