"""Nomad: our plugin is started and asked as the agent does it. No job is run, which may need a token."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from cdi_runc.engines import launcher, nomad
from cdi_runc.engines.ask import ask
from cdi_runc.engines.engine import EngineError, Found
from cdi_runc.engines.trials.trial import Step, spec_file


def run(found: Found, settings: Mapping[str, Any]) -> Iterator[Step]:
    """Yields each step as it is known, and ends at the first that doesn't work. `settings` are cdi-runc's own."""
    agent = nomad.read(found)
    path = nomad.plugin_path(agent)
    known = nomad.runtimes(found).handlers.get(nomad.RUNTIME)
    if not known:
        yield Step("registered", False, f"no plugin {path} that a file of the agent names: cdictl engine enable nomad")
        return
    yield Step("registered", True, f"the plugin is {known['path']}")
    config = {name: agent.plugins[nomad.PLUGIN].config.get(name) for name in ("mode", "spec_dirs")}
    config = {name: value for name, value in config.items() if value}
    theirs = config.get("spec_dirs")
    directories = theirs if isinstance(theirs, list) else settings["spec-dirs"]
    with spec_file([str(each) for each in directories], secrets.token_hex(4)) as device:
        yield from _steps(path, config, device.name, nomad.mode_of(agent))
    if nomad.mode_of(agent) == "name":
        missing = nomad.not_allowed(agent)
        yield Step("a task may name the runtime", not missing, missing or f"allow_runtimes has {nomad.RUNTIME}")


def _steps(path: str, config: Mapping[str, object], device: str, mode: str) -> Iterator[Step]:
    command = [launcher.installed(nomad.PLUGIN), "--try", path, json.dumps(config), device]
    try:
        said = json.loads(ask(command))
    except ValueError:
        raise EngineError(f"{command[0]} is not of this version: install cdi-runc again") from None
    if fault := said.get("fault"):
        yield Step("plugin started", False, fault)
        return
    yield Step("plugin started", True, f"{said['name']} {said['version']}, mode {mode}")
    if device not in said["devices"]:
        yield Step("device offered", False, f"not among the {len(said['devices'])} devices that the plugin offers")
        return
    fault = said["devices"][device]
    yield Step("device offered", not fault, fault or f"one of {len(said['devices'])}, healthy")
    if fault:
        return
    given = [*said.get("mounts", ()), *said.get("nodes", ()), *said.get("envs", ())]
    yield Step("device reserved", not said["refused"], said["refused"] or f"a task gets {', '.join(given)}")
