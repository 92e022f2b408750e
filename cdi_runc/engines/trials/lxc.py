"""A throw-away container of LXC: a directory for its root file system, and a config that names it."""

from __future__ import annotations

import os
import shutil
import tarfile

from cdi_runc.engines.ask import ask
from cdi_runc.engines.engine import EngineError, Found
from cdi_runc.engines.lxc import lxcpath
from cdi_runc.engines.trials.container import Container


def load_image(found: Found, archive: str, image: str) -> None:
    """Unpack a docker-archive's layer."""
    unpack(archive, _rootfs(image))


def unpack(archive: str, rootfs: str) -> None:
    """Make a root file system of the image that image.py makes: one layer, which is ours."""
    os.makedirs(rootfs)
    with tarfile.open(archive) as outer, tarfile.open(fileobj=outer.extractfile("layer.tar")) as layer:
        layer.extractall(rootfs)
    for name in ("dev", "proc", "sys", "tmp", "sbin", "etc"):
        os.makedirs(os.path.join(rootfs, name), exist_ok=True)


def init_of(container: Container) -> str:
    """The trial's script, as a program that is the container's init."""
    return f"#!/bin/sh\n{container.command[-1]}\n"


def start(found: Found, container: Container) -> int:
    """A container without a network."""
    home, rootfs = os.path.join(lxcpath(), container.name), _rootfs(container.image)
    if not os.path.isdir(rootfs):
        raise EngineError(f"{rootfs} is not a directory: --image takes the root file system of a container")
    os.makedirs(home)
    with open(os.path.join(rootfs, "sbin/init"), "w", encoding="utf-8") as file:
        file.write(init_of(container))
    os.chmod(os.path.join(rootfs, "sbin/init"), 0o755)
    lines = [f"lxc.include = {found.config}", f"lxc.rootfs.path = dir:{rootfs}", f"lxc.uts.name = {container.name}"]
    lines += ["lxc.net.0.type = empty", "lxc.environment = PATH=/bin"]
    lines += [f"lxc.environment = {name}={value}" for name, value in container.env.items()]
    with open(os.path.join(home, "config"), "w", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))
    ask([found.binary, "--name", container.name, "--logfile", os.path.join(home, "log")])
    return int(ask([_beside(found, "lxc-info"), "--name", container.name, "--pid", "--no-humanize"]))


def clean(found: Found, container: Container, image: bool) -> None:
    """`lxc-stop`, and the directories."""
    home = os.path.join(lxcpath(), container.name)
    try:
        if os.path.isdir(home):
            ask([_beside(found, "lxc-stop"), "--kill", "--name", container.name])
    except EngineError:
        pass  # it did not run
    shutil.rmtree(home, ignore_errors=True)
    if image:
        shutil.rmtree(_rootfs(container.image), ignore_errors=True)


def _rootfs(image: str) -> str:
    """The directory that is an image for LXC: one that the user named, or ours."""
    return image if image.startswith("/") else os.path.join(lxcpath(), f".{image.rpartition('/')[2].replace(':', '-')}")


def _beside(found: Found, name: str) -> str:
    return os.path.join(os.path.dirname(found.binary), name)
