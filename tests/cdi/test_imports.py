"""What the library costs those who import it: public names come one by one, and hot modules bring nothing along."""

from __future__ import annotations

import ast
import inspect
import pathlib
import subprocess
import sys

import pytest

import cdi_runc

ROOT = pathlib.Path(cdi_runc.__file__).parent.parent
HOT = ["", ".cdi", ".cdi.errors", ".cdi.names", ".cdi.annotations", ".cdi.edits", ".cdi.injection"]


def modules_after(code: str) -> set[str]:
    """What is loaded in a fresh interpreter, as the shim starts it, after the code has run."""
    path = [str(ROOT), *sys.path]
    script = f"import sys; before = set(sys.modules); sys.path = {path!r}\n{code}\nprint(*set(sys.modules) - before)"
    return set(subprocess.check_output([sys.executable, "-I", "-S", "-c", script], text=True, timeout=60).split())


@pytest.mark.parametrize("module", HOT)
def test_hot_modules_import_only_their_kind(module: str) -> None:
    assert modules_after(f"import cdi_runc{module}") <= {"posix", *(f"cdi_runc{each}" for each in HOT)}


def test_one_name_brings_only_its_own_modules() -> None:
    loaded = modules_after("from cdi_runc import parse_qualified_name as f; f('v.com/c=0')")
    assert not loaded & {"yaml", "jsonschema", "json", "cdi_runc.cdi.registry"}


def test_specs_are_read_without_jsonschema_until_they_are_checked() -> None:
    assert "jsonschema" not in modules_after("import cdi_runc; cdi_runc.Registry([])")


@pytest.mark.parametrize("name", cdi_runc.__all__)
def test_public_names_are_there_and_described(name: str) -> None:
    value = getattr(cdi_runc, name)
    assert name in dir(cdi_runc)
    if callable(value):
        assert inspect.getdoc(value)


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(pathlib.Path(cdi_runc.__file__).read_text())
    seen = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == set(cdi_runc.__all__)


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = cdi_runc.nothing
