"""`cdictl engine` in a machine to spoil, for one engine and one config file."""

import subprocess
from pathlib import Path

from integration.engines.host import Host

TREE = Path(__file__).resolve().parents[2]

# cdictl with Debian 13's own Python and packages, which .venv's are of no use to.
DEBIANS = "import sys; sys.argv[0] = '/usr/local/bin/cdictl'; from cdi_runc.ctl import main; main()"


def is_debian_13(host: Host) -> bool:
    """Whether cdi-runc there runs on the Python of Debian 13."""
    return host.run("test", "-e", "/opt/cdi-runc").returncode == 0


def cdictl_argv(host: Host) -> list[str]:
    """The command that is cdictl there, needs PYTHONPATH."""
    return ["python3", "-c", DEBIANS] if is_debian_13(host) else [f"{TREE}/.venv/bin/cdictl"]


class Engine:
    """An engine in a machine to spoil, its config file, and cdictl there."""

    def __init__(self, host: Host, name: str, config: str = "", text: str = "") -> None:
        """With no `config`, the engine's files are where they usually are."""
        self.host, self.name, self.config, self.text = host, name, config, text
        if config:
            host.write(config, text)

    def cdictl(self, command: str, *arguments: str, expect: int = 0) -> "subprocess.CompletedProcess[str]":
        """Runs `cdictl engine COMMAND`, which must end with the status `expect`."""
        named = ["--config", self.config] if self.config and command != "status" else []
        argv = [*cdictl_argv(self.host), "engine", command, self.name, *named, *arguments]
        done = self.host.run(*argv, env={"PYTHONPATH": str(TREE)})
        assert done.returncode == expect, done.stdout + done.stderr
        return done

    def now(self) -> str:
        """The config file's text."""
        return self.host.path(self.config).read_text()
