"""The image that installs cdi-runc on its host, made without a registry: from Debian 13 as debootstrap leaves it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from integration.packaging.conftest import ROOTS, TREE

IMAGE = "localhost/cdi-runc:0.1.0"


def make_image_archive(directory: Path) -> Path:
    """Makes the image's archive in an empty directory and gives its path; skips where that can't be done."""
    if os.geteuid() != 0 or not shutil.which("podman") or not (ROOTS / "debian-13").exists():
        pytest.skip("an image is made by root, with podman, from a Debian 13 (make engines clean-roots)")
    podman = f"podman --storage-driver=vfs --root={directory}/root --runroot={directory}/run --cgroup-manager=cgroupfs"
    environ = os.environ | {"PODMAN": podman, "PIP": str(Path(sys.executable).with_name("pip"))}
    script = f"""
    packaging/pyz/build dist
    tar -C {ROOTS}/debian-13 -c . | {podman} import --quiet - localhost/debian-13
    BUILDAH_ISOLATION=chroot packaging/image/build localhost/debian-13
    {podman} save --quiet --output {directory}/image.tar {IMAGE}
    rm -rf {directory}/root {directory}/run
    """
    done = subprocess.run(["sh", "-ec", script], cwd=TREE, env=environ, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return directory / "image.tar"
