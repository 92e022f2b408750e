from __future__ import annotations

import os
from pathlib import Path

import pytest

from cdi_runc.inventory.topology import Place, place
from cdi_runc.inventory.tree import Tree

NODES = {"null": "1:3", "zero": "1:5", "full": "1:7"}  # real nodes, whose hardware the sysfs of the test makes up
A = "devices/pci0000:3a/0000:3a:00.0/0000:3b:00.0"
B = "devices/pci0000:d7/0000:d7:00.0/0000:d8:00.0"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    sys = tmp_path / "sys"
    for device, numa in ((A, "0"), (B, "1")):
        (sys / device / "char/x").mkdir(parents=True)
        (sys / device / "numa_node").write_text(f"{numa}\n")
    for directory in ("dev/char", "class/net/eth7", "kernel/iommu_groups/9/devices", "devices/virtual/full"):
        (sys / directory).mkdir(parents=True)
    (sys / "dev/char" / NODES["null"]).symlink_to(sys / A / "char/x")
    (sys / "dev/char" / NODES["zero"]).symlink_to(sys / B / "char/x")
    (sys / "dev/char" / NODES["full"]).symlink_to(sys / "devices/virtual/full")
    (sys / "class/net/eth7/device").symlink_to(sys / B)
    (sys / "kernel/iommu_groups/9/devices/0000:3b:00.0").symlink_to(sys / A)
    return Tree("/", str(sys))


@pytest.mark.parametrize(
    ("nodes", "interfaces", "expected"),
    [
        (["/dev/null"], [], Place((0,), "0000:3b:00.0", "pci0000:3a")),
        (["/dev/zero"], [], Place((1,), "0000:d8:00.0", "pci0000:d7")),
        (["/dev/null", "/dev/zero"], [], Place((0, 1), "", "")),  # two of them are at no one address
        (["/dev/null", "/dev/full"], [], Place((0,), "0000:3b:00.0", "pci0000:3a")),  # one is nowhere
        (["/dev/full", "/dev/none"], [], Place()),
        (["/dev/vfio/9"], [], Place((0,), "0000:3b:00.0", "pci0000:3a")),
        (["/dev/vfio/8"], [], Place()),
        ([], ["eth7"], Place((1,), "0000:d8:00.0", "pci0000:d7")),
        ([], ["none0"], Place()),
    ],
)
def test_place(nodes: list[str], interfaces: list[str], expected: Place, tree: Tree) -> None:
    assert place(nodes, interfaces, tree) == expected


def test_a_node_that_the_kernel_does_not_know_is_none(tree: Tree) -> None:
    Path(tree.sys, A, "numa_node").write_text("-1\n")
    assert place(["/dev/null"], [], tree).numa == ()


def test_a_node_elsewhere_is_where_its_link_leads(tree: Tree) -> None:
    assert os.path.exists("/dev/null")
    assert place(["/dev/null"], [], Tree("/nowhere", tree.sys)) == Place()
