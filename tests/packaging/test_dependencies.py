"""Every way to install cdi-runc brings what pyproject.toml says that it needs."""

import re
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]


def needed() -> dict[str, str]:
    """What pyproject.toml asks for: the least version, by name."""
    text = (TREE / "pyproject.toml").read_text()
    block = text.partition("\ndependencies = [")[2].partition("]")[0]
    return dict(re.findall(r'"([A-Za-z.-]+)>=([0-9.]+)"', block))


# It is compiled, and what is installed without it reads /proc itself.
OPTIONAL = "psutil"


def test_there_are_some() -> None:
    assert "click" in needed()


@pytest.mark.parametrize(("name", "version"), needed().items())
def test_the_debian_package_depends_on_it(name: str, version: str) -> None:
    package = "python3-yaml" if name == "PyYAML" else f"python3-{name}"
    field = "Recommends" if name == OPTIONAL else "Depends"
    fields = re.findall(rf"(?m)^{field}: .*", (TREE / "packaging/deb/control").read_text())
    assert f" {package} (>= {version})" in fields[0]


@pytest.mark.parametrize("name", sorted(needed().keys() - {OPTIONAL}))
def test_the_archive_brings_it(name: str) -> None:
    brought = (TREE / "packaging/vendored.txt").read_text()
    assert re.search(rf"(?m)^{name.lower().replace('.', '[._]')}==", brought)


@pytest.mark.parametrize("name", sorted(needed().keys() - {OPTIONAL}))
def test_make_install_looks_for_it(name: str) -> None:
    modules = re.search(r"for module in (.*); do", (TREE / "packaging/install").read_text())
    assert modules
    assert (name if name != "PyYAML" else "yaml") in modules[1].split()


def test_the_least_python_is_the_same_everywhere() -> None:
    assert 'requires-python = ">=3.10"' in (TREE / "pyproject.toml").read_text()
    assert "Depends: python3 (>= 3.10)," in (TREE / "packaging/deb/control").read_text()
    assert "sys.version_info < (3, 10)" in (TREE / "packaging/install").read_text()
