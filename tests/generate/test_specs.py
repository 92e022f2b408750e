import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cdi_runc import minimum_required_version, parse_spec, validate_spec
from cdi_runc.ctl.specs.check.practice import PRACTICE
from cdi_runc.generate.collection import recipes, shipped
from cdi_runc.generate.specs import chosen, generated
from cdi_runc.generate.text import document
from cdi_runc.generate.tree import Tree
from tests.generate.fixture_trees import EVERYTHING, NAMES, TREES, expected_text, grow, made, plant

USB = "/sys/devices/pci0000:00/usb1/1-1"
PUBLISHED = Path(__file__).with_name("nvidia-desktop-575.paths")


def a_usb_device(port: str, number: int, *attributes: str) -> list[str]:
    """The lines of a USB device."""
    place = f"/sys/devices/pci0000:00/usb1/{port}"
    return [
        f"/sys/bus/usb/devices/{port} -> {place}",
        f"{place}/idVendor = 1234",
        f"{place}/idProduct = abcd",
        f"{place}/bDeviceClass = 00",
        f"{place}/dev = 189:{number}",
        f"{place}/uevent = DEVNAME=bus/usb/001/{number:03}",
        f"/dev/bus/usb/001/{number:03}",
        *(f"{place}/{attribute}" for attribute in attributes),
    ]


@pytest.fixture(scope="module", params=[*NAMES, EVERYTHING])
def planted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A tree's name, and the directory where its files are."""
    name: str = request.param
    return name, plant(tmp_path_factory.mktemp("root"), *(NAMES if name == EVERYTHING else [name]))


def specs(root: Path) -> list[Any]:
    return [one.spec for one in made(root) if one.spec]


def test_every_recipe_has_a_tree() -> None:
    assert sorted(path.stem for path in shipped()) == NAMES


def test_a_tree_gives_what_is_expected(planted: tuple[str, Path]) -> None:
    name, root = planted
    assert expected_text(root) == (TREES / f"{name}.yaml").read_text("utf-8")


def test_the_recipe_of_that_name_has_a_device(planted: tuple[str, Path]) -> None:
    name, root = planted
    devices = {each.recipe.name for one in made(root) for each in one.devices}
    assert devices >= ({*NAMES} if name == EVERYTHING else {name})


def test_every_spec_is_valid_and_has_no_warning(planted: tuple[str, Path]) -> None:
    for spec in specs(planted[1]):
        validate_spec(spec)
        assert [remark for check in PRACTICE for remark in check(spec)] == []
        assert spec["cdiVersion"] == minimum_required_version(spec)


def test_the_text_reads_as_the_spec_and_has_no_alias(planted: tuple[str, Path]) -> None:
    for spec in specs(planted[1]):
        text = document(spec)
        assert parse_spec(text) == spec
        assert yaml.safe_load(text) == spec
        assert "&" not in text
        assert all(f'name: "{device["name"]}"' in text for device in spec["devices"])


def test_nothing_that_changes_at_boot_is_written(planted: tuple[str, Path]) -> None:
    def keys(data: Any) -> Iterator[str]:
        if isinstance(data, dict):
            yield from data
        for inner in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
            yield from keys(inner)

    assert not {"major", "minor", "fileMode", "uid", "gid"} & set(keys(specs(planted[1])))


def test_nvidias_files_are_those_of_a_published_output(tmp_path: Path) -> None:
    """Every mount of a real output of nvidia-ctk has its counterpart."""
    [spec] = [spec for spec in specs(plant(tmp_path, "nvidia-gpu")) if spec["kind"] == "nvidia.com/gpu"]
    ours = {mount["hostPath"] for mount in spec["containerEdits"]["mounts"]}
    published = {line for line in PUBLISHED.read_text().splitlines() if not line.startswith("#")}
    assert published - ours == set()


def test_a_name_of_two_devices_is_nobodys(tmp_path: Path) -> None:
    lines = [*a_usb_device("1-1", 1, "serial = 1"), *a_usb_device("1-2", 2, "serial = 1")]
    [usb] = made(grow(tmp_path, lines), "usb")
    assert usb.spec
    assert [device["name"] for device in usb.spec["devices"]] == ["1-1", "1-2", "all"]
    assert [str(note) for note in usb.notes] == [
        "usb: 1234:abcd:1: 2 devices have this name, so none gets it: "
        "/sys/devices/pci0000:00/usb1/1-1 and /sys/devices/pci0000:00/usb1/1-2"
    ]


