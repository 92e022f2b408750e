"""Containers of LXC and Incus, which have no bundle of an engine's: their configs, and our log of their hooks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from cdi_runc.ctl import beside
from cdi_runc.ctl.options import Options
from cdi_runc.ctl.why.story import Case, Level, Step, tell_of_decision, tell_of_devices
from cdi_runc.engines import engine as engine_of
from cdi_runc.engines.engine import EngineError
from cdi_runc.engines.lxc import lxcpath
from cdi_runc.shim.decision import decide
from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.lxc import record
from cdi_runc.shim.lxc.config import LxcConfig
from cdi_runc.shim.lxc.hook import VARIABLE, config_of, names_in, requests

# Where each system has a container's config. Incus writes it again at each start.
_CONFIGS = {
    "lxc": ("/var/lib/lxc/{name}/config", "~/.local/share/lxc/{name}/config"),
    "incus": ("/run/incus/{name}/lxc.conf", "/var/log/incus/{name}/lxc.conf"),
}
_LEVELS: dict[str, Level] = {"error": "problem", "warning": "warning", "info": "note"}


@dataclass(frozen=True)
class Hooked:
    """A container that one of these systems knows, or once started. `config` is '' if it is gone."""

    system: str
    name: str
    config: str

    @property
    def subject(self) -> str:
        """What the story is about."""
        return f"{self.system} container {self.name}{self.config and f', {self.config}'}"


def find(name: str) -> Hooked | None:
    """The container of that name; None if neither system has or had it."""
    if "/" in name:
        return None
    for system, places in _CONFIGS.items():
        paths = [os.path.expanduser(place).format(name=name) for place in (*places, *_further(system))]
        config = next((path for path in paths if os.path.isfile(path)), "")
        if config or record.lines_of(record.log_path(os.environb), f"{system}/{name}"):
            return Hooked(system, name, config)
    return None


def _further(system: str) -> list[str]:
    """Where lxc.conf says that the containers are."""
    try:
        return [f"{lxcpath()}/{{name}}/config"] if system == "lxc" else []
    except EngineError:
        return []


def tell(container: Hooked, options: Options) -> list[Step]:
    """The story of its last start: what it asks for, whether the hooks are there, and what they said."""
    steps = []
    asked = ""
    if container.config:
        try:
            asked = LxcConfig(container.config).environment.get(VARIABLE, "")
        except OSError as error:
            steps.append(Step("problem", f"{container.config}: {error.strerror}"))
        steps.append(_request(container, asked))
    if asked:
        steps += _hooks(container)
        try:
            case = Case(options.spec_files(), asked=names_in(asked))
        except ShimError as fault:
            steps.append(Step("problem", str(fault)))
        else:
            steps += [*_decided(container, case, asked), *tell_of_devices(case), *_beside(container, case)]
    return steps + _said(container)


def _decided(container: Hooked, case: Case, asked: str) -> Iterator[Step]:
    """What the policy says of it now."""
    config = config_of(container.system, container.name)
    yield from tell_of_decision(
        case, lambda: decide(config, "create", case.files, requests(asked), runtime=container.system)
    )


def _beside(container: Hooked, case: Case) -> Iterator[Step]:
    """Whether the config has what hooks can't give."""
    if container.system != "lxc":
        return
    found = beside.look(container.name, os.path.dirname(container.config), case.files)
    if found.missing_line:
        text = "variables and the like can't come from hooks: put this line into the container's config"
        yield Step("warning", f"{text}: {found.missing_line}", [container.config])
    elif found.included and found.text not in (None, found.now):
        renew = f"cdictl render lxc --container {container.name}"
        yield Step("warning", f"{found.path} is not as the specs are now: start the container by its unit, or {renew}")


def _request(container: Hooked, asked: str) -> Step:
    if asked:
        return Step("ok", f"{VARIABLE} asks for {asked}", [container.config])
    return Step("note", f"it asks for no device: {container.config} sets no {VARIABLE}")


def _hooks(container: Hooked) -> list[Step]:
    module = engine_of(container.system)
    try:
        registered = module.runtimes(module.find(None)).handlers
    except EngineError as fault:
        return [Step("warning", str(fault))]
    if registered:
        return [Step("ok", f"{container.system} calls {registered['cdi-runc']['path']} by its hooks")]
    return [Step("problem", f"{container.system} has no hooks of cdi-runc: cdictl engine enable {container.system}")]


def _said(container: Hooked) -> list[Step]:
    """What the hooks said at the last start. Each start begins with a line that says what was asked for."""
    path = record.log_path(os.environb)
    lines = record.lines_of(path, f"{container.system}/{container.name}")
    begin = max((place for place, line in enumerate(lines) if line[1] == "info"), default=0)
    return [Step(_LEVELS.get(level, "note"), message, [f"{stamp}, {path}"]) for stamp, level, message in lines[begin:]]
