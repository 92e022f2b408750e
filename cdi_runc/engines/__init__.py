"""How each container engine registers an OCI runtime, one module for each engine.

Nothing here knows what the runtime does: to these modules `cdi-runc` is a path with a name. Each engine module says
what the engine's own files must contain (`plan`) and what the engine reads from them (`runtimes`). Writing, undoing and
recovery are the same for all engines, in `registration` and `journal`.
"""

from __future__ import annotations

import importlib

from cdi_runc.engines.engine import Engine

# Where each engine is: a module, or a value in one. They are imported when asked for, which keeps cdictl quick.
_PLACES = {
    "docker": "docker",
    "podman": "podman",
    "podman-hooks": "podman_hooks",
    "containerd": "containerd",
    "crio": "crio",
    "nerdctl": "nerdctl",
    "k3s": "rancher:K3S",
    "rke2": "rancher:RKE2",
    "lxc": "lxc:LXC",
    "incus": "lxc:INCUS",
    "nomad": "nomad",
}
NAMES = tuple(_PLACES)

# These run no OCI runtime: they call us as a hook. A hook can give a container no variables. There is one way to ask.
WITH_HOOKS = ("lxc", "incus")
PLUGINS = {"nomad": "cdi-nomad"}  # what these run is a command of ours that offers devices
WITHOUT_RUNTIME = (*WITH_HOOKS, "podman-hooks", *PLUGINS)
HOOKS_REQUESTS: dict[str, object] = {"annotations": [], "mounts": None, "env": "CDI_DEVICES"}


def engine(name: str) -> Engine:
    """The engine of that name, one of NAMES; raises KeyError otherwise."""
    module, _, value = _PLACES[name].partition(":")
    found: Engine = importlib.import_module(f"cdi_runc.engines.{module}")
    return getattr(found, value) if value else found
