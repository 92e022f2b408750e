"""The story of a decision: why a container gets its devices, or why not, arrow by arrow as the shim goes.

Every chapter is a plain function from the case to its steps. A step with a problem is a cause. The shim's own code
decides. Prints nothing and changes nothing.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from cdi_runc import CDIError, InjectionError, is_qualified_name
from cdi_runc.cdi.injection import resolve
from cdi_runc.ctl.specs.check.finding import each_edit
from cdi_runc.ctl.specs.check.host import THERE
from cdi_runc.ctl.why.containers import Container
from cdi_runc.ctl.why.handover import runtime_behind
from cdi_runc.ctl.why.live import access, node_in
from cdi_runc.ctl.words import edit_lines
from cdi_runc.engines import launcher
from cdi_runc.engines.monitors import runtime_of
from cdi_runc.host.errors import SettingsError
from cdi_runc.host.known import SpecFiles, shadowed
from cdi_runc.host.missing import nearest, why_missing
from cdi_runc.host.places import in_user_namespace
from cdi_runc.shim.cmdline import RUNTIMES
from cdi_runc.shim.decision import SANDBOX, Decision, decide, from_kubelet
from cdi_runc.shim.dropped import dropped, features_of
from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.outcome import outcome
from cdi_runc.shim.requests import Request, requested

if TYPE_CHECKING:
    from cdi_runc.cdi.injection import Group

Level = Literal["ok", "note", "warning", "problem"]


@dataclass(frozen=True)
class Step:
    """One thing that was looked at, and the result. `details` are lines with more about it."""

    level: Level
    text: str
    details: Sequence[str] = ()


@dataclass
class Case:
    """What a story is about: a container's config and perhaps the container, or (without a config) devices alone.

    `asked` are the devices, and `runtime` the path of the runtime, once it is known which.
    """

    files: SpecFiles
    path: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    container: Container | None = None
    asked: list[str] = field(default_factory=list)
    runtime: str = "runc"

    @property
    def requests(self) -> Mapping[str, Any]:
        """What counts as a request."""
        found: Mapping[str, Any] = self.files.settings["requests"]
        return found

    @property
    def annotations(self) -> Mapping[str, Any]:
        """The container's annotations."""
        found = self.config.get("annotations")
        return found if isinstance(found, dict) else {}


Chapter = Callable[[Case], Iterator[Step]]


def tell(case: Case) -> list[Step]:
    """The whole story."""
    return [step for chapter in CHAPTERS for step in chapter(case)]


def tell_of_devices(case: Case) -> list[Step]:
    """The story of the devices that are asked for, without a container."""
    return [step for chapter in (specs_looked_at, devices_found, host_as_needed) for step in chapter(case)]


def runtime_chosen(case: Case) -> Iterator[Step]:
    """Which runtime cdi-runc hands over to, and whether the engine called cdi-runc at all."""
    called = runtime_of(case.container.pid) if case.container and case.container.pid else None
    if called and not launcher.is_ours(called):
        advice = "register cdi-runc (cdictl engine list), and name it when the container is made"
        yield Step("problem", f"the engine started this container with {called}, not with cdi-runc: {advice}")
    elif called:
        yield Step("ok", f"the engine called {called}")
    if called and (named := launcher.named_in(called)):
        yield Step("ok", f"that hands over to {named}, which it names")
        case.runtime = named
        return
    name = os.path.basename(called).removeprefix("cdi-") if called else "runc"
    name = name if name in RUNTIMES else "runc"
    try:
        found = runtime_behind(name, case.files.settings)
    except ShimError as fault:
        yield Step("problem", str(fault))
    else:
        case.runtime = found
        why = "as config.yaml says" if name in case.files.settings["runtimes"] else "the first on PATH"
        yield Step("ok", f"cdi-{name} hands over to {found}, {why}")


def tell_of_decision(case: Case, decides: Callable[[], Decision]) -> Generator[Step, None, Decision | None]:
    """What the policy says of the container; the decision, or None where it is refused as a whole."""
    try:
        decision = decides()
    except (CDIError, SettingsError, ShimError) as fault:
        if all(case.files.find(name) for name in case.asked):  # else the chapter of the devices tells it
            yield Step("problem", str(fault))
        return None
    for name, rule in decision.rules.items():
        yield Step("ok", f"{name} is allowed by {rule['place']}")
    for note in decision.notes:
        yield Step("note", note)
    return decision