def test_one_device_has_no_all(tmp_path: Path) -> None:
    [usb] = made(grow(tmp_path, a_usb_device("1-1", 1)), "usb")
    assert usb.spec
    assert [device["name"] for device in usb.spec["devices"]] == ["1-1"]


def test_an_index_does_not_move_when_a_node_is_missing(tmp_path: Path) -> None:
    root = plant(tmp_path, "nvidia-gpu")
    (root / "dev/nvidia0").unlink()
    [nvidia] = made(root, "nvidia.com/gpu")
    assert nvidia.spec
    names = [device["name"] for device in nvidia.spec["devices"]]
    assert names == ["1", "GPU-5d9d9a4c-7f8c-4bd2-a1b1-d0a4b1d1c0de", "0000:41:00.0"]
    assert "nvidia-gpu: 0: no device: /dev/nvidia0 is not there" in map(str, nvidia.notes)


def test_a_link_out_of_the_root_is_said_and_not_followed(tmp_path: Path) -> None:
    outside = grow(tmp_path / "outside", a_usb_device("9-9", 9))
    link = f"/sys/bus/usb/devices/1-2 -> {outside}/sys/devices/pci0000:00/usb1/9-9"
    [usb] = made(grow(tmp_path / "root", [*a_usb_device("1-1", 1), link]), "usb")
    assert usb.spec
    assert [device["name"] for device in usb.spec["devices"]] == ["1-1"]
    assert [str(note) for note in usb.notes] == [
        "usb: 1-2: no device: /sys/bus/usb/devices/1-2 is a link that leads to nothing below the root"
    ]


def test_a_device_that_vanishes_meanwhile_is_none(tmp_path: Path) -> None:
    root = grow(tmp_path, a_usb_device("1-1", 1) + a_usb_device("1-2", 2))
    tree = Tree(str(root))
    assert len(tree.glob("/sys/bus/usb/devices/*/idVendor")) == 2
    shutil.rmtree(root / "sys/devices/pci0000:00/usb1/1-2")
    [usb] = generated([recipes(tree).known["usb"]], tree)
    assert usb.spec
    assert [device["name"] for device in usb.spec["devices"]] == ["1-1"]


def test_a_missing_node_that_all_need_leaves_none(tmp_path: Path) -> None:
    root = plant(tmp_path, "amd-gpu")
    (root / "dev/kfd").unlink()
    [amd] = made(root, "amd-gpu")
    assert amd.spec is None
    assert "amd-gpu: 0: no device: what all devices of this recipe need is missing: /dev/kfd is not there" in map(
        str, amd.notes
    )


@pytest.mark.parametrize(
    ("program", "words", "used"),
    [("", (), True), ("usr/bin/nvidia-ctk", (), False), ("usr/bin/nvidia-ctk", ("nvidia-gpu",), True)],
)
def test_a_vendors_generator_has_precedence_unless_the_recipe_is_named(
    tmp_path: Path, program: str, words: tuple[str, ...], used: bool
) -> None:
    root = plant(tmp_path, "nvidia-gpu")
    if program:
        grow(root, [program])
    assert ("nvidia.com/gpu" in [spec["kind"] for spec in (one.spec for one in made(root, *words)) if spec]) == used


def test_naming_a_recipe_takes_all_of_its_kind(tmp_path: Path) -> None:
    """They make one file, so a part of them would remove the devices of the others."""
    tree = Tree(str(plant(tmp_path, "nvidia-mig")))
    used, left = chosen(recipes(tree), ["nvidia-mig"], tree)
    assert [recipe.name for recipe in used] == ["nvidia-gpu", "nvidia-mig"]
    assert left == {}


def test_groups_of_nodes_that_only_they_may_use(tmp_path: Path) -> None:
    root = grow(tmp_path, a_usb_device("1-1", 1) + a_usb_device("1-2", 2))
    node, other = root / "dev/bus/usb/001/001", root / "dev/bus/usb/001/002"
    try:
        for path, mode in ((node, 0o660), (other, 0o666)):
            path.chmod(mode)
            __import__("os").chown(path, -1, 44)
    except PermissionError:
        pytest.skip("only root can give a file to a group")
    tree = Tree(str(root))
    found = {}
    for gids in (True, False):
        [usb] = generated([recipes(tree).known["usb"]], tree, gids=gids)
        assert usb.spec
        found[gids] = [device["containerEdits"].get("additionalGids") for device in usb.spec["devices"]]
        assert usb.spec["cdiVersion"] == ("0.7.0" if gids else "0.5.0")
    assert found == {True: [[44], None, [44]], False: [None, None, None]}
