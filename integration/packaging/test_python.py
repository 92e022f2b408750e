"""What goes without a package manager: the wheel, and the archive that installs itself."""

import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.bundles import WITH
from integration.packaging.conftest import TREE
from integration.packaging.machine import Machine


@pytest.fixture(scope="session")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_pyz(tmp_path_factory.mktemp("pyz"))


def build_pyz(directory: Path) -> Path:
    environ = {"PATH": "/usr/bin:/bin", "PIP": str(Path(sys.executable).with_name("pip"))}
    command = [TREE / "packaging/pyz/build", directory]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=300)
    return Path(done.stdout.strip())


def test_two_archives_are_the_same(tmp_path: Path, pyz: Path) -> None:
    assert build_pyz(tmp_path).read_bytes() == pyz.read_bytes()


@pytest.mark.parametrize("root", ["debian-12", "debian-13"])
@pytest.mark.parametrize("prefix", ["/usr/local", "/opt/cdi-runc"])
def test_the_archive_needs_nothing_but_python(
    machine_of: Callable[[str], Machine], root: str, prefix: str, pyz: Path
) -> None:
    machine = machine_of(root)
    machine.must("apt-get install --yes --no-install-recommends python3 runc busybox-static")
    machine.before = machine.files()
    archive = machine.host.path("/opt/cdi-runc.pyz")
    archive.write_bytes(pyz.read_bytes())
    machine.must(f"PREFIX={prefix} python3 /opt/cdi-runc.pyz install")
    assert machine.container(f"{prefix}/bin/cdi-runc") == WITH
    assert machine.problems(f"{prefix}/bin/cdictl") == []
    machine.must(f"PREFIX={prefix} python3 /opt/cdi-runc.pyz uninstall && rm /opt/cdi-runc.pyz")
    assert machine.changes() == set()


def test_a_wheel_brings_the_launcher(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, TREE],
        check=True,
        capture_output=True,
        timeout=300,
    )
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True, timeout=300)
    python = tmp_path / "venv/bin/python"
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", wheel], check=True, timeout=300)
    library = next(tmp_path.glob("venv/lib/python3*/site-packages"))
    (library / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    for name in ("cdi-runc", "cdi-crun", "cdi-youki"):
        assert subprocess.check_output([tmp_path / "venv/bin" / name, "--cdi-version"], timeout=300).startswith(
            b"cdi-runc "
        )
    assert list(library.glob("cdi_runc/shim/start/__pycache__/frozen-3.*.pyc"))
    assert b"DEVICE" in subprocess.check_output([tmp_path / "venv/bin/cdictl", "devices"], timeout=300)
