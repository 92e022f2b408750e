"""An image of busybox in the form that every engine can load: a Docker archive, made here, fetched from nowhere."""

import hashlib
import io
import json
import platform
import shutil
import tarfile
from pathlib import Path

from integration.bundles import make_rootfs

NAME = "probe:1"
# The name by which containerd, which adds no defaults to names, knows it after the import.
FULL_NAME = f"docker.io/library/{NAME}"


def make_image(directory: Path) -> Path:
    """Makes the archive in `directory` and gives its path; containers of the image sleep for an hour by default."""
    rootfs = make_rootfs(directory / "rootfs")
    layer = directory / "layer.tar"
    with tarfile.open(layer, "w") as tar:
        tar.add(rootfs, arcname=".")
    digest = hashlib.sha256(layer.read_bytes()).hexdigest()
    config = {
        "architecture": _architecture(),
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sleep", "3600"], "StopSignal": "SIGKILL"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created_by": "make_image"}],  # which Podman counts before it builds on the image
    }
    archive = directory / "image.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(layer, arcname="layer.tar")
        _add(tar, "config.json", config)
        _add(tar, "manifest.json", [{"Config": "config.json", "RepoTags": [NAME], "Layers": ["layer.tar"]}])
    layer.unlink()
    shutil.rmtree(rootfs)
    return archive


def _add(tar: tarfile.TarFile, name: str, content: object) -> None:
    text = json.dumps(content).encode()
    entry = tarfile.TarInfo(name)
    entry.size = len(text)
    tar.addfile(entry, io.BytesIO(text))


def _architecture() -> str:
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
