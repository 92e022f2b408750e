from __future__ import annotations

import re

import pytest

from cdi_runc.kubernetes.classes import device_classes

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def test_a_class_selects_the_devices_of_its_kind() -> None:
    [found], faults = device_classes(["vendor.com/gpu"])
    assert found["metadata"]["name"] == "gpu.vendor.com"
    [selector] = found["spec"]["selectors"]
    expected = 'device.driver == "cdi-runc" && device.attributes["cdi-runc"].kind == "vendor.com/gpu"'
    assert selector["cel"]["expression"] == expected
    assert "extendedResourceName" not in found["spec"]
    assert faults == []


def test_it_may_serve_an_extended_resource() -> None:
    [found], _ = device_classes(["Vendor.com/GPU"], resources=True)
    assert found["spec"]["extendedResourceName"] == "vendor.com/GPU"


@pytest.mark.parametrize("kind", ["Vendor_X.com/GPU_a", "vendor.com/" + "c" * 64, "vendor.com/a.b"])
def test_names_are_names_of_kubernetes(kind: str) -> None:
    [found], _ = device_classes([kind], "v1beta1")
    assert NAME.fullmatch(found["metadata"]["name"])
    assert found["apiVersion"] == "resource.k8s.io/v1beta1"


def test_kinds_that_have_none_are_named() -> None:
    found, [fault] = device_classes(["a.kubernetes.io/x"])
    assert found == []
    assert fault.startswith("a.kubernetes.io/x: ")
