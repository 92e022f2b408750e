"""Qualified names and the kinds of specs; the vectors have many more."""

from __future__ import annotations

import pytest

from cdi_runc.cdi.errors import InvalidName
from cdi_runc.cdi.names import (
    is_qualified_name,
    parse_qualified_name,
    split_kind,
    validate_class,
    validate_device_name,
    validate_kind,
    validate_vendor,
)


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("gpu0", "it has no vendor"),
        ("/dev/nvidia0", "it has no vendor"),
        ("vendor.com=0", "it has no vendor"),
        ("vendor.com/=0", "it has no vendor"),
        ("vendor.com/gpu", "it has no device name"),
        ("vendor.com/gpu=", "it has no device name"),
        ("1vendor.com/gpu=0", "vendor '1vendor.com' does not begin with a letter"),
        ("vendor.com/gpu-=0", "class 'gpu-' does not end with a letter or digit"),
        ("vendor.com/gpu=a,b", "',' in device name 'a,b' is not allowed: only ASCII letters, digits and - . : _"),
        ("vendor.com/gpu=é", "'é' in device name 'é' is not allowed"),
    ],
)
def test_an_error_says_what_is_wrong_with_a_name(device: str, message: str) -> None:
    with pytest.raises(InvalidName) as caught:
        parse_qualified_name(device)
    assert str(caught.value).startswith(f"{device!r} is not a qualified device name (vendor.com/class=name): ")
    assert message in str(caught.value)
    assert not is_qualified_name(device)


@pytest.mark.parametrize("name", ["a", "A-_.z", "a0", "v" * 1000])
def test_vendors_and_classes(name: str) -> None:
    validate_vendor(name)
    validate_class(name)


@pytest.mark.parametrize("name", ["", "0", "-a", "a-", "a:b", "a b", "a\n", "é"])
def test_what_is_neither_vendor_nor_class(name: str) -> None:
    for validate in (validate_vendor, validate_class):
        with pytest.raises(InvalidName):
            validate(name)


@pytest.mark.parametrize("name", ["0", "a:b", "0-0", "all"])
def test_device_names(name: str) -> None:
    validate_device_name(name)


@pytest.mark.parametrize("kind", ["vendor.com/gpu", "1/a", "a/1", "3com.com/nic"])
def test_a_kind_may_begin_with_digits(kind: str) -> None:
    validate_kind(kind)


@pytest.mark.parametrize("kind", ["", "/", "a", "a/", "/a", "a/b/c", "a/b=c", "_/a", "a/b\n"])
def test_what_is_no_kind(kind: str) -> None:
    with pytest.raises(InvalidName):
        validate_kind(kind)


@pytest.mark.parametrize(("kind", "parts"), [("a/b", ("a", "b")), ("a/b/c", ("a", "b/c")), ("a", ("", "a"))])
def test_split_kind(kind: str, parts: tuple[str, str]) -> None:
    assert split_kind(kind) == parts
