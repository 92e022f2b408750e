from __future__ import annotations

import re

import pytest

from cdi_runc.kubernetes.names import device_label


@pytest.mark.parametrize("name", ["0", "0:1", "GPU-5", "a" * 200, "x_y.z", "UPPER"])
def test_labels_of_devices(name: str) -> None:
    label = device_label("vendor.com/gpu", name)
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", label)
    assert label == device_label("vendor.com/gpu", name)


def test_names_that_look_the_same_as_labels_are_not() -> None:
    names = ["a_b", "a.b", "a:b", "A-B", "a-b"]
    assert len({device_label("v.com/c", name) for name in names} | {device_label("w.com/c", "a-b")}) == 6
