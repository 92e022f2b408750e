"""What the tests of the shim share: bundles, and launchers whose decision can be seen."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from cdi_runc.shim.lxc import plan, record

LIB = Path(__file__).parents[2]
START = LIB / "cdi_runc" / "shim" / "start"

SHELLS = {"dash": [], "bash": ["--posix"], "busybox": ["sh"]}

REQUEST = {"cdi.k8s.io/test": "vendor.com/gpu=0"}


@dataclass(frozen=True)
class Launcher:
    """launcher.sh in a directory of its own, with a stub for Python: what it says tells where the launcher went."""

    directory: Path
    shell: Sequence[str]

    def decide(self, args: Sequence[str], name: str = "runc", env: Mapping[str, str] | None = None) -> str:
        """`python`, or the path of the runtime that was executed; run in the directory."""
        done = subprocess.run(
            [*self.shell, str(self.directory / f"cdi-{name}"), *args],
            cwd=self.directory,
            env={"PATH": f"{self.directory}/bin:/usr/bin:/bin", "HOME": str(self.directory), **(env or {})},
            capture_output=True,
            text=True,
            timeout=20,
        )
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout.removesuffix("\n")


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def bundle(path: Path, **config: object) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps({"ociVersion": "1.0.2", **config}))
    return path


def make_launcher(directory: Path, shell: Sequence[str]) -> Launcher:
    python = executable(directory / "python", "#!/bin/sh\necho python\n")
    executable(directory / "lib" / "cdi_runc" / "shim" / "start" / "boot.py", "")
    text = (START / "launcher.sh").read_text()
    for variable, path in (("python", python), ("full", python), ("lib", directory / "lib")):
        text = text.replace(f"_cdi_{variable}=''", f"_cdi_{variable}='{path}'", 1)
    text = text.replace("/etc/cdi-runc/config.yaml", f"{directory}/etc/config.yaml")
    for name in ("runc", "crun", "youki"):
        executable(directory / f"cdi-{name}", text)
        executable(directory / "bin" / name, '#!/bin/sh\necho "$0"\n')
    bundle(directory / "asks", annotations=REQUEST)
    bundle(directory / "plain", process={"args": ["sh", "-c", "a && b"]})
    return Launcher(directory, shell)


def shell(name: str) -> list[str]:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (make deps)")
    return [path, *SHELLS[name]]


@pytest.fixture(params=SHELLS)
def launcher(request: pytest.FixtureRequest, tmp_path: Path) -> Launcher:
    return make_launcher(tmp_path, shell(request.param))


@pytest.fixture
def lxc_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which the hooks of LXC keep what they keep of the host's root."""
    monkeypatch.setattr(plan, "ROOTS", str(tmp_path / "roots"))
    monkeypatch.setattr(record, "SYSTEM_LOG", str(tmp_path / "lxc.log"))
    monkeypatch.setattr("cdi_runc.host.places.is_host_root", lambda: True)
    return tmp_path
