"""What start-host has to do in Python: the hooks that run on the host once the container's namespaces are there."""

import posix
import time

from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.lxc import oci_hooks, plan, rights, waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from cdi_runc.shim.lxc.hook import Container

HOOKS = {"prestart", "createRuntime", "poststart"}  # OCI's names for them

_PATIENCE = 30  # seconds that a poststart hook waits for the container's init


def run(container: "Container", bundle: str) -> None:
    """Give rights, let hooks find the root file system, and run them. ShimError where one fails."""
    work, config = plan.read(bundle), plan.read_config(bundle)
    rights.allow(container.pid, rights.rules(config), work["mapped"])
    config["root"]["path"] = f"/proc/{container.pid}/root"
    plan.write_config(bundle, config)
    hooks, pid = config.get("hooks", {}), int(container.pid)
    for stage in ("prestart", "createRuntime"):
        oci_hooks.run(stage, hooks.get(stage, ()), oci_hooks.state(container.name, "created", pid, bundle))
    if hooks.get("poststart"):
        _run_later(container, pid, hooks["poststart"], oci_hooks.state(container.name, "running", pid, bundle))


def _run_later(container: "Container", pid: int, hooks: "Sequence[dict[str, Any]]", state: str) -> None:
    """Run poststart hooks once the container's init runs, in a process that LXC does not wait for."""
    ours = posix.readlink(f"/proc/{pid}/exe")
    if posix.fork():
        return
    try:
        waiting.detach()
        deadline = time.monotonic() + _PATIENCE
        while posix.readlink(f"/proc/{pid}/exe") == ours:
            if time.monotonic() > deadline:
                raise ShimError(f"the container's init did not start within {_PATIENCE} s")
            time.sleep(0.01)
        oci_hooks.run("poststart", hooks, state)
    except (ShimError, OSError) as fault:
        container.tell("error", f"poststart: {fault}")
    finally:
        posix._exit(0)
