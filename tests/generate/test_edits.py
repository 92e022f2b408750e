from pathlib import Path
from typing import Any

import pytest

from cdi_runc.generate.collection import recipes
from cdi_runc.generate.edits import default_interfaces, union
from cdi_runc.generate.specs import generated
from cdi_runc.generate.tree import Tree
from tests.generate.fixture_trees import grow

ZERO = "0" * 32


def spec_of(root: Path, recipe: str) -> Any:
    """The spec of a recipe given as text."""
    grow(root, [f"/etc/cdi-runc/recipes.d/mine.yaml = {recipe}"])
    tree = Tree(str(root))
    found = recipes(tree)
    assert found.faults == {}
    [made] = generated([found.known["mine"]], tree)
    return made.spec, [str(note) for note in made.notes]


def test_the_default_routes_of_both_families_are_known(tmp_path: Path) -> None:
    root = grow(
        tmp_path,
        [
            "/proc/net/route = Iface\tDestination\\neth0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\\n"
            "eth1\t0002A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF",
            f"/proc/net/ipv6_route = {ZERO} 00 {ZERO} 00 fe80 0400 01 00 03 eth2\\n"
            f"fd00 40 {ZERO} 00 {ZERO} 0 0 0 1 eth3",
        ],
    )
    assert default_interfaces(Tree(str(root))) == {"eth0", "eth2"}


def test_what_a_default_route_is_made_of_stays_too(tmp_path: Path) -> None:
    root = grow(
        tmp_path,
        [
            "/proc/net/route = Iface\tDestination\\nbr0.7\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000080",
            f"/proc/net/ipv6_route = 20{'0' * 30} 03 {ZERO} 00 fe80 0400 01 00 03 wg0",
            "/sys/class/net/br0.7/lower_br0/x = 1",
            "/sys/class/net/br0/lower_bond0/x = 1",
            "/sys/class/net/bond0/lower_eth0/x = 1",
            "/sys/class/net/bond0/lower_eth1/x = 1",
            "/sys/class/net/eth1/lower_bond0/x = 1",
        ],
    )
    assert default_interfaces(Tree(str(root))) == {"br0.7", "br0", "bond0", "eth0", "eth1", "wg0"}


def test_a_hook_is_left_out_where_its_program_is_missing(tmp_path: Path) -> None:
    recipe = (
        "recipe: 1\\nkind: v.com/x\\nmatch: {path: /dev/x}\\nnames: [x]\\nnodes: [/dev/x]\\nhooks:\\n"
        "  - {hookName: createRuntime, path: /usr/bin/there, args: [there, -v]}\\n"
        "  - {hookName: createRuntime, path: /usr/bin/none}"
    )
    spec, notes = spec_of(grow(tmp_path, ["/dev/x", "/usr/bin/there"]), recipe)
    assert spec["devices"][0]["containerEdits"]["hooks"] == [
        {"hookName": "createRuntime", "path": "/usr/bin/there", "args": ["there", "-v"]}
    ]
    assert notes == ["mine: x: the hook /usr/bin/none is not installed, so it is left out"]


def test_mounts_and_variables_of_things_that_are_missing_are_left_out(tmp_path: Path) -> None:
    recipe = (
        "recipe: 1\\nkind: v.com/x\\nmatch: {path: /dev/x}\\nvalues: {v: {read: /etc/v}}\\nnames: [x]\\n"
        "nodes: [{path: /dev/x, permissions: rw}]\\n"
        'mounts: ["/usr/share/{v}/a", /etc/there, /etc/none]\\nenv: ["V={v}", A=1]'
    )
    spec, _ = spec_of(grow(tmp_path, ["/dev/x", "/etc/there"]), recipe)
    edits = spec["devices"][0]["containerEdits"]
    assert edits["env"] == ["A=1"]
    assert [mount["hostPath"] for mount in edits["mounts"]] == ["/etc/there"]
    assert edits["deviceNodes"] == [{"path": "/dev/x", "permissions": "rw"}]


@pytest.mark.parametrize(
    ("several", "together"),
    [
        ([{"env": ["A=1"]}, {"env": ["A=1", "B=2"]}], {"env": ["A=1", "B=2"]}),
        ([{"env": ["A=1"]}, {"env": ["A=2"]}], {"env": ["A=1,2"]}),
        ([{"additionalGids": [1]}, {"additionalGids": [2, 1]}], {"additionalGids": [1, 2]}),
        (
            [{"deviceNodes": [{"path": "/a", "hostPath": "/b"}]}, {"deviceNodes": [{"path": "/a", "hostPath": "/c"}]}],
            {"deviceNodes": [{"path": "/a", "hostPath": "/b"}]},
        ),
    ],
)
def test_several_devices_together(several: list[dict[str, Any]], together: dict[str, Any]) -> None:
    assert union(several) == together
