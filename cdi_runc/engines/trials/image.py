"""An image for a throw-away container: a static busybox and nothing else, as a docker-archive that every engine loads.

Knows no engine.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import shutil
import tarfile

from cdi_runc.engines.engine import EngineError

_APPLETS = ("sh", "sleep", "true")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def write_image(path: str, name: str) -> None:
    """Write the image `name` to a tar file at `path`; raises EngineError where there is no static busybox."""
    layer = _layer(_static_busybox())
    machine = platform.machine()
    config = {
        "architecture": _ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": {"Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as archive:
        _add(archive, "layer.tar", layer)
        _add(archive, "config.json", json.dumps(config).encode())
        _add(archive, "manifest.json", json.dumps(manifest).encode())


def _static_busybox() -> str:
    path = shutil.which("busybox")
    if path is None:
        raise EngineError("no busybox to make an image of: install busybox-static, or name an image with --image")
    with open(path, "rb") as file:
        head = file.read(4096)
    if b"/ld-linux" in head or b"/ld-musl" in head:  # the interpreter that a dynamic ELF file names at its start
        raise EngineError(f"{path} is not statically linked: install busybox-static, or name an image with --image")
    return path


def _layer(busybox: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer, open(busybox, "rb") as file:
        _add(layer, "bin/busybox", file.read(), mode=0o755)
        for applet in _APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            layer.addfile(link)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))