def requests_seen(case: Case) -> Iterator[Step]:
    """What in the config asks for which devices."""
    try:
        requests = requested(case.config, case.requests)
    except (CDIError, ShimError) as fault:
        yield Step("problem", f"{fault}{_meant(case)}")
        return
    for request in requests:
        yield Step("ok", f"{request} asks for {request.name}")
    given = yield from _given(case)
    case.asked = list(dict.fromkeys(request.name for request in [*requests, *(given or ())]))
    runtime = os.path.basename(case.runtime)
    decision = yield from tell_of_decision(
        case, lambda: decide(case.config, "create", case.files, runtime=runtime, given=given or (), bundle=case.path)
    )
    if decision is None:
        return
    if decision.refused:
        names = ", ".join(request.name for request in decision.refused)
        yield Step("warning", f"{decision.reason}, so not {names}")
        case.asked = []
    if requests or given or given is None:
        return
    case.asked = _in_force(case)
    if case.asked:
        yield Step(
            "ok", f"{', '.join(case.asked)}: asked for by a mount that is taken out, or made by the engine itself"
        )
    else:
        others = [case.requests[kind] for kind in ("mounts", "env") if case.requests[kind]]
        others += ["the kubelet"] * case.requests["kubelet"]
        how = ", ".join([*case.requests["annotations"], *others])
        yield Step("warning", f"the container asks for no device: that is done by annotations with {how}")


def _given(case: Case) -> Generator[Step, None, list[Request] | None]:
    """What the kubelet gave to the container, if the settings want it to be asked; None if it does not answer."""
    notes: list[str] = []
    try:
        given = from_kubelet(case.config, "create", case.files, notes.append)
    except ShimError as fault:
        yield Step("problem", str(fault))
        return None
    for note in notes:
        yield Step("note", note)
    for request in given:
        yield Step("ok", f"the kubelet gave it {request.name}, by the {request.where}")
    if not case.requests["kubelet"] and any(case.annotations.get(key) == "container" for key in SANDBOX):
        yield Step(
            "note", "the kubelet is not asked for the container's devices: 'requests: {kubelet: true}' does that"
        )
    return given


def look_alikes(case: Case) -> Iterator[Step]:
    """What looks like a request and is none."""
    prefixes = tuple(case.requests["annotations"])
    for key, value in sorted(case.annotations.items()):
        if key.startswith(prefixes) or not isinstance(value, str):
            continue
        near = difflib.get_close_matches(key.partition("/")[0] + "/", prefixes, 1, 0.75)
        if near and "/" in key:
            rest = key.partition("/")[2]
            yield Step(
                "problem", f"annotation {key} is not a request, because of its prefix; did you mean {near[0]}{rest}?"
            )
        elif any(case.files.find(name.strip()) for name in value.split(",")):
            meant = f"{next(iter(prefixes), 'cdi.k8s.io/')}{key.rpartition('/')[2]}"
            yield Step("warning", f"annotation {key} names the device {value}, but is not a request; {meant} would be")
    for entry in _variables(case.config):
        name, _, value = entry.partition("=")
        if not case.requests["env"] and name == "CDI_DEVICES":
            yield Step("warning", f"the variable CDI_DEVICES={value} is not a request unless config.yaml says so")
    mounts = case.config.get("mounts")
    for mount in mounts if isinstance(mounts, list) else ():
        target = mount.get("destination") if isinstance(mount, dict) else None
        parts = target.split("/") if isinstance(target, str) else []
        name = f"{parts[-3]}/{parts[-2]}={parts[-1]}" if len(parts) > 3 else ""
        if not case.requests["mounts"] and name and case.files.find(name):
            yield Step(
                "warning", f"the mount to {target} is not a request unless config.yaml says so (requests: mounts)"
            )


def specs_looked_at(case: Case) -> Iterator[Step]:
    """Every spec file, and why it is not used if it is not."""
    registry = case.files.registry
    lines = [f"{path}: {spec['kind']}, CDI {spec['cdiVersion']}" for path, spec in registry.specs.items()]
    refused = [f"refused: {error}" for errors in registry.errors.values() for error in errors]
    text = f"looked in {', '.join(registry.spec_dirs)}: {len(lines)} usable, {len(refused)} complaints"
    yield Step("warning" if refused else "ok", text, [*lines, *refused])


