"""A throw-away container of Incus."""

from __future__ import annotations

import json
import os
import tarfile
import tempfile

from cdi_runc.engines.ask import ask
from cdi_runc.engines.engine import Found
from cdi_runc.engines.trials import lxc
from cdi_runc.engines.trials.container import Container


def load_image(found: Found, archive: str, image: str) -> None:
    """`incus image import`, of an archive with a root file system and the metadata that Incus needs."""
    with tempfile.TemporaryDirectory(prefix="cdi-runc-") as folder:
        lxc.unpack(archive, os.path.join(folder, "rootfs"))
        with open(os.path.join(folder, "metadata.yaml"), "w", encoding="utf-8") as file:
            file.write(f"architecture: {os.uname().machine}\ncreation_date: 1\n")
        whole = os.path.join(folder, "image.tar")
        with tarfile.open(whole, "w") as tar:
            for name in ("metadata.yaml", "rootfs"):
                tar.add(os.path.join(folder, name), name)
        ask([found.binary, "image", "import", whole, "--alias", _alias(image)])


def start(found: Found, container: Container) -> int:
    """A container of the default profile."""
    options = [f"--config=environment.{name}={value}" for name, value in {"PATH": "/bin", **container.env}.items()]
    ask([found.binary, "create", _alias(container.image), container.name, *options])
    with tempfile.NamedTemporaryFile("w", prefix="cdi-runc-") as file:
        file.write(lxc.init_of(container))
        file.flush()
        ask([found.binary, "file", "push", "--mode", "0755", file.name, f"{container.name}/sbin/init"])
    ask([found.binary, "start", container.name])
    return int(json.loads(ask([found.binary, "query", f"/1.0/instances/{container.name}/state"]))["pid"])


def clean(found: Found, container: Container, image: bool) -> None:
    """`incus delete --force`, `incus image delete`."""
    ask([found.binary, "delete", "--force", container.name])
    if image:
        ask([found.binary, "image", "delete", _alias(container.image)])


def _alias(image: str) -> str:
    """A name of Incus's for an image."""
    return image.rpartition("/")[2].replace(":", "-")
