"""LXC and Incus: a file of hooks in the directory that every container's config includes; for LXC, drop-ins of units.

Both read /usr/share/lxc/config/common.conf.d when a container starts. Each has its own file there. Its hooks ignore the
other system's containers. They also ignore containers that ask for nothing, before any Python starts. There is no
runtime to name.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cdi_runc.engines import journal, launcher, lxc_units
from cdi_runc.engines.ask import ask, binary, version
from cdi_runc.engines.engine import EngineError, FilePlan, Found, Native, NewRuntime, Put, Runtimes

_COMMON = "/usr/share/lxc/config/common.conf"
_HOME = "/var/lib/lxc"  # where LXC keeps its containers, if lxc.conf says nothing else

_HEAD = """\
# cdi-runc: devices for containers that ask for them by {request}
# (written by `cdictl engine enable {system}`, and taken away by `cdictl engine disable {system}`)
"""
# LXC runs a hook as `sh -c "exec LINE"`. An exec that only redirects goes on, and saves a second sh at every start.
_LINE = "lxc.hook.{stage} = </dev/null; {whose}{condition}exec {path} --cdi-hook={system}:{stage}\n"
_WHOSE = {
    "lxc": "case $LXC_CONFIG_FILE in */incus/*) exit 0 ;; esac; ",
    "incus": "case $LXC_CONFIG_FILE in */incus/*) ;; *) exit 0 ;; esac; ",
}
# Before a start, variables of the container are only in its config. What is below /usr asks for nothing.
_ASKS = (
    '[ -r "$LXC_CONFIG_FILE" ] || exit 0; asks=; while read -r line; do case $line in *CDI_DEVICES=*) asks=yes ;;'
    " lxc.include*[=\\ ]/usr/*) ;; lxc.include*) asks=yes ;; esac;"
    ' done <"$LXC_CONFIG_FILE"; [ "$asks" ] || exit 0; '
)
_IS_THERE = '[ -e "/run/cdi-runc-lxc$LXC_CONFIG_FILE{0}" ] || [ -e "${{LXC_CONFIG_FILE%/*}}/.cdi-runc{0}" ] || exit 0; '
# Rights alone (shim/lxc/plan.py) need no Python. It tries again, and says why, where the kernel refuses them.
_RIGHTS = (
    'f=/run/cdi-runc-lxc$LXC_CONFIG_FILE/start-host; if [ -s "$f" ]; then while IFS=: read -r id kinds group; do'
    ' case ,$kinds, in *,devices,*) break ;; esac; done <"/proc/$LXC_PID/cgroup"; given=$group;'
    ' while [ "$given" ] && read -r rule; do echo "$rule" >"/sys/fs/cgroup/devices$group/devices.allow" || given=;'
    ' done <"$f"; [ ! "$given" ] || exit 0; fi; '
)
# The process that pre-start has left calls hooks (shim/lxc/waiting.py). Nobody waits who opens a pipe for both; then
# `read` waits for that process alone, and ends with it.
_HOOKS = (
    'f=/run/cdi-runc-lxc$LXC_CONFIG_FILE; if [ -p "$f/go" ]; then exec 3<>"$f/done" 4<"$f/done" 3<&-;'
    ' echo "$LXC_PID" 1<>"$f/go"; if read -r begun <&4; then read -r given <&4; exit "${given:-1}"; fi; fi; '
)
_CONDITIONS = {
    "pre-start": _ASKS,
    "mount": '[ "$CDI_DEVICES" ] || exit 0; ',
    "start-host": _IS_THERE.format("/start-host") + _RIGHTS + _HOOKS,
    "post-stop": _IS_THERE.format(""),
}

_NO_CDI = Native(request="", since="")
_REQUESTS = {
    "lxc": "lxc.environment = CDI_DEVICES=vendor.com/class=name",
    "incus": "incus config set NAME environment.CDI_DEVICES vendor.com/class=name",
}


@dataclass(frozen=True)
class _Lxc:
    """One of the two, as a module of this package."""

    system: Literal["lxc", "incus"]
    TO_FORGET: tuple[Put, ...] = ()
    NATIVE: Native = _NO_CDI

    def find(self, config: str | None) -> Found:
        """The system on this host; `config` replaces LXC's common.conf."""
        path = binary("LXC", "lxc-start") if self.system == "lxc" else binary("Incus", "incus")
        running = None if self.system == "lxc" else os.path.exists("/var/lib/incus/unix.socket")
        number = version(ask([path, "--version"]))
        return Found(self.system, path, number, os.path.abspath(config or _COMMON), running, "no", config is not None)

    def runtimes(self, found: Found) -> Runtimes:
        """There are no runtimes. Ours means that all hooks are there."""
        texts = [journal.read(path) or "" for path in sorted(glob.glob(f"{glob.escape(found.config)}.d/*.conf"))]
        paths = [
            set(re.findall(rf"exec (\S+) --cdi-hook={self.system}:([a-z-]+)$", text, re.MULTILINE)) for text in texts
        ]
        whole = [min(hooks)[0] for hooks in paths if len(hooks) == len(_CONDITIONS)]
        if len(whole) > 1:
            raise EngineError(f"the hooks are there twice in {found.config}.d, and would run twice: remove one file")
        return Runtimes(self.system, {"cdi-runc": {"path": whole[0]}} if whole else {})

    def plan(self, found: Found, new: NewRuntime, known: Runtimes) -> list[FilePlan]:
        """One file of four hooks, and the drop-ins of LXC's units."""
        if new.default or new.name != "cdi-runc":
            raise EngineError(f"{self.system} has hooks and no runtimes: leave --set-as-default and --runtime-name out")
        if re.search(r"[^A-Za-z0-9/._+-]", new.path):
            raise EngineError(
                f"{new.path} has characters that a hook's line can't have: install cdi-runc under a simpler path"
            )
        folder = f"{found.config}.d"
        if not os.path.isdir(folder):
            raise EngineError(f"there is no {folder}, which containers would include: LXC 2 or newer has it")
        text = _HEAD.format(system=self.system, request=_REQUESTS[self.system])
        for stage, condition in _CONDITIONS.items():
            whose = _WHOSE[self.system]
            text += _LINE.format(stage=stage, whose=whose, condition=condition, path=new.path, system=self.system)
        path = new.drop_in or f"{folder}/50-cdi-{self.system}.conf"
        return [FilePlan(path, "text", (Put((), text),)), *self._drop_ins(new)]

    def _drop_ins(self, new: NewRuntime) -> list[FilePlan]:
        """Incus has no such units: its daemon starts the containers, and writes their configs itself."""
        if self.system == "incus":
            return []
        return lxc_units.plans(launcher.installed("cdictl"), new.settings)

    def live(self, found: Found) -> Runtimes | None:
        """The files, which every container reads when it starts."""
        return self.runtimes(found)

    def reload(self, found: Found, runtime: str | None) -> None:
        """Every container reads the hooks when it starts. systemd reads drop-ins when it is told to."""
        if self.system == "lxc":
            lxc_units.reload()

    def reload_command(self, found: Found, gone: bool) -> str:
        """What makes systemd read the drop-ins."""
        return lxc_units.reload_command() if self.system == "lxc" else ""

    def advice(self, found: Found, new: NewRuntime) -> list[str]:
        """How to ask for a device, what hooks can't do, and where to look."""
        if self.system == "incus":
            beside = "variables can't come from hooks: cdictl render incus vendor.com/class=name"
        else:
            beside = f"variables, groups and interfaces can't come from hooks: also write lxc.include = {_HOME}/NAME"
        return [
            f"ask for a device: {_REQUESTS[self.system]}",
            beside,
            "why a container did not start: cdictl explain container NAME",
        ]

    def owns_monitor(self, command: Sequence[str]) -> bool:
        """These have no monitors of the kind that a runtime has."""
        return False

    def pods_of(self, found: Found, runtime: str) -> list[str]:
        """Nothing."""
        return []

    def takes_annotations(self, found: Found) -> bool:
        """There are none."""
        return False


def lxcpath() -> str:
    """The directory of LXC's containers (lxc.conf(5), of root or of a user). Raises EngineError."""
    return ask([binary("LXC", "lxc-config"), "lxc.lxcpath"]).strip() or _HOME


LXC = _Lxc("lxc")
INCUS = _Lxc("incus")
