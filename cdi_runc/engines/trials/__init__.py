"""`cdictl engine test`: a throw-away container, one module for each engine whose command can start one.

The engines of Kubernetes have no such module: they start containers for a kubelet only.
"""

from __future__ import annotations

import importlib

from cdi_runc.engines.engine import EngineError
from cdi_runc.engines.trials.container import Trials

_ENGINES = {name: name for name in ("docker", "podman", "containerd", "nerdctl", "lxc", "incus")}
_ENGINES["podman-hooks"] = "podman"


def trials(name: str) -> Trials:
    """How that engine starts a throw-away container; raises EngineError if it can't."""
    if name not in _ENGINES:
        raise EngineError(
            f"{name} starts containers for a kubelet only: start a pod with the RuntimeClass instead of this test"
        )
    module: Trials = importlib.import_module(f"cdi_runc.engines.trials.{_ENGINES[name]}")
    return module
