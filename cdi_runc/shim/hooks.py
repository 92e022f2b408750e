"""Calls by systems that have hooks of their own: `cdi-runc --cdi-hook=SYSTEM:STAGE`. Knows which module is for whom."""

from cdi_runc.shim.cmdline import Call
from cdi_runc.shim.decision import decide, recorded
from cdi_runc.shim.errors import ShimError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cdi_runc.cdi.injection import Group
    from cdi_runc.host.known import Known
    from cdi_runc.shim.decision import Decision
    from cdi_runc.shim.launch import Launch
    from cdi_runc.shim.lxc.hook import Container
    from cdi_runc.shim.requests import Request

_LXC_STAGES = ("pre-start", "mount", "start-host", "post-stop")


def run(launch: "Launch", known: "Callable[[], Known]") -> int:
    """Do what the hook has to do; its exit status. `known` gives the settings and the devices of the host."""
    system, _, stage = launch.hook.partition(":")
    if system == "podman" and stage == "precreate":
        from cdi_runc.shim.podman import precreate

        return precreate(launch.environ, known)
    if system in ("lxc", "incus") and stage in _LXC_STAGES:
        from cdi_runc.shim.lxc import hook

        return hook.run(system, stage, launch.environ, lambda container, asked: _of_lxc(container, asked, known()))
    raise ShimError(
        f"--cdi-hook={launch.hook}: unknown hook; expected podman:precreate, or lxc: or incus: with one of"
        f" {', '.join(_LXC_STAGES)}"
    )


def _of_lxc(container: "Container", asked: str, known: "Known") -> "Sequence[Group]":
    """The edits for a value of CDI_DEVICES. What is decided is written down where the settings want that."""
    from cdi_runc.shim.lxc import hook

    def warn(line: str) -> None:
        container.tell("warning", line)

    requests: list[Request] = []
    config = hook.config_of(container.system, container.name)

    def decides() -> "Decision":
        requests.extend(hook.requests(asked))
        return decide(config, "create", known, requests, runtime=container.system)

    call = Call()
    call.command, call.container, call.config = "create", container.name, container.config_file
    decision = recorded(decides, call, config, known, container.system, warn, requests)
    for note in decision.notes:
        warn(note)
    return decision.groups
