"""The four hooks of LXC that give a container its devices, and what each of them does.

pre-start (the host's root, or the user): find out what the container asks for, and leave a plan. mount (the container's
root, in its namespaces): make nodes and mounts, run createContainer hooks. start-host (the host's root again): rights,
prestart, createRuntime and poststart hooks. post-stop: poststop hooks, clean up.
"""

import posix
import time

from cdi_runc.cdi.edits import oci_device
from cdi_runc.cdi.errors import CDIError
from cdi_runc.host import places
from cdi_runc.host.errors import SettingsError
from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.lxc import oci_hooks, plan, record
from cdi_runc.shim.outcome import outcome
from cdi_runc.shim.requests import requested

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from cdi_runc.cdi.injection import Group
    from cdi_runc.shim.lxc.config import LxcConfig
    from cdi_runc.shim.requests import Request

    Resolve = Callable[["Container", str], Sequence[Group]]

VARIABLE = "CDI_DEVICES"

# Only the administrator writes a container's config, so the settings have no say in it.
_SOURCES = {"annotations": (), "mounts": None, "env": VARIABLE}

# Two of the annotations that the policy reads. To take them from there would load its code at every start.
_CONTAINER, _NAMESPACE = "io.kubernetes.cri.container-name", "io.kubernetes.cri.sandbox-namespace"

# `lxc.hook.start` has to name it, since LXC runs no other program in the container before its init.
START_HOOK = "/dev/.cdi-start"

# What is beside a container's config, with what hooks can't give; `cdictl render lxc --container` writes it.
BESIDE = "cdi.conf"

# What hooks can't give: they are not the container's process, and LXC has read its config by then.
LACKS = "the config lacks, as cdictl render lxc --beside-hook would write it:"

_ON_HOST = {"prestart", "createRuntime", "poststart"}  # OCI's hooks that start-host runs

