"""The four hooks of LXC that give a container its devices, and what each of them does.

pre-start (the host's root, or the user): find out what the container asks for, and leave a plan. mount (the container's
root, in its namespaces): make nodes and mounts, run createContainer hooks. start-host (the host's root again): rights,
prestart, createRuntime and poststart hooks. post-stop: poststop hooks, clean up.
"""

import posix

from cdi_runc.cdi.edits import oci_device
from cdi_runc.cdi.errors import CDIError
from cdi_runc.host import places
from cdi_runc.host.errors import SettingsError
from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.lxc import lacking, oci_hooks, plan, record, rights, start_host, waiting
from cdi_runc.shim.outcome import outcome
from cdi_runc.shim.requests import requested

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from cdi_runc.cdi.injection import Group
    from cdi_runc.shim.requests import Request

    Resolve = Callable[["Container", str], Sequence[Group]]

VARIABLE = "CDI_DEVICES"

# Only the administrator writes a container's config, so the settings have no say in it.
_SOURCES = {"annotations": (), "mounts": None, "env": VARIABLE}

# Two of the annotations that the policy reads. To take them from there would load its code at every start.
_CONTAINER, _NAMESPACE = "io.kubernetes.cri.container-name", "io.kubernetes.cri.sandbox-namespace"


class Container:
    """The container that LXC calls a hook for: what the environment says of it. `system` is "lxc" or "incus"."""

    def __init__(self, system: str, environ: "Mapping[bytes, bytes]") -> None:
        def given(name: bytes) -> str:
            return environ.get(name, b"").decode("utf-8", "surrogateescape")

        self.name, self.config_file = given(b"LXC_NAME"), given(b"LXC_CONFIG_FILE")
        self.rootfs, self.pid = given(b"LXC_ROOTFS_MOUNT"), given(b"LXC_PID")
        self.system = system
        self.label = f"{system}/{self.name}"
        self.log = record.log_path(environ)
        if not self.name or not self.config_file.startswith("/"):
            raise ShimError("LXC calls this hook with LXC_NAME and LXC_CONFIG_FILE: it is not for people")

    def tell(self, level: str, message: str) -> None:
        """Log a line about the container."""
        record.write(self.log, self.label, level, message)


def run(system: str, stage: str, environ: "Mapping[bytes, bytes]", resolve: "Resolve") -> int:
    """Do what a stage has to do; the exit status for LXC. `resolve` gives the edits for a container's value of
    CDI_DEVICES."""
    container = Container(system, environ)
    bundle = plan.find_bundle(container.config_file)

    def work() -> None:
        if stage == "pre-start":
            _pre_start(container, resolve)
        elif stage == "mount":
            _mount(container, bundle)
        elif stage == "start-host" and bundle:
            start_host.run(container, bundle)
        elif stage == "post-stop" and bundle:
            _post_stop(container, bundle)

    return _status(container, stage, bundle, work)


def _status(container: Container, stage: str, bundle: str, work: "Callable[[], None]") -> int:
    """The exit status of a stage. What goes wrong is said where somebody can find it."""
    try:
        work()
    except (ShimError, SettingsError, CDIError, OSError) as fault:
        line = f"{stage}: {fault}"
        posix.write(2, f"cdi-runc: {line}\n".encode("utf-8", "backslashreplace"))
        if stage == "mount" and bundle:
            plan.say(bundle, line)  # the container's root can't write to the log; post-stop does it
        else:
            container.tell("error", line)
        return 0 if stage == "post-stop" else 1
    return 0


def requests(asked: str) -> "list[Request]":
    """The requests that a value of the variable holds. ShimError where one can't be the name of a device."""
    found = requested({"process": {"env": [f"{VARIABLE}={asked}"]}}, _SOURCES)
    for request in found:
        request.through = "hook"  # and no variable that an image could set
    return found


def config_of(system: str, name: str) -> "dict[str, Any]":
    """A config that tells the policy the container's names, as an engine's annotations do (shim/policy.py).

    Incus calls an instance `PROJECT_INSTANCE` for LXC, and in its project "default" only `INSTANCE`. Neither name may
    have an underscore (Incus, project names and instance names). The project is the namespace.
    """
    if system != "incus":
        return {"annotations": {_CONTAINER: name}}
    project, _, instance = name.rpartition("_")
    return {"annotations": {_CONTAINER: instance, _NAMESPACE: project or "default"}}


def names_in(asked: str) -> list[str]:
    """The names of the devices in a value of the variable. Raises ShimError likewise."""
    return [request.name for request in requests(asked)]


