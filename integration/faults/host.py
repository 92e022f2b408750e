"""A host to be spoilt: a copy of the library with its launcher, a spec, a bundle, and a stand-in for the runtime."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from integration.bundles import oci_config

TREE = Path(__file__).parents[2]
DEVICE = "vendor.com/gpu=0"
STATE = Path("/run/cdi-runc")  # a tmpfs of the run's own, see __main__.py
ENVIRON = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}


def spec(number: int = 0) -> str:
    """A spec whose device has an edit of each kind; the number is in its variable."""
    edits = {
        "env": [f"NUMBER={number}"],
        "deviceNodes": [{"path": "/dev/vendor0", "hostPath": "/dev/null"}],
        "mounts": [{"hostPath": "/usr", "containerPath": "/opt/vendor", "options": ["ro", "bind"]}],
        "hooks": [{"hookName": "createRuntime", "path": "/bin/true"}],
        "additionalGids": [4711],
    }
    return json.dumps(
        {"cdiVersion": "0.7.0", "kind": "vendor.com/gpu", "devices": [{"name": "0", "containerEdits": edits}]}
    )


@dataclass(frozen=True)
class Host:
    """The places of one host below `root`."""

    root: Path

    @property
    def launcher(self) -> Path:
        return self.root / "bin/cdi-runc"

    @property
    def specs(self) -> Path:
        return self.root / "etc/cdi"

    @property
    def config(self) -> Path:
        return self.root / "etc/config.yaml"

    @property
    def policy(self) -> Path:
        return self.root / "etc/policy.yaml"

    @property
    def frozen(self) -> Path:
        """The one file of frozen code."""
        [found] = self.root.glob("lib/cdi_runc/shim/start/__pycache__/frozen-*.pyc")
        return found

    def create(self, bundle: Path) -> list[str]:
        """The command that creates the bundle's container."""
        shim = [str(self.launcher), f"--cdi-runtime={self.root}/bin/runc", f"--cdi-config={self.config}"]
        return [*shim, "create", "--bundle", str(bundle), bundle.name]

    def started(self, bundle: Path) -> bool:
        """Whether the runtime was started for the bundle; forgets it."""
        try:
            (self.root / "started" / bundle.name).unlink()
        except FileNotFoundError:
            return False
        return True

    def call(self, bundle: Path) -> "subprocess.CompletedProcess[str]":
        """A create without any fault."""
        return subprocess.run(
            self.create(bundle), env=ENVIRON, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
        )

    def bundle(self) -> tuple[Path, bytes]:
        """A new bundle that asks for the device, and its config.json."""
        path = Path(tempfile.mkdtemp(dir=self.root / "bundles"))
        text = json.dumps(oci_config(["sh"], {"cdi.k8s.io/test": DEVICE})).encode()
        (path / "config.json").write_bytes(text)
        return path, text

    def is_runtime(self, words: Sequence[bytes]) -> bool:
        """Whether a process of this command line is the runtime."""
        return f"{self.root}/bin/runc".encode() in words[:2]


def make_host(root: Path) -> Host:
    """A new host. Its code is frozen as an installation's is."""
    host = Host(root)
    for directory in (root / "bin", host.specs, root / "started", root / "bundles"):
        directory.mkdir(parents=True)
    shutil.copytree(TREE / "cdi_runc", root / "lib/cdi_runc", ignore=shutil.ignore_patterns("__pycache__"))
    text = (TREE / "cdi_runc/shim/start/launcher.sh").read_text()
    hot, full = Path(sys.executable).resolve(), Path(sys.executable)
    for variable, path in {"python": hot, "full": full, "lib": root / "lib"}.items():
        text = text.replace(f"_cdi_{variable}=''", f"_cdi_{variable}='{path}'", 1)
    _executable(host.launcher, text)
    _executable(root / "bin/runc", f'#!/bin/sh\nfor id; do :; done\n: > "{root}/started/$id"\n')
    (host.specs / "vendor.json").write_text(spec())
    host.config.write_text(f"spec-dirs: [{host.specs}]\n")
    freeze(host)
    return host


def freeze(host: Host) -> None:
    """Make the frozen code anew."""
    code = f"import sys; sys.path.insert(0, {str(host.root / 'lib')!r}); from cdi_runc.shim.start.freeze import freeze"
    subprocess.run([sys.executable, "-I", "-c", f"{code}; freeze(checked=False)"], check=True, timeout=120)


def _executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def names_in(directory: Path) -> list[str]:
    """The sorted names in a directory, none where there is no directory."""
    return sorted(os.listdir(directory)) if directory.is_dir() else []
