"""Whether the devices of a spec would work on this host, now: nodes, mount sources and hooks that must be there."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from typing import Any

from cdi_runc import InjectionError
from cdi_runc.cdi.edits import oci_device
from cdi_runc.cdi.versions import Path
from cdi_runc.ctl.specs.check.finding import Check, Remark, each_edit
from cdi_runc.shim.dropped import dropped, features_of


def no_such_node(spec: Any) -> Iterator[Remark]:
    """A node without numbers in the spec must be there. A node with numbers is useless without a device."""
    for path, node in each_edit(spec, "deviceNodes"):
        host_path = node.get("hostPath") or node["path"]
        try:
            given = oci_device(node)
            found = os.lstat(host_path)
        except InjectionError as fault:
            yield path, _link(host_path) or str(fault)
        except OSError as fault:
            yield path, f"host device {host_path!r}: {fault.strerror}"
        except ValueError:
            yield path, f"host device {host_path!r} cannot be the name of a file"
        else:
            wrong = _other_device(given, found)
            if wrong:
                yield path, f"host device {host_path!r} is {wrong}, which is not what the spec says"


def no_such_mount_source(spec: Any) -> Iterator[Remark]:
    """What is mounted from the host must be there, or the container does not start."""
    for path, mount in each_edit(spec, "mounts"):
        binds = mount.get("type", "bind") in ("", "bind", "none")
        if binds and not os.path.exists(mount["hostPath"]):
            yield (*path, "hostPath"), f"{mount['hostPath']} is not there on this host"


def no_such_hook(spec: Any) -> Iterator[Remark]:
    """A hook must be a program that can be executed, or the container does not start."""
    for path, hook in each_edit(spec, "hooks"):
        program = hook["path"]
        if program.startswith("/") and not (os.path.isfile(program) and os.access(program, os.X_OK)):
            why = "is not there on this host" if not os.path.exists(program) else "can't be executed"
            yield (*path, "path"), f"{program} {why}"


def no_such_interface(spec: Any) -> Iterator[Remark]:
    """A network interface that is to be moved into the container must be there."""
    for path, device in each_edit(spec, "netDevices"):
        name = device["hostInterfaceName"]
        if "/" in name or not os.path.exists(f"/sys/class/net/{name}"):
            yield (*path, "hostInterfaceName"), f"there is no network interface {name} on this host"


def dropped_by_the_runtime(spec: Any) -> Iterator[Remark]:
    """The runtime that comes first of runc, crun and youki starts the container, but leaves these edits out.

    It says itself what it can do (`runc features`). A newer one may do it."""
    runtime = next(filter(None, map(shutil.which, ("runc", "crun", "youki"))), None)
    for kind in ("netDevices", "intelRdt") if runtime else ():
        for path, edits in _edits_of(spec):
            if edits.get(kind):
                for line in dropped([{kind: edits[kind]}], {}, lambda: features_of(str(runtime))):  # type: ignore[misc]
                    yield (*path, kind), f"{runtime}: {line}"


# What the host itself must have; why a container is refused, or starts and then fails.
THERE: tuple[Check, ...] = (no_such_node, no_such_mount_source, no_such_hook, no_such_interface)
HOST: tuple[Check, ...] = (*THERE, dropped_by_the_runtime)


def _edits_of(spec: Any) -> Iterator[tuple[Path, Any]]:
    """All container edits of a spec, and where they are."""
    yield ("containerEdits",), spec.get("containerEdits", {})
    for place, device in enumerate(spec["devices"]):
        yield ("devices", place, "containerEdits"), device.get("containerEdits", {})


def _link(path: str) -> str:
    """What is said of a path that is a symbolic link; '' for any other."""
    if not os.path.islink(path):
        return ""
    target = os.path.realpath(path)
    advice = f"name {target} in its place" if os.path.exists(target) else "which is not there"
    return f"host device {path!r} is a symbolic link to {target}, and runtimes follow no links: {advice}"


def _other_device(given: Any, found: os.stat_result) -> str:
    """What the host has instead of the device that a node's type and numbers say; '' where it has that one."""
    kind = {stat.S_IFBLK: "b", stat.S_IFCHR: "c", stat.S_IFIFO: "p"}.get(stat.S_IFMT(found.st_mode))
    if kind is None:
        return "no device"
    wanted = "c" if given["type"] == "u" else given["type"]
    if kind != wanted:
        return f"of type {kind} and not {wanted}"
    numbers = os.major(found.st_rdev), os.minor(found.st_rdev)
    if kind != "p" and numbers != (given["major"], given["minor"]):
        return f"{numbers[0]}:{numbers[1]} and not {given['major']}:{given['minor']}"
    return ""
