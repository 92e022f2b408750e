from __future__ import annotations

import re

import pytest

from cdi_runc.kubernetes.names import Unmappable, device_label, resource_name, resource_names


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("vendor.com/gpu", "vendor.com/gpu"),
        ("vendor/gpu", "vendor/gpu"),
        ("vendor.com/g.p_u", "vendor.com/g.p_u"),
        ("Vendor_X.com/gpu", "vendor-x.com/gpu"),
        ("vendor.com/" + "a" * 63, "vendor.com/" + "a" * 63),
        ("vendor.com/" + "a" * 64, "vendor.com/" + "a" * 54 + "-ffe054fe"),
    ],
)
def test_resources(kind: str, expected: str) -> None:
    assert resource_name(kind) == expected


@pytest.mark.parametrize("kind", ["a.kubernetes.io/x", "kubernetes.io/x", "v..com/x", "v_.com/x", "v" * 300 + "/x"])
def test_kinds_that_cannot_be_resources(kind: str) -> None:
    with pytest.raises(Unmappable, match=re.escape(kind[:20])):
        resource_name(kind)


def test_of_two_kinds_with_one_name_the_one_spelled_so_has_it() -> None:
    names, faults = resource_names(["A.com/x", "a.com/x", "b_.com/x"])
    assert names == {"a.com/x": "a.com/x"}
    assert faults.keys() == {"A.com/x", "b_.com/x"}


@pytest.mark.parametrize("name", ["0", "0:1", "GPU-5", "a" * 200, "x_y.z", "UPPER"])
def test_labels_of_devices(name: str) -> None:
    label = device_label("vendor.com/gpu", name)
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", label)
    assert label == device_label("vendor.com/gpu", name)


def test_names_that_look_the_same_as_labels_are_not() -> None:
    names = ["a_b", "a.b", "a:b", "A-B", "a-b"]
    assert len({device_label("v.com/c", name) for name in names} | {device_label("w.com/c", "a-b")}) == 6
