"""The units that make specs: when they run, and that they are off until someone turns them on."""

import configparser
from pathlib import Path

import pytest

from cdi_runc.generate.udev import SWITCH, UNIT

UNITS = Path(__file__).parents[2] / "packaging/systemd"


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNITS / name)
    return parser


@pytest.mark.parametrize("engine", ["docker", "containerd", "podman", "crio"])
def test_specs_are_there_before_an_engine_starts(engine: str) -> None:
    assert f"{engine}.service" in unit("cdi-runc-generate.service")["Unit"]["Before"].split()


def test_one_link_is_the_switch() -> None:
    target = unit("cdi-runc-generate.service")["Install"]["WantedBy"]
    assert f"/etc/systemd/system/{target}.wants/cdi-runc-generate.service" == SWITCH
    assert not unit(UNIT).has_section("Install")


def test_both_do_the_same() -> None:
    first, again = (dict(unit(name)["Service"]) for name in ("cdi-runc-generate.service", UNIT))
    assert again.pop("ExecStartPre") == "/bin/sleep 0.5"
    assert first == again
