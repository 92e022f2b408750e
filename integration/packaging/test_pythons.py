"""The shim on every Python from 3.10 to the newest that Debian sid has: its unit tests, and a container."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.bundles import PROBE, REQUEST, WITH, make_bundle, oci_config, report, static_busybox, widget_spec
from integration.engines.host import Host
from integration.packaging.conftest import ROOTS, TREE
from integration.packaging.pythons import Python, find_pythons
from integration.packaging.test_python import build_pyz

PREFIX = "/opt/cdi-runc"
PYTHONS = {f"python{'.'.join(map(str, python.version))}": python for python in find_pythons()}


@pytest.fixture(scope="module", params=PYTHONS)
def python(request: pytest.FixtureRequest) -> Python:
    return PYTHONS[request.param]


@pytest.fixture(scope="module")
def host(python: Python, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The machine of this Python, to be spoiled."""
    if os.geteuid() != 0 or static_busybox() is None:
        pytest.skip("a container needs root and busybox-static (make deps)")
    try:
        host = Host(python.lower, tmp_path_factory.mktemp("host"), TREE)
    except RuntimeError as error:
        pytest.skip(f"no machine to spoil can be made here: {error}")
    yield host
    host.close()


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_pyz(tmp_path_factory.mktemp("pyz"))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What cdi-runc depends on, for any Python."""
    directory = tmp_path_factory.mktemp("library")
    environ = {**os.environ, "PIP": str(Path(sys.executable).with_name("pip"))}
    subprocess.run([TREE / "packaging/vendor", directory], env=environ, check=True, timeout=300)
    return directory


def must(host: Host, *argv: str, env: dict[str, str] | None = None) -> str:
    done = host.run(*argv, timeout=300, env=env)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return done.stdout


def test_a_container_gets_its_device(python: Python, host: Host, pyz: Path) -> None:
    (host.shared / "widget").mkdir()
    host.write("/etc/cdi/widget.json", json.dumps(widget_spec(host.shared / "widget")))
    shutil.copy(pyz, host.shared / "cdi-runc.pyz")
    must(host, python.path, str(host.shared / "cdi-runc.pyz"), "install", env={"PREFIX": PREFIX})
    bundle = make_bundle(host.shared / "bundle", oci_config(["sh", "-c", PROBE], REQUEST))
    config = (bundle / "config.json").read_bytes()
    for number in range(2):  # the first container reads the spec files, the second one reads the snapshot
        (bundle / "config.json").write_bytes(config)
        assert report(must(host, f"{PREFIX}/bin/cdi-runc", "run", "--bundle", str(bundle), f"box-{number}")) == WITH
    frozen = f"frozen-{'.'.join(map(str, python.version))}.pyc"
    assert must(host, "find", PREFIX, "-name", "frozen-*.pyc").strip().endswith(frozen)
    assert "example.com/widget=one" in must(host, f"{PREFIX}/bin/cdictl", "devices")


def test_the_unit_tests_of_the_shim_pass(python: Python, host: Host, library: Path) -> None:
    """All but those that need hypothesis, which is made for one version of Python, those that call cdi-runc as it is
    installed, and those that ask who is root: this machine's first process is none of it.

    Neither the one that checks our own schema: jsonschema 4.17, the last one in Python alone, can't do that on 3.14.
    """
    tree = host.shared / "tree"
    shutil.copytree(library, tree)  # where packaging/install puts it too, and where `python3 -I` finds it
    for name in ("cdi_runc", "tests", "packaging"):
        shutil.copytree(TREE / name, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TREE / "conftest.py", tree)
    (tree / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\npythonpath = .\n")
    tests = [test for folder in ("host", "shim") for test in sorted(tree.glob(f"tests/{folder}/**/test_*.py"))]
    others = re.compile(r"hypothesis|LAUNCHER|make_launcher|executable\)\.parent|is_host_root\(")
    chosen = [str(test) for test in tests if not others.search(test.read_text())]
    command = [
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "pytest_timeout",
        "--timeout=60",
        "-k",
        "not schema_is_one",
    ]
    # pytest and what it needs is this Python's, and is for any Python.
    path = f"{tree}:{sysconfig.get_path('purelib')}"
    environ = {"PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    said = must(host, "env", "-C", str(tree), python.path, *command, *chosen, env=environ)
    assert re.search(r"\d\d+ passed", said), said


def test_the_newest_python_is_among_them() -> None:
    if not (ROOTS / "debian-sid").exists():
        pytest.skip(f"no debian-sid in {ROOTS} (make newest-pythons): today's newest Python is not tested")
    assert any(python.root == "debian-sid" for python in PYTHONS.values())
