from pathlib import Path

import pytest

from cdi_runc.generate.collection import ADMINISTRATORS_DIRECTORY, VENDORS_DIRECTORY, recipes, shipped
from cdi_runc.generate.tree import Tree
from tests.generate.test_recipe import GOOD


def put(root: Path, directory: str, name: str, text: str) -> None:
    path = root / directory.strip("/") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_host_without_its_own_has_ours(tmp_path: Path) -> None:
    assert len(recipes(Tree(str(tmp_path))).known) == len(shipped())


@pytest.mark.parametrize("directory", [VENDORS_DIRECTORY, ADMINISTRATORS_DIRECTORY])
def test_a_file_adds_one(tmp_path: Path, directory: str) -> None:
    put(tmp_path, directory, "mine.yaml", GOOD)
    assert recipes(Tree(str(tmp_path))).known["mine"].path == f"{tmp_path}{directory}/mine.yaml"


def test_the_same_name_replaces_and_the_administrator_has_the_last_word(tmp_path: Path) -> None:
    put(tmp_path, VENDORS_DIRECTORY, "kvm.yaml", GOOD.replace("v.com/x", "vendor.com/kvm"))
    assert recipes(Tree(str(tmp_path))).known["kvm"].kind == "vendor.com/kvm"
    put(tmp_path, ADMINISTRATORS_DIRECTORY, "kvm.yaml", GOOD.replace("v.com/x", "mine.com/kvm"))
    assert recipes(Tree(str(tmp_path))).known["kvm"].kind == "mine.com/kvm"


@pytest.mark.parametrize("text", ["", "\n", "# off, since we have no need of it\n"])
def test_an_empty_file_switches_one_off(tmp_path: Path, text: str) -> None:
    put(tmp_path, ADMINISTRATORS_DIRECTORY, "kvm.yaml", text)
    found = recipes(Tree(str(tmp_path)))
    assert "kvm" not in found.known
    assert found.off == {"kvm": f"{tmp_path}{ADMINISTRATORS_DIRECTORY}/kvm.yaml"}


@pytest.mark.parametrize(
    ("content", "message"),
    [(GOOD.replace("nodes", "node").encode(), ":6: node: is not a known key"), (b"\xff", "is not UTF-8")],
)
def test_a_broken_one_is_said_and_the_others_are_there(tmp_path: Path, content: bytes, message: str) -> None:
    put(tmp_path, ADMINISTRATORS_DIRECTORY, "kvm.yaml", "")
    (tmp_path / ADMINISTRATORS_DIRECTORY.strip("/") / "kvm.yaml").write_bytes(content)
    found = recipes(Tree(str(tmp_path)))
    assert message in found.faults["kvm"]
    assert "kvm" not in found.known
    assert "tun" in found.known