_PATIENCE = 30  # seconds that a poststart hook waits for the container's init


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
    try:
        if stage == "pre-start":
            _pre_start(container, resolve)
        elif stage == "mount":
            _mount(container, bundle)
        elif stage == "start-host" and bundle:
            _start_host(container, bundle)
        elif stage == "post-stop" and bundle:
            _post_stop(container, bundle)
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
    has_start_hook = START_HOOK in config.start_hooks
    if not asked:
        if has_start_hook:  # LXC would refuse to start, since the program is not there
            raise ShimError(
                f"no device is asked for, but the config still has lxc.hook.start = {START_HOOK}: remove the line, or"
                f" write {BESIDE} anew with cdictl render lxc --container {container.name}"
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
    lines = lacking(config, made, mapped)
    for line in lines:
        container.tell("warning", line)
    if any(line.startswith(LACKS) for line in lines):
        _tell_remedy(container, config)
    bundle = plan.new_bundle(container.config_file, config.root if mapped else 0)
    # Where ids are mapped, LXC forbids no device; and a cgroup of version 2 takes no rule by then.
    rights = _rules(made) if not mapped and has_old_devices_cgroup() else []
    calls_hooks = not _ON_HOST.isdisjoint(made.get("hooks", {}))
    plan.write(bundle, {"nodes": nodes, "mapped": mapped, "start-hook": has_start_hook}, made, rights, calls_hooks)


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


def lacking(config: "LxcConfig", made: "Mapping[str, Any]", mapped: bool) -> list[str]:
    """What the devices need, no hook can give, and the container's config does not have.

    made: an OCI config with the devices' edits. A line begins with LACKS if the config can have it.
    """
    process, linux = made.get("process", {}), made.get("linux", {})
    lines = []
    for entry in process.get("env", ()):
        name, _, value = entry.partition("=")
        if config.environment.get(name) != value:
            lines.append(f"{LACKS} lxc.environment = {entry}")
    gids = [str(gid) for gid in process.get("user", {}).get("additionalGids", ()) if str(gid) not in config.groups]
    if gids and mapped:
        lines.append(f"LXC sets no groups where ids are mapped: {','.join(gids)}")
    elif gids:
        lines.append(f"{LACKS} lxc.init.groups = {','.join(gids)}")
    missing = [interface for interface in linux.get("netDevices", {}) if interface not in config.interfaces]
    lines += [f"{LACKS} lxc.net.N.link = {interface}" for interface in missing]
    if not mapped and not has_old_devices_cgroup():
        lines += [f"{LACKS} lxc.cgroup2.devices.allow = {rule}" for rule in _rules(made) if rule not in config.rights]
    if "startContainer" in made.get("hooks", {}) and START_HOOK not in config.start_hooks:
        lines.append(f"{LACKS} lxc.hook.start = {START_HOOK}")
    if "intelRdt" in linux:
        lines.append("LXC has no intelRdt")
    return lines


def _tell_remedy(container: Container, config: "LxcConfig") -> None:
    """How a config gets what it lacks: by a file beside it, which only LXC's containers have."""
    home = container.config_file.removesuffix("/config")
    if container.system != "lxc" or not home.endswith(f"/{container.name}"):
        return
    if included_beside(config, home):
        container.tell(
            "warning",
            f"{home}/{BESIDE} is not as the specs are now: cdictl render lxc --container {container.name} renews it",
        )
    else:
        container.tell(
            "warning", f"put this line into {container.config_file}, so that it has what it lacks: lxc.include = {home}"
        )


def included_beside(config: "LxcConfig", home: str) -> bool:
    """Whether a container's config, in the directory `home`, includes what is kept beside it for that purpose."""
    return not config.includes.isdisjoint((home, f"{home}/{BESIDE}"))


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
        rootfs.add_program(START_HOOK, oci_hooks.script(hooks.get("startContainer", ()), state))


def _start_host(container: Container, bundle: str) -> None:
    work, config = plan.read(bundle), plan.read_config(bundle)
    _allow(container, _rules(config), work["mapped"])
    config["root"]["path"] = f"/proc/{container.pid}/root"
    plan.write_config(bundle, config)
    hooks, pid = config.get("hooks", {}), int(container.pid)
    for stage in ("prestart", "createRuntime"):
        oci_hooks.run(stage, hooks.get(stage, ()), oci_hooks.state(container.name, "created", pid, bundle))
    if hooks.get("poststart"):
        _run_later(container, pid, hooks["poststart"], oci_hooks.state(container.name, "running", pid, bundle))


def _post_stop(container: Container, bundle: str) -> None:
    for line in plan.said(bundle):
        container.tell("error", line)
    try:
        hooks = plan.read_config(bundle).get("hooks", {}).get("poststop", ())
        oci_hooks.run("poststop", hooks, oci_hooks.state(container.name, "stopped", 0, bundle))
    finally:
        plan.remove(bundle)


def _rules(config: "Mapping[str, Any]") -> list[str]:
    rules = config.get("linux", {}).get("resources", {}).get("devices", ())
    return [f"{rule['type']} {rule['major']}:{rule['minor']} {rule['access']}" for rule in rules if rule.get("access")]


def has_old_devices_cgroup() -> bool:
    """Whether this host's rights for devices are in a cgroup of version 1, where start-host can still give them."""
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        return any("devices" in line.split(":")[1].split(",") for line in file)


def _allow(container: Container, rules: "Sequence[str]", mapped: bool) -> None:
    """Open the device cgroup, of version 1; of version 2 it is too late, and pre-start has told so."""
    with open(f"/proc/{container.pid}/cgroup", encoding="utf-8") as file:
        lines = [line.rstrip("\n").split(":", 2) for line in file]
    for path in [path for _, controllers, path in lines if "devices" in controllers.split(",")]:
        for rule in rules:
            try:
                descriptor = posix.open(f"/sys/fs/cgroup/devices{path}/devices.allow", posix.O_WRONLY)
                posix.write(descriptor, rule.encode())
                posix.close(descriptor)
            except OSError as error:
                if not mapped:  # where ids are mapped, LXC forbids no device
                    raise ShimError(f"the right to use {rule}: {error.strerror}") from None


def _run_later(container: Container, pid: int, hooks: "Sequence[dict[str, Any]]", state: str) -> None:
    """Run poststart hooks once the container's init runs, in a process that LXC does not wait for."""
    ours = posix.readlink(f"/proc/{pid}/exe")
    if posix.fork():
        return
    try:
        posix.setsid()
        null = posix.open("/dev/null", posix.O_RDWR)
        for descriptor in (0, 1, 2):
            posix.dup2(null, descriptor)
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
