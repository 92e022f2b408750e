"""Devices written out for systems that run no OCI bundle, or that are to do without cdi-runc; one module a target.

Each module turns `Edits` into the words or the text that its system reads, and says what is lost on the way. Imports
nothing of ours but `cdi_runc.cdi`, starts no program, and looks at no more of the host than its device nodes, the
kinds of the files that are mounted, and its groups.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from cdi_runc.render.edits import Edits, edits_of
from cdi_runc.render.result import Lost, Rendered, RenderError

__all__ = ["TARGETS", "Edits", "Lost", "RenderError", "Rendered", "edits_of", "target"]

# Where each target is: a module, or a function in one that is not called `render`.
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
