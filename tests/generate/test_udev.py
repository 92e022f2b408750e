import re

from cdi_runc.generate.collection import recipes, shipped
from cdi_runc.generate.recipe import parse
from cdi_runc.generate.tree import Tree
from cdi_runc.generate.udev import SWITCH, UNIT, rules, subsystems
from tests.generate.test_recipe import GOOD


def test_every_recipe_of_ours_has_events() -> None:
    silent = [name for name, recipe in recipes(Tree("/dev/null")).known.items() if not subsystems([recipe])]
    assert len(shipped()) > 40
    assert silent == []


def test_rules_follow_from_the_globs() -> None:
    text = GOOD.replace(
        "/sys/class/x/*",
        "['/sys/class/tty/ttyUSB*', '/sys/class/tenstorrent/tenstorrent!*', '/sys/bus/pci/drivers/nvidia/*:*',"
        " '/sys/bus/usb/devices/*', '/sys/devices/platform/amdgpu_xcp_*']",
    )
    found = rules([parse(text + "subsystems: nvidia\n", "x", "x.yaml")])
    assert [line for line in found.splitlines() if line.startswith("SUBSYSTEM")] == [
        'SUBSYSTEM=="nvidia", GOTO="cdi_runc_changed"',
        'SUBSYSTEM=="pci", ACTION=="bind|unbind", GOTO="cdi_runc_changed"',
        'SUBSYSTEM=="platform", KERNEL=="amdgpu_xcp_*", GOTO="cdi_runc_changed"',
        'SUBSYSTEM=="tenstorrent", KERNEL=="tenstorrent/*", GOTO="cdi_runc_changed"',
        'SUBSYSTEM=="tty", KERNEL=="ttyUSB*", GOTO="cdi_runc_changed"',
        'SUBSYSTEM=="usb", GOTO="cdi_runc_changed"',
    ]


def test_rules_do_nothing_until_the_service_is_enabled() -> None:
    found = [line for line in rules(recipes(Tree("/dev/null")).known.values()).splitlines() if line[:1] != "#"]
    assert found[0] == f'TEST!="{SWITCH}", GOTO="cdi_runc_end"'
    assert found[-1] == 'LABEL="cdi_runc_end"'
    assert f"restart {UNIT}" in found[-2]
    assert {*re.findall(r'GOTO="(\w+)"', "\n".join(found))} == {*re.findall(r'LABEL="(\w+)"', "\n".join(found))}