def devices_found(case: Case) -> Iterator[Step]:
    """Which file defines each device, or why none does."""
    hidden = shadowed(case.files.registry)
    for name in case.asked:
        found = case.files.find(name)
        if found is None:
            yield Step("problem", why_missing([name], case.files))
        else:
            instead = [f"instead of the one in {path}" for path in hidden.get(name, ())]
            yield Step("ok", f"{name} is defined by {found[0]}", instead)


def edits_made(case: Case) -> Iterator[Step]:
    """What is in the config already, and what the shim would put there."""
    try:
        groups = resolve(case.asked, case.files.find)
        outcome(dict(case.config), groups, in_user_namespace)
    except InjectionError as fault:
        yield Step("problem", str(fault))
        return
    except CDIError:
        return  # told as a device that is not found
    started = case.container is not None and case.container.pid
    for whose, edits in groups:
        lines = edit_lines(edits)
        if not lines:
            continue
        if is_in_force(case, [(whose, edits)]):
            yield Step("ok", f"the edits of {whose} are in config.json", lines)
        elif started:
            yield Step("problem", f"the edits of {whose} are not in config.json: cdi-runc did not make it", lines)
        else:
            yield Step("note", f"cdi-runc will make the edits of {whose}", lines)
    for line in dropped([edits for _, edits in groups], case.config, lambda: features_of(case.runtime)):
        yield Step("problem", line)


def host_as_needed(case: Case) -> Iterator[Step]:
    """Whether the host has what the devices' edits want from it."""
    for name in case.asked:
        found = case.files.find(name)
        if found is None:
            continue
        spec = {"devices": [{"containerEdits": found[2]}], "containerEdits": found[1]}
        said = [message for check in THERE for _, message in check(spec)]
        for message in said:
            yield Step("problem", f"{name}: {message}")
        if not said:
            yield Step("ok", f"{name}: everything that it needs exists on this host")


def seen_in_container(case: Case) -> Iterator[Step]:
    """Whether the nodes are in the running container, and may be opened there."""
    pid = case.container.pid if case.container else 0
    for name in case.asked if pid else ():
        found = case.files.find(name)
        for _, node in each_edit({"devices": [{"containerEdits": found[2]}]}, "deviceNodes") if found else ():
            seen = node_in(pid, node["path"])
            if seen is None:
                yield Step("problem", f"{node['path']} of {name} is not in the running container")
                continue
            allowed, said = access(pid, seen)
            where = f"{node['path']} is in the running container as {seen}"
            yield Step("ok" if allowed is not False else "problem", f"{where}, {said}")


CHAPTERS: tuple[Chapter, ...] = (
    runtime_chosen,
    requests_seen,
    look_alikes,
    specs_looked_at,
    devices_found,
    host_as_needed,
    edits_made,
    seen_in_container,
)


def read_config(path: str) -> dict[str, Any]:
    """A config.json as the shim reads it. Raises ShimError."""
    from cdi_runc.shim.bundle import Config

    found: dict[str, Any] = json.loads(Config(path).text())
    return found


def _in_force(case: Case) -> list[str]:
    """The devices whose own edits are all in force in the config."""
    groups = [resolve([name], case.files.find)[-1] for name in case.files.names]
    return [name for name, edits in groups if any(edits.values()) and is_in_force(case, [(name, edits)])]


def is_in_force(case: Case, groups: Sequence[Group]) -> bool:
    """Whether the edits would change nothing any more."""
    config = dict(case.config)
    try:
        return outcome(config, groups, in_user_namespace) == config
    except InjectionError:
        return False


def _meant(case: Case) -> str:
    """The device that a malformed request was perhaps meant for."""
    values = [value for key, value in case.annotations.items() if key.startswith(tuple(case.requests["annotations"]))]
    words = (word.strip() for value in values if isinstance(value, str) for word in value.split(","))
    return "".join(nearest(word, case.files.names) for word in words if not is_qualified_name(word))


def _variables(config: Mapping[str, Any]) -> Iterable[str]:
    process = config.get("process")
    env = process.get("env") if isinstance(process, dict) else None
    return [entry for entry in env if isinstance(entry, str)] if isinstance(env, list) else []
