"""Which files the host's root can trust: those that only root can have written.

Who can write a spec can run programs as root, by its hooks. Knows owners, modes and links, and nothing of what is in
a file. Slow, so the shim sees the outcome through its snapshot.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cdi_runc.cdi.errors import CDIError
from cdi_runc.cdi.registry import Registry
from cdi_runc.host import places

if TYPE_CHECKING:
    from cdi_runc.cdi.types import Spec


def why_not(path: str) -> str:
    """Why a file or a directory can't be trusted, with the command that fixes it; '' if it can, or if it is gone.

    Of a link, what it leads to is looked at. Only the host's root distrusts: a user's own files are the user's.
    """
    if not places.is_host_root():
        return ""
    try:
        found = os.stat(path)
    except OSError:
        return ""
    if found.st_uid not in (0, os.geteuid()):
        return f"{path} belongs to the user {found.st_uid}, not to root (chown root {path})"
    if found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and found.st_gid):
        return f"others than root may write {path} (chmod go-w {path})"
    return ""


def why_not_spec(path: str) -> str:
    """Why a spec file can't be trusted: because of the file, of its directory, or of a link out of the directory."""
    directory = os.path.dirname(path)
    reason = why_not(path) or why_not(directory)
    if reason or not places.is_host_root():
        return reason
    inside, leads_to = os.path.realpath(directory), os.path.realpath(path)
    if os.path.commonpath([inside, leads_to]) != inside:
        return f"{path} is a link out of its directory, to {leads_to} (put the file itself there)"
    return ""


def require_spec(path: str) -> None:
    """Refuse a spec file that can't be trusted. Raises CDIError."""
    reason = why_not_spec(path)
    if reason:
        raise CDIError(f"{reason}: it is not used, since config.yaml says 'trust: strict'")


def foreign(settings: Mapping[str, Any], config: str, specs: Iterable[str]) -> dict[str, str]:
    """Why files that are used can't be trusted, by their paths; '' is the config."""
    if settings["trust"] == "strict":
        return {}
    found = {path: why_not_spec(path) for path in specs} | {"": why_not(config)}
    return {path: reason for path, reason in found.items() if reason}


def fault_of(settings: Mapping[str, Any], config: str) -> str:
    """Why no device can be had, as settings say that others can have written; '' where that is no reason."""
    reason = why_not(config) if settings["trust"] == "strict" else ""
    return f"{reason}: no device is handed out, since it says 'trust: strict'" if reason else ""


class TrustedFiles(Registry):
    """The devices of the spec files that can be trusted."""

    def _load(self, path: str) -> Spec:
        require_spec(path)
        return super()._load(path)


def registry(settings: Mapping[str, Any]) -> Registry:
    """The devices of the spec directories in the settings, as far as these trust the files."""
    return (TrustedFiles if settings["trust"] == "strict" else Registry)(settings["spec-dirs"])
