"""Calls by systems that have hooks of their own: `cdi-runc --cdi-hook=SYSTEM:STAGE`. Knows which module is for whom."""

from cdi_runc.shim.decision import decide
from cdi_runc.shim.errors import ShimError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cdi_runc.host.known import Known
    from cdi_runc.shim.launch import Launch

_LXC_STAGES = ("pre-start", "mount", "start-host", "post-stop")


def run(launch: "Launch", known: "Callable[[], Known]") -> int:
    """Do what the hook has to do; its exit status. `known` gives the settings and the devices of the host."""
    system, _, stage = launch.hook.partition(":")
    if system == "podman" and stage == "precreate":
        from cdi_runc.shim.podman import precreate

        return precreate(launch.environ, known)
    if system in ("lxc", "incus") and stage in _LXC_STAGES:
        from cdi_runc.shim.lxc import hook

        return hook.run(
            system, stage, launch.environ, lambda asked: decide({}, "create", known(), hook.requests(asked)).groups
        )
    raise ShimError(
        f"--cdi-hook={launch.hook}: unknown hook; expected podman:precreate, or lxc: or incus: with one of"
        f" {', '.join(_LXC_STAGES)}"
    )
