"""Specs written: what comes back is what was given, whole or not at all."""

from __future__ import annotations

import os
import pathlib
from typing import Any

import pytest

import cdi_runc as cdi
from cdi_runc.cdi import _yaml
from cdi_runc.cdi._fields import fields
from cdi_runc.cdi._python_loader import PythonLoader

# Texts that someone takes for something else, or that YAML or JSON must escape.
TEXTS = [
    *[
        "y",
        "No",
        "null",
        "~",
        "",
        " ",
        " a ",
        "010",
        "0o10",
        "1e3",
        "1_000",
        ".5_5",
        "-0",
        ".inf",
        "1:30",
        "2001-01-01",
    ],
    *[
        "<<",
        "=",
        "a: b",
        "a #b",
        "- a",
        "? a",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a",
        "{a",
        "[a",
        "'a'",
        '"a"',
        "a\\b",
        "|",
        ">",
    ],
    *[
        "a\n",
        "\na",
        "a\n\nb",
        "a\n b\n",
        "\t",
        "a\tb",
        "\r",
        "a\r\nb",
        "\x85",
        "a \u2028 b",
        "\xa0",
        "\ufeff",
        "\ufffe",
        "\x7f",
        "\x00",
    ],
    *[
        "é",
        "日本",
        "\U0001f600",
        "\U0010ffff",
        "/" * 300,
        "word " * 60,
        "---",
        "...",
        "--- a",
        "x?y",
        "a:",
        ":a",
        "#",
        "/:/b:",
    ],
]


def spec_of(*texts: str) -> Any:
    hook = {"hookName": "poststop", "path": "/h", "args": list(texts)}
    device = {"name": "a", "annotations": {text: text for text in texts}, "containerEdits": {"hooks": [hook]}}
    return {"cdiVersion": "1.1.0", "kind": "v.com/c", "devices": [device]}


@pytest.mark.parametrize("ending", [".yaml", ".json"])
@pytest.mark.parametrize("text", TEXTS)
def test_texts_come_back(tmp_path: pathlib.Path, text: str, ending: str) -> None:
    path = cdi.write_spec(spec_of(text), tmp_path / f"a{ending}")
    assert cdi.load_spec(path) == spec_of(text)
    by_python, faults = fields(_yaml.read(pathlib.Path(path).read_bytes().decode(), PythonLoader))
    assert (by_python, faults) == (spec_of(text), [])


@pytest.mark.parametrize("ending", [".yaml", ".json"])
def test_text_that_no_file_can_hold(tmp_path: pathlib.Path, ending: str) -> None:
    with pytest.raises(cdi.InvalidSpec, match=r"surrogate pair|is not allowed"):
        cdi.write_spec(spec_of("\ud800"), tmp_path / f"a{ending}")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("a.yaml", "a.yaml"),
        ("a.json", "a.json"),
        ("a", "a.yaml"),
        ("a.yml", "a.yml.yaml"),
        ("sub/dir/a", "sub/dir/a.yaml"),
    ],
)
def test_where_it_is_written(tmp_path: pathlib.Path, given: str, written: str) -> None:
    path = cdi.write_spec(spec_of(), tmp_path / given)
    assert path == str(tmp_path / written)
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]
    assert os.stat(path).st_mode & 0o777 == 0o644


def test_what_is_written(tmp_path: pathlib.Path) -> None:
    spec: Any = {
        "cdiVersion": "0.5.0",
        "kind": "v.com/c",
        "devices": [{"name": "0", "containerEdits": {"env": ["A=1"]}}],
    }
    path = cdi.write_spec(spec, tmp_path / "a")
    assert pathlib.Path(path).read_text() == (
        "---\ncdiVersion: 0.5.0\nkind: v.com/c\ndevices:\n- name: '0'\n  containerEdits:\n    env:\n    - A=1\n"
    )


def test_what_is_written_as_json(tmp_path: pathlib.Path) -> None:
    device: Any = {"name": "0", "containerEdits": {"env": ["A=é\x85"]}}
    spec: Any = {"cdiVersion": "0.5.0", "kind": "v.com/c", "devices": [device]}
    path = cdi.write_spec(spec, tmp_path / "a.json")
    assert pathlib.Path(path).read_text().splitlines()[:3] == ["{", '  "cdiVersion": "0.5.0",', '  "kind": "v.com/c",']
    assert '"A=é\\u0085"' in pathlib.Path(path).read_text()
    assert pathlib.Path(path).read_text().endswith("}\n")


def test_overwriting(tmp_path: pathlib.Path) -> None:
    path = cdi.write_spec(spec_of("a"), tmp_path / "a.yaml")
    with pytest.raises(FileExistsError):
        cdi.write_spec(spec_of("b"), path, overwrite=False)
    assert cdi.load_spec(path) == spec_of("a")
    cdi.write_spec(spec_of("b"), path)
    assert cdi.load_spec(path) == spec_of("b")
    cdi.write_spec(spec_of("c"), tmp_path / "b.yaml", overwrite=False)
    assert sorted(os.listdir(tmp_path)) == ["a.yaml", "b.yaml"]


def test_the_lowest_version(tmp_path: pathlib.Path) -> None:
    spec = spec_of("a")
    path = cdi.write_spec(spec, tmp_path / "a.yaml", lowest_version=True)
    assert cdi.load_spec(path)["cdiVersion"] == "0.6.0"
    assert spec["cdiVersion"] == "1.1.0"


def test_a_spec_that_could_not_be_read_is_not_written(tmp_path: pathlib.Path) -> None:
    with pytest.raises(cdi.InvalidSpec, match="devices: is missing"):
        cdi.write_spec({"cdiVersion": "1.1.0", "kind": "v.com/c"}, tmp_path / "a.yaml")  # type: ignore[typeddict-item]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("kind", "transient_id", "name"),
    [
        ("v.com/c", None, "v.com-c"),
        ("v.com/c.d", "id", "v.com-c.d_id"),
        ("v.com/c", "../a/b", "v.com-c_.._a_b"),
    ],
)
def test_spec_file_name(kind: str, transient_id: str | None, name: str) -> None:
    assert cdi.spec_file_name(kind, transient_id) == name


@pytest.mark.parametrize("kind", ["", "v.com", "../c", "v/../c"])
def test_spec_file_names_are_of_kinds(kind: str) -> None:
    with pytest.raises(cdi.InvalidName):
        cdi.spec_file_name(kind)


def test_a_spec_file_keeps_its_mode(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.yaml"
    cdi.write_spec(spec_of("a"), path)
    assert path.stat().st_mode & 0o777 == 0o644
    path.chmod(0o600)
    cdi.write_spec(spec_of("b"), path)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_spec_file_keeps_its_owner(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.yaml"
    cdi.write_spec(spec_of("a"), path)
    os.chown(path, 1000, 1000)
    cdi.write_spec(spec_of("b"), path)
    assert (path.stat().st_uid, path.stat().st_gid) == (1000, 1000)


def test_an_error_names_the_spec_file_and_not_the_temporary_one(tmp_path: pathlib.Path) -> None:
    path = cdi.write_spec(spec_of("a"), tmp_path / "a.yaml")
    with pytest.raises(FileExistsError) as caught:
        cdi.write_spec(spec_of("b"), path, overwrite=False)
    assert caught.value.filename == path
