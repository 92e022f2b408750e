"""Nomad on this host: does its agent find our plugin, and does a task get the device that the plugin gives it?"""

from __future__ import annotations

import os
from collections.abc import Iterator

from cdi_runc.ctl.why.host import Host
from cdi_runc.ctl.why.result import Result
from cdi_runc.engines import docker, nomad
from cdi_runc.engines.engine import MARKER_MOUNTS, EngineError, NotInstalled
from cdi_runc.engines.nomad_files import Agent

_ENABLE = "cdictl engine enable nomad"


def nomad_finds_plugin(host: Host) -> Iterator[Result]:
    """The plugin is where Nomad's agent looks for it, can be executed, and a file of the agent has its block."""
    agent = _agent()
    if agent is None:
        return
    path = nomad.plugin_path(agent)
    named = nomad.PLUGIN in agent.plugins
    if named and not agent.plugins_folder:
        text = "no file of Nomad's agent has plugin_dir or data_dir, so nobody knows where it looks for plugins"
        yield Result("problem", "nomad", text, f"set plugin_dir in the agent's files, then {_ENABLE}")
    elif named and not os.path.lexists(path):
        text = f"Nomad's agent has a block for the plugin {nomad.PLUGIN}, and there is no {path}"
        yield Result("problem", "nomad", text, _ENABLE)
    elif os.path.lexists(path) and not os.path.exists(path):
        text = f"{path} is a link to what is gone, and Nomad's agent does not start with it"
        yield Result("problem", "nomad", text, f"rm {path}")
    elif named and not os.access(path, os.X_OK):
        text = f"{path} can't be executed, so Nomad's agent passes it over"
        yield Result("problem", "nomad", text, f"chmod 755 {path}")
    elif named and not os.access(target := nomad.behind(path), os.X_OK):
        text = f"{path} executes {target}, which is gone, and Nomad's agent does not start with it"
        yield Result("problem", "nomad", text, f"install cdi-runc again, or rm {path}")
    elif not named and os.path.exists(path):
        text = f"{path} is there, and no file of Nomad's agent has a block for it: Nomad 1.7 or newer passes it over"
        yield Result("warning", "nomad", text, _ENABLE)
    elif named:
        yield Result("ok", "nomad", f"Nomad's agent finds the plugin {path}, with the mode {nomad.mode_of(agent)}")


def nomad_tasks_can_ask(host: Host) -> Iterator[Result]:
    """In the plugin's mode `name`, a task may name the runtime, Docker knows it, and it takes requests by mounts."""
    agent = _agent()
    if agent is None or nomad.PLUGIN not in agent.plugins or nomad.mode_of(agent) != "name":
        return
    if missing := nomad.not_allowed(agent):
        yield Result("problem", "nomad", missing, "change that file, then restart the agent")
    if not host.settings["requests"]["mounts"]:
        text = "the plugin asks cdi-runc for devices by mounts, and its settings take no such requests: no device works"
        mend = f"two lines in {host.options.config_path}: `requests:` and `  mounts: {MARKER_MOUNTS}`"
        yield Result("problem", "nomad", text, f"{mend}, then restart the agent")
    try:
        known = docker.runtimes(docker.find(None)).handlers
    except NotInstalled:
        return  # another driver's tasks may name it
    except EngineError:
        return  # which another check says
    if nomad.RUNTIME not in known:
        text = f"Docker does not know the runtime {nomad.RUNTIME}, which Nomad's tasks name"
        yield Result("problem", "nomad", text, "cdictl engine enable docker")


def _agent() -> Agent | None:
    """What Nomad's agent is told; None without Nomad, and where its files can't be read, which another check says."""
    try:
        return nomad.read(nomad.find(None))
    except EngineError:
        return None
