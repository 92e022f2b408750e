"""Values that hosts have and recipes do not expect: each gives one line, and no device suffers for another."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdi_runc import parse_spec, validate_spec
from cdi_runc.generate.devices import sort_key
from cdi_runc.generate.text import document
from tests.generate.fixture_trees import grow, made
from tests.generate.test_specs import a_usb_device

SERIAL = "sys/devices/pci0000:00/usb1/1-1/serial"


@pytest.mark.parametrize(
    ("serial", "names", "line"),
    [
        (b"AB 12\n", ["1234:abcd:AB-12", "1-1"], "the value serial, 'AB 12', is 'AB-12' in names"),
        (b"a\nb\n", ["1234:abcd:a-b", "1-1"], r"the value serial, 'a\nb', is 'a-b' in names"),
        (b"../../x\n", ["1234:abcd:x", "1-1"], "the value serial, '../../x', is 'x' in names"),
        (b"..\n", ["1-1"], "the value serial, '..', is '' in names"),
        (b"\xff\xfe\n", ["1-1"], "the value serial, '\ufffd\ufffd', is '' in names"),
        (b"\n", ["1-1"], "the value serial is empty: serial"),
        (b"x" * 256, ["1-1"], "the value serial has 256 characters, too many for a name"),
        (b"x" * (1 << 21), ["1-1"], "no value serial: /sys/devices/pci0000:00/usb1/1-1/serial is larger than 1024 KiB"),
    ],
    ids=["blank", "newline", "up", "only up", "not UTF-8", "empty", "long", "huge"],
)
def test_an_odd_value(tmp_path: Path, serial: bytes, names: list[str], line: str | None) -> None:
    root = grow(tmp_path, [*a_usb_device("1-1", 1), *a_usb_device("1-2", 2, "serial = good")])
    (root / SERIAL).write_bytes(serial)
    [usb] = made(root, "usb")
    assert usb.spec
    assert [device["name"] for device in usb.spec["devices"]] == [*names, "1234:abcd:good", "1-2", "all"]
    assert [str(note) for note in usb.notes] == ([f"usb: {names[0]}: {line}"] if line else [])


def test_a_number_of_any_length_sorts() -> None:
    numbers = ["9" * 6000, "10", "9", "007"]
    assert sorted(numbers, key=sort_key) == ["007", "9", "10", "9" * 6000]


def test_a_value_that_is_missing_drops_its_name_only(tmp_path: Path) -> None:
    [usb] = made(grow(tmp_path, a_usb_device("1-1", 1)), "usb")
    assert usb.spec
    assert [device["name"] for device in usb.spec["devices"]] == ["1-1"]
    assert usb.notes == []


def test_a_file_that_is_a_directory_or_a_dead_link(tmp_path: Path) -> None:
    root = grow(tmp_path, [*a_usb_device("1-1", 1, "serial/"), *a_usb_device("1-2", 2, "serial -> none")])
    [usb] = made(root, "usb")
    assert usb.spec
    assert [device["name"] for device in usb.spec["devices"]] == ["1-1", "1-2", "all"]
    assert [str(note) for note in usb.notes] == [
        "usb: 1-1: no value serial: /sys/devices/pci0000:00/usb1/1-1/serial cannot be read: Is a directory"
    ]


def test_a_value_in_a_path_is_one_part_of_it(tmp_path: Path) -> None:
    place = "/sys/devices/usb1/1-1/1-1:1.0"
    root = grow(
        tmp_path,
        [
            f"/sys/class/tty/ttyACM0 -> {place}/tty/ttyACM0",
            f"{place}/tty/ttyACM0/dev = 166:0",
            f"{place}/bInterfaceNumber = 00",
            "/sys/devices/usb1/1-1/manufacturer = ../..",
            "/sys/devices/usb1/1-1/product = My Thing/2",
            "/sys/devices/usb1/1-1/serial = 7",
            "/dev/ttyACM0",
        ],
    )
    [serial] = made(root, "host.local/serial")
    assert serial.spec
    nodes = serial.spec["devices"][0]["containerEdits"]["deviceNodes"]
    assert [node["path"] for node in nodes] == ["/dev/ttyACM0", "/dev/serial/by-id/usb-.._.._My_Thing_2_7-if00"]


@given(st.binary(max_size=60))
@settings(max_examples=60, deadline=None)
def test_whatever_a_file_says_the_spec_is_one(tmp_path_factory: pytest.TempPathFactory, serial: bytes) -> None:
    root = grow(tmp_path_factory.mktemp("any"), a_usb_device("1-1", 1))
    (root / SERIAL).write_bytes(serial)
    [usb] = made(root, "usb")
    assert usb.spec
    validate_spec(usb.spec)
    assert parse_spec(document(usb.spec)) == usb.spec
    assert all("\n" not in str(note) for note in usb.notes)
