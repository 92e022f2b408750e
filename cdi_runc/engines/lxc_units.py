"""Drop-ins for the units by which systemd starts LXC's containers: they renew what a container's config must have.

`lxc@.service` starts one container, and `lxc.service` all that are to start with the host. Hooks can't do this work,
because LXC has read the config before it calls the first one.
"""

from __future__ import annotations

import os
import re

from cdi_runc.engines.ask import ask
from cdi_runc.engines.engine import EngineError, FilePlan, Put

# Where systemd looks for units (systemd.unit(5)), and where administrators put their own files.
_LOOKED_INTO = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
_ADMINISTRATORS = "/etc/systemd/system"
_NAME = "50-cdi-runc.conf"
_BOOTED = "/run/systemd/system"  # sd_booted(3)

# Which containers each unit starts, as options of `cdictl render lxc`.
_UNITS = {"lxc@.service": "--container=%i", "lxc.service": "--all-containers"}

# With `-`, a cdictl that fails or is gone stops no container.
_TEXT = """\
# cdi-runc: renews what a container's config must have, because LXC's hooks can't give it
# (written by `cdictl engine enable lxc`, and taken away by `cdictl engine disable lxc`)
[Service]
ExecStartPre=-{command} render lxc {which}
"""


def plans(cdictl: str, settings: str | None) -> list[FilePlan]:
    """A drop-in for each of the units that this host has. `settings`: the file that cdictl is to use, None: the usual.

    Raises EngineError for a path that a unit's line can't have.
    """
    words = [cdictl, *(["--config", settings] if settings else [])]
    for word in words:
        if re.search(r"[^A-Za-z0-9/._+-]", word):
            raise EngineError(f"{word} has characters that a unit's line can't have: give it a simpler path")
    files = []
    for unit, which in _units().items():
        text = _TEXT.format(command=" ".join(words), which=which)
        files.append(FilePlan(f"{_ADMINISTRATORS}/{unit}.d/{_NAME}", "text", (Put((), text),)))
    return files


def reload() -> None:
    """Have systemd read the drop-ins, if it runs. Raises EngineError."""
    if reload_command():
        ask(["systemctl", "daemon-reload"])


def reload_command() -> str:
    """What the administrator types for the same effect, "" where systemd does not run or has no such unit."""
    return "systemctl daemon-reload, or --restart" if os.path.isdir(_BOOTED) and _units() else ""


def _units() -> dict[str, str]:
    folders = [f"{place}/systemd/system" for place in _LOOKED_INTO]
    return {
        unit: which
        for unit, which in _UNITS.items()
        if any(os.path.lexists(os.path.join(folder, unit)) for folder in folders)
    }
