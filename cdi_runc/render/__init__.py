"""Devices written for systems that run no OCI bundle or have no cdi-runc: one module for each target.

Each module turns `Edits` into the words or the text that its system reads, and says what is lost. It imports only
`cdi_runc.cdi` and starts no program. Of the host it reads only the device nodes, the types of the mounted files, and
the groups.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from cdi_runc.render.edits import Edits, edits_of
from cdi_runc.render.result import Lost, Rendered, RenderError

__all__ = ["TARGETS", "Edits", "Lost", "RenderError", "Rendered", "edits_of", "target"]

# Where each target is: a module, or another function than `render` in a module.
_PLACES = {
    "lxc": "lxc",
    "lxc-beside-hook": "lxc:beside_hook",
    "incus": "incus",
    "nspawn": "nspawn",
    "nspawn-file": "nspawn:file",
    "systemd": "systemd",
    "bwrap": "bwrap",
    "docker": "docker",
    "compose": "compose",
    "podman": "podman",
    "quadlet": "quadlet",
    "kubernetes": "kubernetes",
    "apptainer": "apptainer",
    "nomad": "nomad",
    "oci": "oci",
}
TARGETS = tuple(name for name in _PLACES if name not in ("lxc-beside-hook", "nspawn-file"))


def target(name: str) -> Callable[..., Rendered]:
    """The function that renders for a target: TARGETS, and the further forms nspawn-file and lxc-beside-hook.

    Those of podman and quadlet also take `hooks_dir`, the directory in which the caller will put the files that the
    result names.
    """
    module, _, function = _PLACES[name].partition(":")
    found: Callable[..., Rendered] = getattr(importlib.import_module(f"cdi_runc.render.{module}"), function or "render")
    return found
