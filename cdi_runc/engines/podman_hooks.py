"""Podman's precreate hook: a directory of hooks of our own, named in a containers.conf drop-in.

Never one of Podman's usual directories: Buildah and CRI-O read these too, do not know precreate, and would fail. The
runtime stays the same. Podman silently skips a hook whose program is missing, so the file is removed first.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from cdi_runc.engines import journal, podman
from cdi_runc.engines.engine import (
    MARKER_MOUNTS,
    EngineError,
    FilePlan,
    Found,
    NewRuntime,
    Put,
    Runtimes,
    is_root,
    user_config_home,
)

# containers.conf(5), where no file sets `hooks_dir`.
_DEFAULT_DIRS = ["/usr/share/containers/oci/hooks.d"]
_NAME, _MOUNTS_NAME = "50-cdi-runc.json", "51-cdi-runc-mounts.json"
_OPTION = "--cdi-hook=podman:precreate"

TO_FORGET: tuple[Put, ...] = ()
NATIVE = podman.NATIVE


def find(config: str | None) -> Found:
    """Podman on this host."""
    found = podman.find(config)
    return Found("podman-hooks", found.binary, found.version, found.config, None, found.cdi, found.explicit)


def runtimes(found: Found) -> Runtimes:
    """There are no runtimes. Ours means the hook, as in the last of Podman's directories that has it."""
    path = ""
    for folder in _dirs(found):
        try:
            hook = json.loads(journal.read(os.path.join(folder, _NAME)) or "null")
        except ValueError:
            raise EngineError(f"{folder}/{_NAME} is not JSON, so Podman starts no container: correct it") from None
        if isinstance(hook, dict) and _OPTION in hook.get("hook", {}).get("args", ()):
            path = str(hook["hook"].get("path"))
    return Runtimes("", {"cdi-runc": {"path": path}} if path else {})


def plan(found: Found, new: NewRuntime, known: Runtimes) -> list[FilePlan]:
    """The hooks, and the drop-in that names their directory beside those that are named now."""
    if new.default or new.name != "cdi-runc":
        raise EngineError("a hook is not a runtime: leave --set-as-default and --runtime-name out")
    folder = _own_dir(found)
    drop_in = new.drop_in or (found.config if found.explicit else f"{found.config}.d/50-cdi-runc-hooks.conf")
    dirs = [path for path in _dirs(found, but=drop_in) if path != folder]
    for path in dirs:
        if any(os.path.exists(os.path.join(path, name)) for name in (_NAME, _MOUNTS_NAME)):
            raise EngineError(f"{path} already has a hook of the name {_NAME}, which ours would replace: rename it")
    files = {_NAME: _when_annotated(new.path)}
    mounts = {_MOUNTS_NAME: _when_mounted(new.path)} if _requests()["mounts"] else {}
    plans = []
    for name, text in {**files, **mounts}.items():
        path = os.path.join(folder, name)
        theirs = journal.read(path)
        if theirs is not None and _OPTION not in theirs:
            raise EngineError(f"{path} exists and is not from cdictl: move it away")
        plans.append(FilePlan(path, "text", (Put((), text),)))
    return [*plans, FilePlan(drop_in, "toml", (Put(("engine", "hooks_dir"), [*dirs, folder]),))]


def live(found: Found) -> Runtimes | None:
    """Podman reads its files each time it runs."""
    return runtimes(found)


def reload(found: Found, runtime: str | None) -> None:
    """Nothing runs that could be told."""


def reload_command(found: Found, gone: bool) -> str:
    """Nothing runs."""
    return ""


def advice(found: Found, new: NewRuntime) -> list[str]:
    """How to ask for a device."""
    lines = ["ask for a device: podman run --annotation cdi.k8s.io/x=vendor.com/class=name ..."]
    if not _requests()["mounts"]:
        lines.append(
            f"to ask by a mount: put the two lines `requests:` and `  mounts: {MARKER_MOUNTS}` into"
            " /etc/cdi-runc/config.yaml, then enable it again"
        )
    return lines


def owns_monitor(command: Sequence[str]) -> bool:
    """A running container needs the hook no more."""
    return False


def pods_of(found: Found, runtime: str) -> list[str]:
    """Nothing."""
    return []


def takes_annotations(found: Found) -> bool:
    """`podman run --annotation` is older than any Podman we meet."""
    return True


def _own_dir(found: Found) -> str:
    if found.explicit:
        return os.path.join(os.path.dirname(found.config), "cdi-runc-hooks.d")
    return "/etc/cdi-runc/hooks.d" if is_root() else os.path.join(user_config_home(), "cdi-runc/hooks.d")


def _dirs(found: Found, but: str = "") -> list[str]:
    """The directories that Podman reads, without what the drop-in `but` says."""
    value: object = _DEFAULT_DIRS
    for file, engine in podman.tables(found):
        if file != but or found.explicit:
            value = engine.get("hooks_dir", value)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else _DEFAULT_DIRS


def _requests() -> Mapping[str, Any]:
    """What cdi-runc listens to."""
    from cdi_runc.host import places, settings

    requests: Mapping[str, Any] = settings.read(places.config_path(os.environb, not places.is_host_root()))["requests"]
    return requests


def _when_annotated(path: str) -> str:
    """Podman's conditions are Go's regular expressions, which find their match anywhere in the key."""
    prefixes = "|".join(re.escape(prefix) for prefix in _requests()["annotations"])
    return _hook(path, {"annotations": {f"^({prefixes})": ".*"}})


def _when_mounted(path: str) -> str:
    return _hook(path, {"hasBindMounts": True})


def _hook(path: str, when: Mapping[str, object]) -> str:
    hook = {"path": path, "args": [os.path.basename(path), _OPTION], "timeout": 30}
    return json.dumps({"version": "1.0.0", "hook": hook, "when": when, "stages": ["precreate"]}, indent=2) + "\n"
