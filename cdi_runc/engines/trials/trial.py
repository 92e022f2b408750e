"""Start a throw-away container with a harmless CDI device through an engine, and check each step.

The device is /dev/null under another name, a variable, and a mount of its own spec file. What is in the container is
read from outside, in /proc, so that the image needs nothing but `sh` and `sleep`.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cdi_runc.engines import WITH_HOOKS, journal, monitors, processes
from cdi_runc.engines.engine import MARKER_MOUNTS, Engine, EngineError, Found
from cdi_runc.engines.trials import trials
from cdi_runc.engines.trials.container import Container, Trials
from cdi_runc.engines.trials.image import write_image

_NODE = "/dev/cdi-runc-test"
_MOUNT = "/cdi-runc-test.json"
_OPENED = "CDI_RUNC_TEST_OPENED"
_COMMAND = ("sh", "-c", f"if true 3<{_NODE}; then export {_OPENED}=yes; fi; exec sleep 60")
_PATIENCE = 10  # seconds until the container's own process must have come up


@dataclass(frozen=True)
class Step:
    """One thing that works or doesn't, with what was seen."""

    name: str
    works: bool
    seen: str


@dataclass(frozen=True)
class Device:
    """A device that is there for the trial only."""

    name: str  # qualified
    token: str
    spec: str  # the file


def run(engine: Engine, found: Found, runtime: str, settings: Mapping[str, Any], image: str | None) -> Iterator[Step]:
    """Try `runtime` of this engine; `settings` are cdi-runc's own, `image` is one to use in place of ours.

    Yields each step as soon as it is known. The first step that fails is the last, and everything is cleaned up. Raises
    EngineError if the test can't begin.
    """
    handler = engine.runtimes(found).handlers.get(runtime)
    if handler is None:
        yield Step("registered", False, f"no runtime {runtime}: cdictl engine enable {found.name}")
        return
    path = str(handler["path"])
    if os.path.isabs(path) and not os.access(path, os.X_OK):
        words = "can't be executed" if os.path.exists(path) else "does not exist"
        yield Step("registered", False, f"{runtime} is {path}, which {words}: cdictl engine enable {found.name}")
        return
    yield Step("registered", True, f"{runtime} is {path}")
    if found.running is False:
        raise EngineError(f"{found.name} is not running: start it first")
    starter = trials(found.name)
    token = secrets.token_hex(4)
    with spec_file(settings["spec-dirs"], token) as device:
        request = _request(engine, found, settings["requests"], device.name)
        name, ours = f"cdi-runc-test-{token}", f"docker.io/library/cdi-runc-test:{token}"
        container = Container(name, image or ours, runtime, path, _COMMAND, **request)
        try:
            if not image:
                _bring_image(starter, found, ours)
            yield from _steps(starter, found, container, device)
        finally:
            said = _clean(starter, found, container, brought=not image)
    left = [said] if said else [path for path in (device.spec,) if os.path.exists(path)]
    yield Step("cleaned up", not left, left[0] if left else "container, image and spec file are gone")


def _steps(starter: Trials, found: Found, container: Container, device: Device) -> Iterator[Step]:
    try:
        pid = starter.start(found, container)
    except EngineError as fault:
        yield Step("container started", False, str(fault))
        return
    environ = _wait(pid)
    if environ is None:
        yield Step("container started", False, "it ended at once")
        return
    yield Step("container started", True, f"process {pid}")
    bundle = monitors.bundle_of(pid)
    text = journal.read(os.path.join(bundle, "config.json")) if bundle else None
    if text is not None:
        step = _request_arrived(json.loads(text), container)
        yield step
        if not step.works:
            return
    with_variable = found.name not in WITH_HOOKS
    missing = _missing(pid, environ, device, with_variable)
    there = f"node {_NODE} (opened), {'variable, ' if with_variable else ''}mount"
    seen = f"not there: {', '.join(missing)}" if missing else there
    yield Step("device in the container", not missing, seen)


