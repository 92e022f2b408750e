"""Nomad: a file of ours among those of its agent, and our device plugin in the agent's plugin_dir.

Nomad is no engine that knows runtimes: what stands for ours is the plugin `cdi-nomad`. In the plugin's mode `name`,
Docker's driver must let a task name the runtime cdi-runc. The agent reads all this when it starts.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Sequence

from cdi_runc.engines import journal, nomad_files, processes
from cdi_runc.engines.ask import ask, binary, version
from cdi_runc.engines.engine import (
    MARKER_MOUNTS,
    EngineError,
    FilePlan,
    Found,
    Native,
    NewRuntime,
    NotInstalled,
    Put,
    Runtimes,
    is_root,
)
from cdi_runc.engines.nomad_files import Agent
from cdi_runc.host import settings
from cdi_runc.host.places import SYSTEM_CONFIG

PLUGIN = "cdi-nomad"  # the file's name in plugin_dir, which is also the label of its block
RUNTIME = "cdi-runc"
DRIVER = "docker"
ALLOWED = ("runc", "nvidia")  # what Docker's driver allows where no file says it

_DIRECTORY = "/etc/nomad.d"
_PLUGINS = "/opt/nomad/plugins"  # where no file says any directory
_HEAD = "# Written by `cdictl engine enable nomad`, and taken away by `cdictl engine disable nomad`.\n"

TO_FORGET: tuple[Put, ...] = ()
NATIVE = Native(request="", since="")


def find(config: str | None) -> Found:
    """Nomad on this host; `config` is another directory of the agent's files than the one that it uses."""
    agent = nomad_files.running()
    try:
        path = binary("Nomad", "nomad")
    except NotInstalled:
        if not agent or not os.path.isabs(agent.argv[0]):
            raise
        path = agent.argv[0]
    in_use = nomad_files.options(agent.argv, "config") if agent else []
    directories = [each for each in in_use if os.path.isdir(each)]
    place = os.path.abspath(config or next(reversed(directories or in_use), _DIRECTORY))
    is_its = agent and (config is None or place in map(os.path.abspath, in_use))
    return Found(
        name="nomad",
        binary=path,
        version=version(ask([path, "version"])),
        config=place,
        running=bool(is_its),
        cdi="no",
        explicit=place != _DIRECTORY,
        pid=agent.pid if agent and is_its else None,
    )


def runtimes(found: Found) -> Runtimes:
    """No runtimes: ours stands for the plugin, if a file has its block and the plugin is where the agent looks."""
    agent = read(found)
    path = plugin_path(agent)
    if PLUGIN not in agent.plugins or not os.access(path, os.X_OK):
        return Runtimes("")
    target = behind(path)
    return Runtimes("", {RUNTIME: {"path": target}} if os.path.basename(target) == PLUGIN else {})


def plan(found: Found, new: NewRuntime, known: Runtimes) -> list[FilePlan]:
    """The plugin, and the agent's file. What the administrator's own files have is left to them."""
    if new.default or new.name != RUNTIME:
        raise EngineError("Nomad has a plugin and no runtimes: no --set-as-default, no --runtime-name")
    _require_directory(found)
    drop_in = os.path.abspath(new.drop_in or f"{found.config}/cdi-runc.hcl")
    if _HEAD not in (journal.read(drop_in) or _HEAD):
        raise EngineError(f"{drop_in} is there and not from here: move it away, or name another file with --drop-in")
    agent = read(found, but=drop_in)
    text = _HEAD
    if not agent.plugins_folder:
        text += f"plugin_dir = {_quoted(_PLUGINS)}\n"
    if PLUGIN not in agent.plugins:
        spec_dirs = [("spec_dirs", list(new.spec_dirs))] if new.spec_dirs else []
        text += _block(PLUGIN, [("mode", new.mode), *spec_dirs])
    if new.mode == "name" and not docker_by_hand(agent):
        text += _block(DRIVER, [("allow_runtimes", [*ALLOWED, RUNTIME])])
    plans = _plugin_plans(plugin_path(agent), new.path)
    return plans if text == _HEAD else [*plans, FilePlan(drop_in, "text", (Put((), text),))]


def live(found: Found) -> Runtimes | None:
    """The agent is not asked: it may want a token."""
    return None


def reload(found: Found, runtime: str | None) -> None:
    """The agent reads its plugins when it starts. Tasks go on running meanwhile."""
    if found.explicit or not is_root() or not os.path.isdir("/run/systemd/system"):
        raise EngineError("no systemd unit runs this Nomad: restart it yourself, and leave --restart out")
    ask(["systemctl", "restart", "nomad"], timeout=120)


def reload_command(found: Found, gone: bool) -> str:
    """Tasks go on running meanwhile."""
    return "systemctl restart nomad, or --restart" if found.running else ""


def advice(found: Found, new: NewRuntime) -> list[str]:
    """How to ask for a device, and what of the administrator's files is in the way."""
    agent = read(found)
    lines = ['ask for a device: in a task, resources { device "vendor.com/class" {} }']
    mode = mode_of(agent)
    if mode == "name":
        lines[0] += f', and config {{ runtime = "{RUNTIME}" }}'
    if mode != new.mode:
        lines.append(f"{agent.plugins[PLUGIN].path} has the plugin {PLUGIN} with the mode {mode}, which counts")
    if mode == "name" and (missing := not_allowed(agent)):
        lines.append(missing)
    if mode == "name" and not _takes_mounts():
        lines.append(
            f"put the two lines `requests:` and `  mounts: {MARKER_MOUNTS}` into {SYSTEM_CONFIG}: without them, no"
            " device works in the mode name"
        )
    return lines


