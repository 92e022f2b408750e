from __future__ import annotations

import re

import pytest

from cdi_runc.host.resources import Unmappable, qualified_name_of, resource_name, resource_names


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


HERE = ["vendor.com/gpu=0", "Vendor_X.com/nic=a", "vendor-x.com/nic=b", "A.com/x=0", "b_c.com/x=1"]


@pytest.mark.parametrize(
    ("resource", "identifier", "expected"),
    [
        ("vendor.com/gpu", "0", "vendor.com/gpu=0"),
        ("vendor.com/gpu", "0::3", "vendor.com/gpu=0"),
        ("vendor.com/gpu", "1", ""),
        ("a.com/x", "0", "A.com/x=0"),
        ("b-c.com/x", "1::0", "b_c.com/x=1"),
        ("vendor-x.com/nic", "b", "vendor-x.com/nic=b"),
        ("vendor-x.com/nic", "a", ""),  # the kind that is spelled so has the resource
        ("other.com/x", "0", ""),
    ],
)
def test_the_device_behind_a_resource_and_an_id(resource: str, identifier: str, expected: str) -> None:
    assert qualified_name_of(resource, identifier, HERE.__contains__, lambda: HERE) == expected
