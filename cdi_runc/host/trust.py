"""Which files the host's root can trust: those that only root can have written.

Who can write a spec can run programs as root, by its hooks. Knows owners, modes and links, and nothing of what is in
a file. Slow, so the shim sees the outcome through its snapshot.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cdi_runc.cdi.errors import CDIError
from cdi_runc.cdi.registry import Registry
from cdi_runc.host import places

if TYPE_CHECKING:
    from cdi_runc.cdi.types import Spec


def why_not(path: str) -> str:
    """Why a file or a directory can't be trusted, with the command that mends it; '' where it can, or where it is gone.

    Whoever can write to a directory above it can put another file in its place, so these are looked at too. Only the
    host's root distrusts: a user's own files are the user's.
    """
    return _why_not_itself(path) or (why_not_above(path) if os.path.lexists(path) else "")


def why_not_above(path: str) -> str:
    """Why whatever is at a path can't be trusted because of the directories above it, whether or not it is there."""
    return next((reason for _, reason in _culprits(path)), "")


def culprits(paths: Iterable[str]) -> list[str]:
    """What is above these paths and makes others able to replace what is there."""
    return list(dict.fromkeys(culprit for path in paths for culprit, _ in _culprits(path)))


def why_not_spec(path: str) -> str:
    """Why a spec file can't be trusted: because of itself, of a directory above, or of a link out of its directory.

    Nobody else may write to its own directory, not even to a sticky one: each file there is one more spec.
    """
    directory = os.path.dirname(path)
    reason = _why_not_itself(path) or _why_not_itself(directory) or why_not(path)
    if reason or not places.is_host_root():
        return reason
    inside, leads_to = os.path.realpath(directory), os.path.realpath(path)
    if os.path.commonpath([inside, leads_to]) != inside:
        return f"{path} is a link out of its directory, to {leads_to} (put the file itself there)"
    return ""


def _why_not_itself(path: str) -> str:
    """Why a file or directory, or what a link leads to, can't be trusted, whatever is above it."""
    if not places.is_host_root():
        return ""
    try:
        found = os.stat(path)
    except OSError:
        return ""
    return _foreign_owner(path, found) or (_writable(path) if _is_writable(found) else "")


def _culprits(path: str) -> Iterator[tuple[str, str]]:
    """What is above a path and makes others able to replace what is there, and why; the nearest first.

    In a sticky directory (/tmp) nobody can replace what is root's, so what is there must be root's.
    """
    if not places.is_host_root():
        return
    for way in dict.fromkeys((os.path.abspath(path), os.path.realpath(path))):
        while (directory := os.path.dirname(way)) != way:
            try:
                found = os.stat(directory)
                if reason := _foreign_owner(directory, found):
                    yield directory, reason
                elif _is_writable(found) and not found.st_mode & stat.S_ISVTX:
                    yield directory, _writable(directory)
                elif _is_writable(found) and (reason := _foreign_owner(way, os.lstat(way))):
                    yield way, reason
            except OSError:
                pass  # it is not there, so nothing below it is
            way = directory


def _foreign_owner(path: str, found: os.stat_result) -> str:
    if found.st_uid in (0, os.geteuid()):
        return ""
    return f"{path} belongs to the user {found.st_uid}, not to root (chown root {path})"


def _is_writable(found: os.stat_result) -> bool:
    return bool(found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and found.st_gid))


def _writable(path: str) -> str:
    return f"others than root may write {path} (chmod go-w {path})"


def require_spec(path: str) -> None:
    """Refuse a spec file that can't be trusted. Raises CDIError."""
    reason = why_not_spec(path)
    if reason:
        raise CDIError(f"{reason}: it is not used, since config.yaml says 'trust: strict'")


def foreign(settings: Mapping[str, Any], config: str, specs: Iterable[str]) -> dict[str, str]:
    """Why files that are used can't be trusted, by their paths; '' is the config."""
    if settings["trust"] == "strict":
        return {}
    found = {path: why_not_spec(path) for path in specs} | {"": _why_not_settings(config)}
    return {path: reason for path, reason in found.items() if reason}


def fault_of(settings: Mapping[str, Any], config: str) -> str:
    """Why no device can be had, as settings say that others can have written; '' where that is no reason."""
    reason = _why_not_settings(config) if settings["trust"] == "strict" else ""
    return f"{reason}: no device is handed out, since it says 'trust: strict'" if reason else ""


def _why_not_settings(config: str) -> str:
    """Why the settings can't be trusted; also where there are none: others may have removed them, with the policy."""
    return why_not(config) or why_not_above(config)


class TrustedFiles(Registry):
    """The devices of the spec files that can be trusted."""

    def _load(self, path: str) -> Spec:
        require_spec(path)
        return super()._load(path)


def registry(settings: Mapping[str, Any]) -> Registry:
    """The devices of the spec directories in the settings, as far as these trust the files."""
    return (TrustedFiles if settings["trust"] == "strict" else Registry)(settings["spec-dirs"])
