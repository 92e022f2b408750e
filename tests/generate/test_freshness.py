"""What happens to hosts: devices that come late, change their place or go, drivers that change. The spec follows."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cdi_runc.generate.changes import changes
from cdi_runc.generate.files import Step, old_spec, steps, take
from tests.generate.fixture_trees import grow, made, plant

NVIDIA = "0000:01:00.0"


def renumber(root: Path) -> None:
    """The other driver was loaded first, so the node has another number."""
    drm = next((root / "sys/devices").glob(f"*/0000:00:01.0/{NVIDIA}/drm"))
    (drm / "renderD129").rename(drm / "renderD200")
    (drm / "renderD200/uevent").write_text("DEVNAME=dri/renderD200\n")
    (root / "dev/dri/renderD129").rename(root / "dev/dri/renderD200")


def update_driver(root: Path) -> None:
    (root / "sys/module/nvidia/version").write_text("580.10\n")
    library = root / "usr/lib/x86_64-linux-gnu"
    (library / "libcuda.so.575.64.03").rename(library / "libcuda.so.580.10")
    (library / "libcuda.so.1").unlink()
    (library / "libcuda.so.1").symlink_to("libcuda.so.580.10")


def unplug(root: Path) -> None:
    (root / "dev/nvidia1").unlink()


def change_mig(root: Path) -> None:
    shutil.rmtree(root / "proc/driver/nvidia/capabilities/gpu0/mig/gi2/ci1")
    grow(root, ["/proc/driver/nvidia/capabilities/gpu0/mig/gi1/ci1/access = 1"])
    minors = root / "proc/driver/nvidia-caps/mig-minors"
    minors.write_text(minors.read_text() + "gpu0/gi1/ci1/access 14\n")
    grow(root, ["/dev/nvidia-caps/nvidia-cap14"])


def plan(root: Path, directory: Path) -> list[Step]:
    return [step for step in steps(made(root), str(directory), []) if step.action != "equal"]


def told(step: Step) -> list[str]:
    from cdi_runc import parse_spec

    return changes(old_spec(step), parse_spec(step.new) if step.new else None)


@pytest.mark.parametrize(
    ("tree", "happen", "kind", "lines"),
    [
        ("nvidia-gpu", renumber, "nvidia.com/gpu", {"0: - /dev/dri/renderD129", "0: + /dev/dri/renderD200"}),
        (
            "nvidia-gpu",
            update_driver,
            "nvidia.com/gpu",
            {
                "all devices: - /usr/lib64/libcuda.so.1 from /usr/lib/x86_64-linux-gnu/libcuda.so.575.64.03"
                " (ro, nosuid, nodev, rbind, rprivate)",
                "all devices: + /usr/lib64/libcuda.so.1 from /usr/lib/x86_64-linux-gnu/libcuda.so.580.10"
                " (ro, nosuid, nodev, rbind, rprivate)",
            },
        ),
        ("nvidia-gpu", unplug, "nvidia.com/gpu", {"- device 1", "- device all"}),
        (
            "nvidia-mig",
            change_mig,
            "nvidia.com/gpu",
            {"- device gpu0-gi2-ci1", "+ device gpu0-gi1-ci1", "all: + /dev/nvidia-caps/nvidia-cap14"},
        ),
    ],
    ids=["renumbered", "driver updated", "unplugged", "MIG changed"],
)
def test_a_change_is_named_and_mended(
    tmp_path: Path, tree: str, happen: Callable[[Path], None], kind: str, lines: set[str]
) -> None:
    root, directory = plant(tmp_path / "root", tree), tmp_path / "cdi"
    for step in plan(root, directory):
        take(step)
    assert plan(root, directory) == []
    happen(root)
    [step] = [step for step in plan(root, directory) if step.kind == kind]
    assert lines - set(told(step)) == set()
    for step in plan(root, directory):
        take(step)
    assert plan(root, directory) == []


def test_boot_before_the_driver(tmp_path: Path) -> None:
    """Nothing is found and nothing is wrong; the event of the driver makes the file."""
    root, directory = plant(tmp_path / "root", "nvidia-gpu"), tmp_path / "cdi"
    driver, aside = root / "sys/bus/pci/drivers/nvidia", tmp_path / "aside"
    driver.rename(aside)
    assert [step.kind for step in plan(root, directory) if step.kind.startswith("nvidia")] == []
    aside.rename(driver)
    [step] = [step for step in plan(root, directory) if step.kind == "nvidia.com/gpu"]
    assert step.action == "write"


def test_a_node_that_comes_later_is_added(tmp_path: Path) -> None:
    """nvidia-uvm exists only after something has used the module."""
    root, directory = plant(tmp_path / "root", "nvidia-gpu"), tmp_path / "cdi"
    (root / "dev/nvidia-uvm").unlink()
    for step in plan(root, directory):
        take(step)
    grow(root, ["/dev/nvidia-uvm"])
    [step] = plan(root, directory)
    assert told(step) == ["all devices: + /dev/nvidia-uvm"]
