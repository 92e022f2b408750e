"""What the integration tests share: the runtimes, bare and through the shim, and the widget that bundles ask for."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from integration.bundles import PROBE, REQUEST, make_bundle, oci_config, static_busybox, widget_spec
from integration.packaging.image import make_image_archive

BIN = Path(sys.executable).parent

# crun refuses a host whose cgroup v1 controllers stand beside an (empty) v2 hierarchy, as they do without systemd.
# It is told of no v2 hierarchy in a mount namespace of its own; --cgroup-manager=disabled is refused as well.
OUT_OF_HYBRID = ("unshare", "--mount", "sh", "-c", 'umount /sys/fs/cgroup/unified && exec "$@"', "sh")


@dataclass(frozen=True)
class Runtime:
    """A real runtime with a state directory of its own, to be called as it is or through the shim."""

    name: str
    path: str
    root: Path
    settings: Path
    into: Sequence[str]

    def bare(self, *args: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """Calls the runtime itself."""
        return self._call([self.path, f"--root={self.root}", *args], cwd)

    def shim(self, *args: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """Calls the runtime through the shim, by the name that the shim has for it."""
        shim = [str(BIN / f"cdi-{self.name}"), f"--cdi-runtime={self.path}", f"--cdi-config={self.settings}"]
        return self._call([*shim, f"--root={self.root}", *args], cwd)

    def containers(self) -> list[str]:
        """Names of the containers that the runtime knows of."""
        return sorted(entry.name for entry in self.root.iterdir()) if self.root.exists() else []

    def _call(self, command: list[str], cwd: Path | None) -> "subprocess.CompletedProcess[str]":
        # Standard input is a pipe: a runtime gives it to the container's root, and the host's /dev/null stays root's.
        # What the call says goes to files: a container that stays keeps a pipe open, and whoever reads it would wait.
        said = [self.root.with_name(f"{self.root.name}.{stream}") for stream in ("out", "err")]
        with said[0].open("w") as out, said[1].open("w") as err:
            done = subprocess.run([*self.into, *command], cwd=cwd, input=b"", stdout=out, stderr=err, timeout=60)
        return subprocess.CompletedProcess(command, done.returncode, *(stream.read_text() for stream in said))


@pytest.fixture
def spec_dir(tmp_path: Path) -> Path:
    """A directory with the spec of the widget, whose mount and whose hook's output are in tmp_path/widget."""
    state, directory = tmp_path / "widget", tmp_path / "cdi"
    state.mkdir()
    directory.mkdir()
    (directory / "widget.json").write_text(json.dumps(widget_spec(state)))
    return directory


@pytest.fixture
def settings(tmp_path: Path, spec_dir: Path) -> Path:
    """The settings file that points cdi-runc to `spec_dir` and to nothing of the host's."""
    path = tmp_path / "settings.yaml"
    path.write_text(json.dumps({"spec-dirs": [str(spec_dir)]}))
    return path


@pytest.fixture(params=["runc", "crun"])
def runtime(request: pytest.FixtureRequest, tmp_path: Path, settings: Path) -> Iterator[Runtime]:
    """Each of the real runtimes in turn; what a test leaves running ends with it."""
    path = shutil.which(request.param)
    if path is None:
        pytest.skip(f"{request.param} is not installed (make deps)")
    if os.geteuid() != 0:
        pytest.skip("a container with a device node needs root")
    if static_busybox() is None:
        pytest.skip("busybox-static is not installed (make deps)")
    hybrid = request.param == "crun" and os.path.ismount("/sys/fs/cgroup/unified")
    runtime = Runtime(request.param, path, tmp_path / "root", settings, OUT_OF_HYBRID if hybrid else ())
    yield runtime
    for name in runtime.containers():
        runtime.bare("delete", "--force", name)


@pytest.fixture
def bundle(tmp_path: Path) -> Callable[..., Path]:
    """Makes a bundle that runs `args`, by default the probe, and asks for the widget or for what `annotations` say."""

    def make(args: Sequence[str] = ("sh", "-c", PROBE), annotations: Mapping[str, str] = REQUEST) -> Path:
        return make_bundle(tmp_path / "bundle", oci_config(args, annotations))

    return make


@pytest.fixture(scope="session")
def image_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image that installs cdi-runc on its host, for the tests of hosts and of clusters."""
    return make_image_archive(tmp_path_factory.mktemp("image"))


@dataclass(frozen=True)
class Stub:
    """The shim over a stand-in that only writes down its arguments: where config.json is the question."""

    directory: Path
    settings: Path

    def command(self, *args: str) -> list[str]:
        """The words that call the shim."""
        shim = [str(BIN / "cdi-runc"), f"--cdi-runtime={self.directory / 'runtime'}", f"--cdi-config={self.settings}"]
        return [*shim, *args]

    def create(self, bundle: Path, into: Sequence[str] = ()) -> "subprocess.CompletedProcess[str]":
        """Calls `create` for a bundle; `into` is a command that the call is an argument of."""
        command = [*into, *self.command("create", "--bundle", str(bundle), "box")]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)

    def arguments(self) -> list[str] | None:
        """What the stand-in was called with, or None."""
        written = self.directory / "arguments"
        return written.read_text().splitlines() if written.exists() else None


@pytest.fixture
def stub(tmp_path: Path, settings: Path) -> Stub:
    """A stand-in for the runtime."""
    directory = tmp_path / "stub"
    directory.mkdir()
    runtime = directory / "runtime"
    runtime.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > '{directory}/arguments'\n")
    runtime.chmod(0o755)
    return Stub(directory, settings)
