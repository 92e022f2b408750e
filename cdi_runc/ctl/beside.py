"""What LXC's hooks can't give a container, kept in a file beside its config, which the config includes.

LXC reads a config before any hook runs, so that variables, groups and interfaces must be there by then. Decides and
renders as the hook and `cdictl render` do. Only LXC has such files; Incus writes its configs itself.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cdi_runc.cdi._files import read_file, replace_file
from cdi_runc.cdi.errors import CDIError
from cdi_runc.engines.engine import EngineError
from cdi_runc.engines.lxc import lxcpath
from cdi_runc.host import trust
from cdi_runc.host.errors import SettingsError
from cdi_runc.render import Edits, Lost, edits_of, target
from cdi_runc.shim.decision import decide
from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.lxc import hook, lacking, rights
from cdi_runc.shim.lxc.config import LxcConfig

if TYPE_CHECKING:
    from cdi_runc.host.known import Known

_LIMIT = 1 << 20  # bytes of such a file


@dataclass(frozen=True)
class Beside:
    """What is beside a container's config, and what is to be there.

    asked: the container's request, '' for none. now: what the file holds, None where there is none. text: what the file
    is to hold, None if it has to stay as it is. included: whether the config includes it. lacks: whether the config, as
    it is now, lacks something of it. fault: why the devices can't be had, or why the container is left alone.
    lost: what not even the config can say.
    """

    container: str
    home: str
    asked: str = ""
    now: str | None = None
    text: str | None = None
    included: bool = False
    lacks: bool = False
    fault: str = ""
    lost: Sequence[Lost] = ()

    @property
    def path(self) -> str:
        """The file."""
        return os.path.join(self.home, lacking.FILE)

    @property
    def missing_line(self) -> str:
        """The line that the config needs, so that the file counts; '' where it has it, or lacks nothing."""
        return f"lxc.include = {self.home}" if self.lacks and not self.included else ""


def containers() -> list[str]:
    """The names of LXC's containers. Raises EngineError where there is no LXC."""
    home = lxcpath()
    try:
        return sorted(name for name in os.listdir(home) if os.path.isfile(os.path.join(home, name, "config")))
    except FileNotFoundError:
        return []


def home_of(name: str) -> str:
    """The directory of the container of that name. Raises EngineError where there is none."""
    if name not in containers():
        raise EngineError(f"LXC has no container {name} in {lxcpath()} (see: lxc-ls)")
    return os.path.join(lxcpath(), name)


def look(name: str, home: str, known: Known) -> Beside:
    """What is and what is to be beside the config in the directory `home`, as the devices are now."""
    path = os.path.join(home, "config")
    try:
        config = LxcConfig(path)
        _require_trust(home, path, config)
        now = _now(os.path.join(home, lacking.FILE))
    except (OSError, CDIError) as error:
        return Beside(name, home, fault=str(error) if isinstance(error, CDIError) else f"{path}: {error.strerror}")
    asked = config.environment.get(hook.VARIABLE, "")
    nothing = "" if now is not None else None  # the config may include the file by its name
    included = lacking.is_included(config, home)
    if not asked:
        return Beside(name, home, now=now, text=nothing, included=included)
    try:
        edits = _edits(name, asked, known)
        late = rights.has_old_devices_cgroup()  # start-host gives rights then
        made = target("lxc-beside-hook")(edits, rights=not late, mapped=config.mapped)
    except (CDIError, SettingsError, ShimError) as fault:
        return Beside(name, home, asked, now, nothing, included, fault=str(fault))
    lacks = any(line.startswith(lacking.LACKS) for line in lacking.lines(config, edits.config, config.mapped))
    return Beside(name, home, asked, now, made.text, included, lacks, lost=made.lost)


def write(beside: Beside) -> str:
    """Make the file what it is to be: `written`, `emptied`, or `unchanged`; `none` where there is no file.

    Raises OSError. A link in its place is replaced, not followed.
    """
    if beside.text is None or beside.text == beside.now:
        return "none" if beside.now is None else "unchanged"
    replace_file(beside.path, beside.text.encode("utf-8", "surrogateescape"), keep=False)
    return "written" if beside.text else "emptied"


def complete(_: object, __: object, incomplete: str) -> list[str]:
    """The containers that begin so, for the shell."""
    try:
        return [name for name in containers() if name.startswith(incomplete)]
    except (EngineError, OSError):
        return []


def _edits(name: str, asked: str, known: Known) -> Edits:
    """The edits of what a container asks for, as the hook would decide."""
    requests = hook.requests(asked)
    decision = decide(hook.config_of("lxc", name), "create", known, requests, runtime="lxc")
    return edits_of([request.name for request in requests], decision.groups)


def _require_trust(home: str, path: str, config: LxcConfig) -> None:
    """Refuse what others than root or we ourselves can have written. Raises CDIError.

    LXC gives the directory of a container with mapped ids to the container's root; the config in it is root's.
    """
    reason = trust.why_not_above(home)
    owners = {0, os.geteuid(), *([config.root] if config.mapped else [])}
    for each, allowed in ((home, owners), (path, {0, os.geteuid()})):
        found = os.lstat(each)
        wanted = stat.S_ISDIR if each == home else stat.S_ISREG
        writable = found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and found.st_gid not in allowed)
        if not wanted(found.st_mode):
            reason = reason or f"{each} is not a {'directory' if each == home else 'file'}, or is a link"
        elif found.st_uid not in allowed or writable:
            reason = reason or f"others than root may write {each} (chown root {each}, chmod go-w {each})"
    if reason:
        raise CDIError(reason)


def _now(path: str) -> str | None:
    try:
        return read_file(path, _LIMIT, links=False).decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None
    except OSError:
        return ""  # a link, or nothing that cdictl has written