def _request_arrived(config: dict[str, Any], container: Container) -> Step:
    """The shim leaves annotations and variables, and takes a marker mount out."""
    name = "request reaches config.json"
    for key in container.annotations:
        if key not in config.get("annotations", {}):
            return Step(name, False, f"the annotation {key} is not in config.json")
        return Step(name, True, f"annotation {key}")
    for key in container.env:
        if not any(entry.startswith(f"{key}=") for entry in config["process"].get("env", [])):
            return Step(name, False, f"the variable {key} is not in config.json")
        return Step(name, True, f"variable {key}")
    for target in container.mounts:
        if any(mount.get("destination") == target for mount in config.get("mounts", [])):
            return Step(name, False, f"the mount {target} is still there: cdi-runc did not take it for a request")
    return Step(name, True, "marker mount, taken out again")


def _missing(pid: int, environ: Mapping[str, str], device: Device, with_variable: bool) -> list[str]:
    root = f"/proc/{pid}/root"
    missing = []
    try:
        if os.stat(root + _NODE).st_rdev != os.stat("/dev/null").st_rdev:
            missing.append(f"{_NODE} with the numbers of /dev/null")
        elif _OPENED not in environ:
            missing.append(f"permission to open {_NODE}")
    except OSError:
        missing.append(f"node {_NODE}")
    if with_variable and environ.get("CDI_RUNC_TEST") != device.token:
        missing.append("variable CDI_RUNC_TEST")
    if device.token not in (journal.read(root + _MOUNT) or ""):
        missing.append(f"mount {_MOUNT}")
    return missing


def _wait(pid: int) -> dict[str, str] | None:
    """The environment of the container's process once it is `sleep`; None if it ends before."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and os.path.exists(f"/proc/{pid}"):
        argv = processes.argv_of(pid)  # for a moment, while the kernel puts the new program in place, there is none
        if argv and os.path.basename(argv[0]) == "sleep":
            entries = (journal.read(f"/proc/{pid}/environ") or "").split("\0")
            return dict(entry.split("=", 1) for entry in entries if "=" in entry)
        time.sleep(0.05)
    return None


def _request(engine: Engine, found: Found, requests: Mapping[str, Any], device: str) -> dict[str, Any]:
    """The request in the first form that this engine can pass on and cdi-runc listens to."""
    if requests["annotations"] and engine.takes_annotations(found):
        return {"annotations": {f"{requests['annotations'][0]}cdi-runc-test": device}}
    if requests["mounts"]:
        return {"mounts": {f"{requests['mounts']}/{device.replace('=', '/')}": "/dev/null"}}
    if requests["env"]:
        return {"env": {requests["env"]: device}}
    raise EngineError(
        f"{found.name} {found.version} passes no annotations on, and cdi-runc takes requests by nothing else:"
        f" put the two lines `requests:` and `  mounts: {MARKER_MOUNTS}` into /etc/cdi-runc/config.yaml"
    )


@contextmanager
def spec_file(spec_dirs: Sequence[str], token: str) -> Iterator[Device]:
    """A device of a vendor that nobody has, in the first spec dir that can be written; gone afterwards."""
    kind = f"test-{token}.cdi-runc/trial"
    folder = next((path for path in spec_dirs if os.access(path, os.W_OK)), spec_dirs[-1] if spec_dirs else "")
    path = os.path.join(folder, f"test-{token}.cdi-runc-trial.json")
    nodes = [{"path": _NODE, "hostPath": "/dev/null", "permissions": "rw"}]
    mounts = [{"hostPath": path, "containerPath": _MOUNT, "options": ["ro", "bind"]}]
    edits = {"deviceNodes": nodes, "env": [f"CDI_RUNC_TEST={token}"], "mounts": mounts}
    spec = {"cdiVersion": "0.5.0", "kind": kind, "devices": [{"name": "null", "containerEdits": edits}]}
    change = journal.change_of(path, json.dumps(spec, indent=2) + "\n")
    journal.make(change)
    try:
        yield Device(f"{kind}=null", token, path)
    finally:
        journal.roll_back([change])


def _bring_image(starter: Trials, found: Found, name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="cdi-runc-") as folder:
        archive = os.path.join(folder, "image.tar")
        write_image(archive, name)
        starter.load_image(found, archive, name)


def _clean(starter: Trials, found: Found, container: Container, brought: bool) -> str:
    try:
        starter.clean(found, container, image=brought)
    except EngineError as fault:
        return str(fault)
    return ""
