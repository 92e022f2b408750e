"""What Nomad's agent is configured to: its command line, and its files as it merges them.

The agent reads the paths of its -config options in their order, and in a directory the files *.hcl and *.json in the
order of their names. Of two blocks `plugin` with one label, the later `config` replaces the earlier one whole, if there
is anything in it (hashicorp/nomad nomad/structs/config/plugins.go, command/agent/config.go).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cdi_runc.engines import hcl_text, journal, processes
from cdi_runc.engines.engine import EngineError
from cdi_runc.engines.hcl_text import Block
from cdi_runc.engines.processes import Process


@dataclass(frozen=True)
class Plugin:
    """What the files say of one plugin, and the file that has the last word."""

    config: Mapping[str, object]
    path: str


@dataclass
class Agent:
    """What the agent is told, by its files and then by its command line. A path is '' where nothing says it."""

    plugins: dict[str, Plugin] = field(default_factory=dict)
    plugin_dir: str = ""
    data_dir: str = ""
    docker_options: str = ""  # the file that configures the docker driver the old way, by options of the client

    @property
    def plugins_folder(self) -> str:
        """Where the agent looks for plugins; '' if nobody knows."""
        return self.plugin_dir or (f"{self.data_dir.rstrip('/')}/plugins" if self.data_dir else "")


def running() -> Process | None:
    """The agent that runs. Its helpers are processes of the same name."""
    return next((each for each in processes.daemons("nomad") if each.argv[1:2] == ["agent"]), None)


def options(argv: Sequence[str], name: str) -> list[str]:
    """All values of an option in Go's manner: one dash or two, with an equals sign or as the next word.

    >>> options(["nomad", "agent", "-config=/a", "--config", "/b"], "config")
    ['/a', '/b']
    """
    found = []
    for place, word in enumerate(argv):
        flag, equals, value = word.partition("=")
        if flag in (f"-{name}", f"--{name}"):
            found.append(value if equals else "".join(argv[place + 1 : place + 2]))
    return found


def read(paths: Sequence[str], argv: Sequence[str] = (), but: str = "") -> Agent:
    """What these files and directories say, without the file `but`; then the command line. Raises EngineError."""
    agent = Agent()
    for path in _files(paths):
        if path != but:
            try:
                _take(agent, hcl_text.parse(journal.read(path) or ""), path)
            except EngineError as fault:
                raise EngineError(f"{path}: {fault}") from None
    agent.plugin_dir = next(reversed(options(argv, "plugin-dir")), agent.plugin_dir)
    agent.data_dir = next(reversed(options(argv, "data-dir")), agent.data_dir)
    return agent


def _take(agent: Agent, body: Block, path: str) -> None:
    agent.plugin_dir = body.text("plugin_dir") or agent.plugin_dir
    agent.data_dir = body.text("data_dir") or agent.data_dir
    for label, plugin in body.labelled("plugin"):
        config = {item.keys[0]: item.value for each in plugin.blocks("config") for item in each.items}
        if config or label not in agent.plugins:
            agent.plugins[label] = Plugin(config, path)
    for client in body.blocks("client"):
        for each in client.blocks("options"):
            if any(item.keys[0].startswith("docker.") for item in each.items):
                agent.docker_options = path


def _files(paths: Sequence[str]) -> list[str]:
    found = []
    for path in paths:
        if not os.path.isdir(path):
            found.append(os.path.abspath(path))
            continue
        try:
            names = sorted(name for name in os.listdir(path) if name.endswith((".hcl", ".json")))
        except OSError as fault:
            raise EngineError(f"can't read {path}: {fault.strerror}") from None
        found += [
            os.path.join(os.path.abspath(path), name)
            for name in names
            if not name.startswith(".#") and not os.path.isdir(os.path.join(path, name))
        ]
    return found