def _pre_start(container: Container, resolve: "Resolve") -> None:
    from cdi_runc.shim.lxc.config import LxcConfig  # which no later stage needs

    config = LxcConfig(container.config_file)
    asked = config.environment.get(VARIABLE, "")
    has_start_hook = lacking.START_HOOK in config.start_hooks
    if not asked:
        if has_start_hook:  # LXC would refuse to start, since the program is not there
            raise ShimError(
                f"no device is asked for, but the config still has lxc.hook.start = {lacking.START_HOOK}: remove the"
                f" line, or write {lacking.FILE} anew with cdictl render lxc --container {container.name}"
            )
        return
    container.tell("info", f"pre-start: {asked} is asked for")
    groups = resolve(container, asked)
    mapped = config.mapped or not places.is_host_root()
    made: dict[str, Any] = {"ociVersion": "1.0.2", "root": {"path": container.rootfs}}
    made = outcome(made, groups, lambda: False)  # nodes are bound here, where that is needed
    nodes = _nodes(made, groups, mapped)
    if VARIABLE in config.repeated:
        container.tell("warning", f"lxc.environment has {VARIABLE} more than once: the last one counts, {asked}")
    lines = lacking.lines(config, made, mapped)
    for line in lines:
        container.tell("warning", line)
    if any(line.startswith(lacking.LACKS) for line in lines):
        lacking.tell_remedy(container, config)
    bundle = plan.new_bundle(container.config_file, config.root if mapped else 0)
    # Where ids are mapped, LXC forbids no device; and a cgroup of version 2 takes no rule by then.
    given = rights.rules(made) if not mapped and rights.has_old_devices_cgroup() else []
    calls_hooks = not start_host.HOOKS.isdisjoint(made.get("hooks", {}))
    plan.write(bundle, {"nodes": nodes, "mapped": mapped, "start-hook": has_start_hook}, made, given, calls_hooks)
    if calls_hooks and places.is_host_root():
        waiting.leave(bundle, lambda pid: _start_host_later(container, bundle, pid))


def _nodes(config: "Mapping[str, Any]", groups: "Sequence[Group]", mapped: bool) -> "list[dict[str, Any]]":
    """The nodes with their paths on the host, which a container with mapped ids gets bound from there."""
    given = {node["path"]: node for _, edits in groups for node in edits.get("deviceNodes", ())}
    nodes = []
    for device in config.get("linux", {}).get("devices", ()):
        node = given[device["path"]]
        host_path = node.get("hostPath") or node["path"]
        if mapped:
            oci_device({"path": host_path})  # must be there
        nodes.append({**device, "hostPath": host_path})
    return nodes


def _mount(container: Container, bundle: str) -> None:
    if not bundle:
        raise ShimError(
            f"{VARIABLE} is set, and the pre-start hook did not find it in {container.config_file}:"
            " put lxc.environment into that file, or into one that it includes by name"
        )
    from cdi_runc.shim.lxc.rootfs import Rootfs

    work, config = plan.read(bundle), plan.read_config(bundle)
    rootfs = Rootfs(container.rootfs, work["mapped"])
    for node in work["nodes"]:
        rootfs.add_node(node)
    for mount in config.get("mounts", ()):
        rootfs.add_mount(mount)
    hooks = config.get("hooks", {})
    oci_hooks.run(
        "createContainer", hooks.get("createContainer", ()), oci_hooks.state(container.name, "creating", 1, bundle)
    )
    if "startContainer" in hooks or work["start-hook"]:
        state = oci_hooks.state(container.name, "created", 1, bundle)
        rootfs.add_program(lacking.START_HOOK, oci_hooks.script(hooks.get("startContainer", ()), state))


def _start_host_later(container: Container, bundle: str, pid: str) -> int:
    """The exit status of start-host, in the process that pre-start has left."""
    container.pid = pid
    try:
        return _status(container, "start-host", bundle, lambda: start_host.run(container, bundle))
    except Exception as fault:  # as main.py does it
        container.tell("error", f"start-host: internal error, please report it: {type(fault).__name__}: {fault}")
        return 1


def _post_stop(container: Container, bundle: str) -> None:
    for line in plan.said(bundle):
        container.tell("error", line)
    try:
        hooks = plan.read_config(bundle).get("hooks", {}).get("poststop", ())
        oci_hooks.run("poststop", hooks, oci_hooks.state(container.name, "stopped", 0, bundle))
    finally:
        plan.remove(bundle)
