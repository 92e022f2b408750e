"""What LXC's hooks can't give a container, and its config therefore has to have.

Hooks are not the container's process, and LXC has read the config by the time it calls the first of them.
"""

from cdi_runc.shim.lxc import rights

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from cdi_runc.shim.lxc.config import LxcConfig
    from cdi_runc.shim.lxc.hook import Container

# What is beside a container's config, for this purpose; `cdictl render lxc --container` writes it.
FILE = "cdi.conf"

# `lxc.hook.start` has to name it, since LXC runs no other program in the container before its init.
START_HOOK = "/dev/.cdi-start"

LACKS = "the config lacks, as cdictl render lxc --beside-hook would write it:"


def lines(config: "LxcConfig", made: "Mapping[str, Any]", mapped: bool) -> list[str]:
    """What the devices need, no hook can give, and the container's config does not have.

    made: an OCI config with the devices' edits. A line begins with LACKS if the config can have it.
    """
    process, linux = made.get("process", {}), made.get("linux", {})
    found = []
    for entry in process.get("env", ()):
        name, _, value = entry.partition("=")
        if config.environment.get(name) != value:
            found.append(f"{LACKS} lxc.environment = {entry}")
    gids = [str(gid) for gid in process.get("user", {}).get("additionalGids", ()) if str(gid) not in config.groups]
    if gids and mapped:
        found.append(f"LXC sets no groups where ids are mapped: {','.join(gids)}")
    elif gids:
        found.append(f"{LACKS} lxc.init.groups = {','.join(gids)}")
    missing = [interface for interface in linux.get("netDevices", {}) if interface not in config.interfaces]
    found += [f"{LACKS} lxc.net.N.link = {interface}" for interface in missing]
    if not mapped and not rights.has_old_devices_cgroup():
        found += [
            f"{LACKS} lxc.cgroup2.devices.allow = {rule}" for rule in rights.rules(made) if rule not in config.rights
        ]
    if "startContainer" in made.get("hooks", {}) and START_HOOK not in config.start_hooks:
        found.append(f"{LACKS} lxc.hook.start = {START_HOOK}")
    if "intelRdt" in linux:
        found.append("LXC has no intelRdt")
    return found


def tell_remedy(container: "Container", config: "LxcConfig") -> None:
    """How a config gets what it lacks: by a file beside it, which only LXC's containers have."""
    home = container.config_file.removesuffix("/config")
    if container.system != "lxc" or not home.endswith(f"/{container.name}"):
        return
    if is_included(config, home):
        container.tell(
            "warning",
            f"{home}/{FILE} is not as the specs are now: cdictl render lxc --container {container.name} renews it",
        )
    else:
        container.tell(
            "warning", f"put this line into {container.config_file}, so that it has what it lacks: lxc.include = {home}"
        )


def is_included(config: "LxcConfig", home: str) -> bool:
    """Whether a container's config, in the directory `home`, includes what is kept beside it for that purpose."""
    return not config.includes.isdisjoint((home, f"{home}/{FILE}"))
