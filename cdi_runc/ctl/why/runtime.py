"""What the runtime behind cdi-runc does with this host's specs: edits that it drops, unsafe hooks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cdi_runc.ctl.specs.check.practice import hook_without_env
from cdi_runc.ctl.why.handover import runtime_behind
from cdi_runc.ctl.why.host import Host
from cdi_runc.ctl.why.result import Result
from cdi_runc.engines.ask import ask, version
from cdi_runc.engines.engine import EngineError
from cdi_runc.shim.dropped import dropped, features_of
from cdi_runc.shim.errors import ShimError

_SAFE_RUNC = (1, 3)  # gives a hook without env an empty one


def no_edits_dropped(host: Host) -> Iterator[Result]:
    """The runtimes apply all edits of the specs, as they say themselves (`runc features`)."""
    edits = [each for spec in host.files.registry.specs.values() for each in _edits(spec)]
    for name, path in _runtimes(host):
        for line in dropped(edits, {}, lambda path=path: features_of(path)):  # type: ignore[misc]
            yield Result("warning", "runtime", f"{name} ({path}): {line}", "cdictl validate --host")


def hooks_have_env(host: Host) -> Iterator[Result]:
    """No hook gets the variables of an image (CVE-2025-23266), where an engine gives out the devices without us."""
    bare = [path for path, spec in host.files.registry.specs.items() if next(hook_without_env(spec), None)]
    for name, path in _runtimes(host) if bare else ():
        number = _version(path) if name == "runc" else ""
        if number and tuple(map(int, number.split(".")[:2])) < _SAFE_RUNC:
            for spec in bare:
                text = (
                    f"{spec} has a hook without env, which under runc {number} has the image's variables "
                    "(CVE-2025-23266). cdi-runc gives it an env; an engine's own CDI does not"
                )
                yield Result("warning", "specs", text, f"use runc 1.3, or give the hook an env: cdictl validate {spec}")


def _runtimes(host: Host) -> Iterator[tuple[str, str]]:
    for name in {"runc": "", **host.settings["runtimes"]}:
        try:
            yield name, runtime_behind(name, host.settings)
        except ShimError:
            continue  # which another check says


def _edits(spec: Any) -> Iterator[Any]:
    yield spec.get("containerEdits", {})
    for device in spec["devices"]:
        yield device.get("containerEdits", {})


def _version(path: str) -> str:
    try:
        return version(ask([path, "--version"], timeout=10))
    except EngineError:
        return ""
