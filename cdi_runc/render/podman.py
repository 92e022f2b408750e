"""Podman: arguments of `podman run` and `podman create`, and a directory of hooks for `--hooks-dir`."""

from __future__ import annotations

import json

from cdi_runc.render.docker import LACKS, PROPAGATIONS, devices, pipes
from cdi_runc.render.edits import Edits, Mount
from cdi_runc.render.quoting import csv
from cdi_runc.render.result import Lost, Rendered, lacking, no_such_mount, without_options

_OPTIONS = ("ro", "nosuid", "nodev", "noexec", "bind", "rbind", *PROPAGATIONS)


def render(edits: Edits, hooks_dir: str | None = None) -> Rendered:
    """Arguments, which go before the image; the hooks are files for `hooks_dir`, and are lost without it."""
    lost = lacking_in_podman(edits, hooks_dir)
    arguments = ["--hooks-dir", hooks_dir] if hooks_dir and edits.hooks else []
    for node in devices(edits, lost, "--device"):
        arguments += ["--device", f"{node.host_path}:{node.path}:{node.access}"]
    for mount in [*edits.mounts, *pipes(edits)]:
        if mount.type == "bind":
            arguments += _bind(mount, lost)
        elif mount.type == "tmpfs" and ":" not in mount.target:
            arguments += ["--tmpfs", tmpfs(mount)]
        else:
            lost.append(no_such_mount(mount, "podman run"))
    for name, value in edits.env:
        arguments += ["--env", f"{name}={value}"]
    for gid in edits.gids:
        arguments += ["--group-add", str(gid)]
    whole = f"--annotation cdi.k8s.io/x={edits.asked} (with --runtime cdi-runc, or with the hook of cdictl engine)"
    return Rendered(arguments, lost=lost, whole=whole, files=hook_files(edits) if hooks_dir else {})


def lacking_in_podman(edits: Edits, hooks_dir: str | None) -> list[Lost]:
    """What no form of Podman's options can say."""
    reasons = {kind: reason.format("podman run") for kind, reason in LACKS.items()}
    if hooks_dir:
        del reasons["hooks"]
    else:
        reasons["hooks"] = "podman run has hooks only from a directory: cdictl render --hooks-dir DIR"
    return lacking(edits, reasons)


def hook_files(edits: Edits) -> dict[str, str]:
    """A file for each hook, by name. Podman runs the hooks of a stage in the order of the names (oci-hooks(5))."""
    return {
        f"50-cdi-{number:02}.json": json.dumps(
            {"version": "1.0.0", "hook": hook, "when": {"always": True}, "stages": [stage]}, indent=2
        )
        + "\n"
        for number, (stage, hook) in enumerate(edits.hooks)
    }


def bind_options(mount: Mount, lost: list[Lost]) -> list[str]:
    """The options of a bind mount that Podman knows."""
    without_options(mount, _OPTIONS, lost, "podman run has no such option")
    return [option for option in mount.options if option in _OPTIONS]


def tmpfs(mount: Mount) -> str:
    """The value of --tmpfs, and of quadlet's Tmpfs=."""
    return f"{mount.target}:{','.join(mount.options)}" if mount.options else mount.target


def _bind(mount: Mount, lost: list[Lost]) -> list[str]:
    options = bind_options(mount, lost)
    if ":" not in mount.source + mount.target:
        return ["--volume", ":".join([mount.source, mount.target, *([",".join(options)] if options else [])])]
    spread = [f"bind-propagation={option}" if option in PROPAGATIONS else option for option in options]
    fields = ["type=bind", f"src={mount.source}", f"dst={mount.target}", *spread]
    return ["--mount", ",".join(csv(field) for field in fields if field not in ("bind", "rbind"))]
