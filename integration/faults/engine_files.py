"""`cdictl engine enable` and `disable` of which one system call is the last, or fails.

The work is done in copies of a process that has imported all of cdictl. So each try takes milliseconds, and the calls
are those of the work, not of Python's start.
"""

import io
import os
import shutil
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Literal

from cdi_runc.ctl import main
from integration.faults.host import names_in
from integration.faults.sweep import Scenario
from integration.faults.tracing import Ended, Fault, traced

JOURNAL = Path("/var/lib/cdi-runc")  # a tmpfs of the run's own, see __main__.py

DAEMON_JSON = '{\n    "debug": true,\n    "runtimes": {"kata": {"path": "/usr/bin/kata"}}\n}\n'
CONFIG_TOML = (
    "version = 2 # ours\n"
    '[plugins."io.containerd.grpc.v1.cri".containerd]\n'
    '  default_runtime_name = "runc"\n'
    '  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]\n'
    '    runtime_type = "io.containerd.runc.v2"\n'
)
_CONTAINERD = 'case "$*" in *dump*) cat "$2" ;; *) echo containerd github.com/containerd/containerd 1.6.20 x ;; esac'
# An engine's file as it was, and commands that stand in for the engine.
_ENGINES: dict[str, tuple[str, str, dict[str, str]]] = {
    "docker": (
        "daemon.json",
        DAEMON_JSON,
        {"dockerd": "echo Docker version 20.10.24, build 1", "docker": "echo no daemon >&2; exit 1"},
    ),
    "containerd": ("config.toml", CONFIG_TOML, {"containerd": _CONTAINERD}),
}

Command = Literal["enable", "disable"]


class EngineFile(Scenario):
    """One command for one engine."""

    def __init__(self, root: Path, engine: str, command: Command) -> None:
        self._engine, self._command = engine, command
        name, text, commands = _ENGINES[engine]
        self._folder, self._path, self._before = root / engine, root / engine / name, text.encode()
        shutil.rmtree(self._folder, ignore_errors=True)
        _make_commands(self._folder / "bin", commands)
        os.environ["PATH"] = f"{self._folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self._put_back(None)
        self._must("enable")
        self._after, self._enabled = self._path.read_bytes(), (JOURNAL / "registrations.json").read_bytes()
        if self._after == self._before:
            raise RuntimeError("enable changes nothing")
        self._must("disable")

    def prepare(self) -> None:
        self._put_back(self._enabled if self._command == "disable" else None)

    def run(self, fault: Fault | None) -> Ended:
        return traced(lambda: main(self._words(self._command)), fault)

    def judge(self, ended: Ended, fault: Fault) -> list[str]:
        found = []
        now = self._path.read_bytes() if self._path.exists() else b""
        if now not in (self._before, self._after):
            found.append("the engine's file is neither the old nor the new one")
        done = {"enable": self._after, "disable": self._before}[self._command]
        if fault.error and ended.status == 0 and now != done:
            found.append("exit status 0, and it is not done")
        if fault.error and ended.status != 0 and not ended.said.strip() and str(ended.hit) != "write":
            found.append("no word of why it is not done")
        if fault.error and ended.status not in (0, 1) and "Invalid value for '--config'" not in ended.said:
            found.append(f"exit status {ended.status}: {ended.said[-400:]}")
        again = traced(lambda: main(self._words("disable")), Fault(-1))
        if again.status != 0:
            found.append(f"disable fails then: {again.said.strip()[:300]}")
        if self._path.read_bytes() != self._before:
            found.append("the engine's file is not as it was after disable")
        left = [name for name in names_in(JOURNAL) if name != "lock"] + names_in(self._folder)
        if left != sorted(["bin", self._path.name]):
            found.append(f"left: {left}")
        return found

    def _words(self, command: Command) -> Sequence[str]:
        return ["engine", command, self._engine, "--config", str(self._path)]

    def _must(self, command: Command) -> None:
        """In this process, which so imports all that the copies need."""
        said = io.StringIO()
        try:
            with redirect_stdout(said), redirect_stderr(said):
                main(self._words(command))
        except SystemExit as end:
            if end.code:
                words = said.getvalue().strip()
                raise RuntimeError(f"{command} {self._engine} fails without a fault: {words}") from None

    def _put_back(self, registrations: bytes | None) -> None:
        shutil.rmtree(JOURNAL, ignore_errors=True)
        JOURNAL.mkdir(mode=0o700)
        for path in self._folder.iterdir():
            if path.is_file():
                path.unlink()
        self._path.write_bytes(self._after if registrations else self._before)
        if registrations:
            (JOURNAL / "registrations.json").write_bytes(registrations)


def _make_commands(folder: Path, commands: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    for name, script in commands.items():
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
