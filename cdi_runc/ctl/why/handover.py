"""Which runtime cdi-runc hands over to, found by the shim's own code."""

import os
from collections.abc import Mapping
from typing import Any

from cdi_runc.shim import runtime
from cdi_runc.shim.errors import RuntimeMissing


def runtime_behind(name: str, settings: Mapping[str, Any]) -> str:
    """The path of the runtime that `cdi-NAME` becomes. Raises RuntimeMissing."""
    wanted = settings["runtimes"].get(name, name)
    try:
        return runtime.find(wanted, os.devnull, os.environb)
    except OSError as fault:  # it may be asked for its version, to detect a wrapper that calls cdi-runc again
        raise RuntimeMissing(f"the runtime {wanted} can't be executed: {fault.strerror}") from None
