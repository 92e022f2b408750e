"""Containers of this host and their bundles, found in the files of runtimes and engines, so that no engine has to run.

A runtime keeps its containers' state below its root directory, and each engine gives it another root. The engine may
still have the bundles of containers that were refused or have ended.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import click

from cdi_runc.engines.ask import ask, binary
from cdi_runc.engines.engine import EngineError

# Where runtimes keep their state: alone and for Podman, for containerd, k3s and CRI-O, for Docker, for plain users.
ROOTS = (
    "/run/runc",
    "/run/crun",
    "/run/youki",
    "/run/containerd/runc/*",
    "/run/docker/runtime-*/*",
    "/run/user/*/runc",
    "/run/user/*/crun",
)

# Where engines make bundles: containerd and k3s, Docker's own containerd, Podman, CRI-O, Podman's plain users. CRI-O
# keeps the config.json as it was before cdi-runc where Podman has its bundles, so its own place comes after that.
BUNDLES = (
    "/run/containerd/io.containerd.runtime.v2.task/*/{id}",
    "/run/k3s/containerd/io.containerd.runtime.v2.task/*/{id}",
    "/run/docker/containerd/daemon/io.containerd.runtime.v2.task/*/{id}",
    "/var/lib/containers/storage/*-containers/{id}/userdata",
    "/run/containers/storage/*-containers/{id}/userdata",
    "~/.local/share/containers/storage/*-containers/{id}/userdata",
)


@dataclass(frozen=True)
class Container:
    """`pid` is its first process, 0 where none is known to run."""

    id: str
    bundle: str
    pid: int = 0


def find(name: str) -> Container:
    """The container of that id, beginning of an id, or name in Docker or Podman; ClickException where none is found."""
    for id_of in (str, _id_of):  # engines are asked only if need be: a daemon may hang
        wanted = id_of(name)
        found = [container for container in _all(wanted + "*") if wanted and container.id.startswith(wanted)]
        exact = [container for container in found if container.id == wanted]
        if len(exact or found) > 1:
            raise click.ClickException(f"{name} is the beginning of {', '.join(each.id for each in found[:5])}")
        if found:
            return (exact or found)[0]
    raise click.ClickException(
        f"no container {name} found on this host. If its creation failed, the engine has already deleted its files; "
        "try: cdictl explain last, or cdictl explain device NAME"
    )


def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The ids that begin so, for the shell. No engine is asked, since a daemon may hang; so names are not there."""
    return sorted({container.id for container in _all("*") if container.id.startswith(incomplete)})


def newest() -> tuple[Container, float] | None:
    """The container whose config.json was written last, and when (seconds since 1970)."""
    found = []
    for container in _all("*"):
        try:
            found.append((os.stat(os.path.join(container.bundle, "config.json")).st_mtime, container.pid, container))
        except OSError:
            continue
    last = max(found, key=lambda each: each[:2], default=None)
    return (last[2], last[0]) if last else None


def everything() -> Iterable[Container]:
    """All containers of this host."""
    return _all("*")


def _all(id_pattern: str) -> Iterable[Container]:
    """Each container once, as its runtime knows it, if it does. Of those that run, also others than the pattern's."""
    return {container.id: container for container in (*left_bundles(id_pattern), *_with_state())}.values()


def left_bundles(id_pattern: str) -> Iterator[Container]:
    """Bundles where engines make them, even if their containers are gone."""
    for pattern in BUNDLES:
        for path in glob.glob(os.path.expanduser(pattern).format(id=id_pattern)):
            if os.path.exists(os.path.join(path, "config.json")):
                yield Container(os.path.basename(path.removesuffix("/userdata")), path)


def _with_state() -> Iterator[Container]:
    """The containers that a runtime knows: runc and youki write state.json, crun writes status."""
    for root in (path for pattern in ROOTS for path in glob.glob(pattern)):
        for path in glob.glob(f"{glob.escape(root)}/*/state.json") + glob.glob(f"{glob.escape(root)}/*/status"):
            try:
                with open(path, encoding="utf-8") as file:
                    state = json.load(file)
                labels = state.get("config", {}).get("labels") or []
                kept = (label.partition("=")[2] for label in labels if label.startswith("bundle="))
                bundle = state.get("bundle") or next(kept, "")
                pid = state.get("init_process_pid") or state.get("pid") or 0
            except (OSError, ValueError, AttributeError):
                continue  # gone in the meantime, or another program's
            yield Container(os.path.basename(os.path.dirname(path)), bundle, pid if _runs(pid) else 0)


def _runs(pid: int) -> bool:
    return bool(pid) and os.path.exists(f"/proc/{pid}")


def _id_of(name: str) -> str:
    """The id behind a container's name, '' where no engine knows it."""
    for engine in ("docker", "podman"):
        try:
            return ask([binary(engine, engine), "container", "inspect", "--format", "{{.Id}}", name], timeout=5).strip()
        except EngineError:
            continue  # not installed, not running, or another one's container
    return ""