def owns_monitor(command: Sequence[str]) -> bool:
    """A running task needs the plugin no more."""
    return False


def pods_of(found: Found, runtime: str) -> list[str]:
    """Nothing."""
    return []


def takes_annotations(found: Found) -> bool:
    """A task has none: the plugin asks by mounts, or needs not ask at all."""
    return False


def read(found: Found, but: str = "") -> Agent:
    """What the agent is told. Of an agent that runs, all its paths and its command line count."""
    argv = processes.argv_of(found.pid) if found.pid else []
    return nomad_files.read(nomad_files.options(argv, "config") or [found.config], argv, but)


def plugin_path(agent: Agent) -> str:
    """Where the agent looks for our plugin, or would with our own file."""
    return f"{agent.plugins_folder or _PLUGINS}/{PLUGIN}"


def mode_of(agent: Agent) -> str:
    """The plugin's mode that counts."""
    plugin = agent.plugins.get(PLUGIN)
    return str(plugin.config.get("mode") or "name") if plugin else "name"


def docker_by_hand(agent: Agent) -> str:
    """The file in which the administrator configures Docker's driver, '' if there is none.

    A second block would replace that one whole, or be replaced by it. And any block replaces the old options.
    """
    driver = agent.plugins.get(DRIVER)
    return driver.path if driver else agent.docker_options


def not_allowed(agent: Agent) -> str:
    """What to add by hand where no task of Docker's driver may name our runtime; '' where it may."""
    driver = agent.plugins.get(DRIVER)
    allowed = driver.config.get("allow_runtimes") if driver else None
    if isinstance(allowed, list) and RUNTIME in allowed:
        return ""
    path = docker_by_hand(agent)
    if not path:
        return f"no task may name the runtime {RUNTIME}: no file has it in allow_runtimes of the plugin {DRIVER}"
    have = [each for each in allowed if isinstance(each, str)] if isinstance(allowed, list) else ALLOWED
    line = f"allow_runtimes = {_quoted([*have, RUNTIME])}"
    if driver:
        return (
            f'no task may name the runtime {RUNTIME}: in {path}, put into plugin "{DRIVER}" {{ config {{ {line} }} }}'
        )
    return (
        f"no task may name the runtime {RUNTIME}: {path} configures Docker by options of the client, which a plugin"
        f' block would replace: turn them into plugin "{DRIVER}" {{ config {{ ... }} }}, with {line}'
    )


def _require_directory(found: Found) -> None:
    """An agent reads a further file only in a directory that it was given."""
    if found.pid and not nomad_files.options(processes.argv_of(found.pid), "config"):
        raise EngineError(
            f"the agent that runs was started without -config, so it reads no file: start it with -config={_DIRECTORY}"
        )
    if found.pid and not os.path.isdir(found.config):
        raise EngineError(
            f"the agent that runs reads {found.config}, and no directory: start it with a further -config={_DIRECTORY}"
        )
    if os.path.lexists(found.config) and not os.path.isdir(found.config):
        raise EngineError(f"{found.config} is no directory: --config names the directory of the agent's files")


def _plugin_plans(path: str, target: str) -> list[FilePlan]:
    """A script, rather than a link: the agent does not start if a link in its plugin_dir leads nowhere."""
    text = f'#!/bin/sh\n{_HEAD}exec {shlex.quote(target)} "$@"\n'
    theirs = journal.read(path)
    if theirs is None and os.path.lexists(path):
        raise EngineError(f"{path} is a link to what is gone, and Nomad's agent does not start with it: remove it")
    if theirs is not None and _HEAD not in theirs:
        if os.path.realpath(path) == os.path.realpath(target):
            return []
        raise EngineError(f"{path} is there and not from here: move it away")
    return [FilePlan(path, "text", (Put((), text),), mode=0o755)]


def behind(path: str) -> str:
    """The plugin that a file in plugin_dir is, or leads to."""
    text = journal.read(path) or ""
    found = re.search(r'^exec (.+) "\$@"$', text, re.MULTILINE) if _HEAD in text else None
    return shlex.split(found[1])[0] if found else os.path.realpath(path)


def _takes_mounts() -> bool:
    """Does cdi-runc take requests by mounts? The plugin has the settings of the system."""
    return bool(settings.read(SYSTEM_CONFIG)["requests"]["mounts"])


def _block(label: str, config: Sequence[tuple[str, object]]) -> str:
    lines = "".join(f"    {name} = {_quoted(value)}\n" for name, value in config)
    return f"plugin {_quoted(label)} {{\n  config {{\n{lines}  }}\n}}\n"


def _quoted(value: object) -> str:
    """A text or a list of texts in HCL, whose texts are those of JSON; `${` would be a reference."""
    if "${" in str(value):
        raise EngineError(f"{value} has ${{ in it, which means something else in Nomad's files: use another path")
    return json.dumps(value, ensure_ascii=False)
