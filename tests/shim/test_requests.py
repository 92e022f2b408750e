"""Who asks for a device, through what, and who only seems to."""

from typing import Any

import pytest

from cdi_runc.cdi.errors import CDIError
from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.requests import needles, requested, without_markers

ANNOTATIONS = {"annotations": ["cdi.k8s.io/"], "mounts": None, "env": None}
ALL = {"annotations": ["cdi.k8s.io/", "mine.io/"], "mounts": "/var/run/cdi-devices", "env": "CDI_DEVICES"}


def mount(name: str) -> dict[str, str]:
    return {"destination": f"/var/run/cdi-devices/{name}", "source": "/dev/null", "type": "bind"}


@pytest.mark.parametrize(
    ("config", "sources", "expected"),
    [
        ({}, ALL, []),
        ({"annotations": None}, ALL, []),
        (
            {"annotations": {"cdi.k8s.io/b": "v.com/c=2,v.com/c=1", "cdi.k8s.io/a": "v.com/c=3"}},
            ANNOTATIONS,
            ["3", "2", "1"],
        ),
        ({"annotations": {"cdi.k8s.io/a": "v.com/c=1", "cdi.k8s.io/b": "v.com/c=1"}}, ANNOTATIONS, ["1"]),
        ({"annotations": {"mine.io/x": "v.com/c=1"}}, ANNOTATIONS, []),
        ({"annotations": {"mine.io/x": "v.com/c=1"}}, ALL, ["1"]),
        ({"annotations": {"cdi.k8s.iox": "v.com/c=1", "other": "v.com/c=1"}}, ALL, []),
        ({"mounts": [mount("v.com/c/1")]}, ANNOTATIONS, []),
        ({"mounts": [mount("v.com/c/1"), {"destination": "/x"}, {}, 1, mount("v.com/c/2")]}, ALL, ["1", "2"]),
        ({"mounts": [mount("v.com/c/dev:1")]}, ALL, ["dev:1"]),
        ({"process": {"env": ["CDI_DEVICES=v.com/c=1,v.com/c=2"]}}, ANNOTATIONS, []),
        ({"process": {"env": ["CDI_DEVICES=v.com/c=1,v.com/c=2"]}}, ALL, ["1", "2"]),
        ({"process": {"env": ["CDI_DEVICES=v.com/c=1", "CDI_DEVICES=v.com/c=2"]}}, ALL, ["2"]),
        ({"process": {"env": ["CDI_DEVICES=", "CDI_DEVICES_X=v.com/c=1", 3]}}, ALL, []),
        ({"process": {"env": None}}, ALL, []),
        (
            {
                "annotations": {"cdi.k8s.io/a": "v.com/c=2"},
                "mounts": [mount("v.com/c/1"), mount("v.com/c/2")],
                "process": {"env": ["CDI_DEVICES=v.com/c=0,v.com/c=1"]},
            },
            ALL,
            ["2", "1", "0"],
        ),
    ],
)
def test_devices_are_found(config: dict[str, Any], sources: dict[str, Any], expected: list[str]) -> None:
    assert [request.name for request in requested(config, sources)] == [f"v.com/c={name}" for name in expected]


def test_a_request_knows_how_it_was_made() -> None:
    config = {
        "annotations": {"cdi.k8s.io/a": "v.com/c=0,v.com/c=1"},
        "mounts": [mount("v.com/c/1"), mount("v.com/c/2")],
        "process": {"env": ["CDI_DEVICES=v.com/c=2,v.com/c=3"]},
    }
    assert [(request.name[-1], str(request)) for request in requested(config, ALL)] == [
        ("0", "annotation cdi.k8s.io/a"),
        ("1", "annotation cdi.k8s.io/a"),
        ("2", "mount /var/run/cdi-devices/v.com/c/2"),
        ("3", "variable CDI_DEVICES"),
    ]


@pytest.mark.parametrize(
    ("change", "asks"),
    [
        ({}, True),
        ({"type": "none", "options": ["rbind", "ro"]}, True),
        ({"destination": "/var/run/cdi-devices//v.com/c/1/"}, True),
        ({"source": "/var/lib/docker/volumes/x/_data"}, False),  # an image's VOLUME
        ({"source": "/dev/zero"}, False),
        ({"type": "tmpfs"}, False),
        ({"type": None}, False),
        ({"destination": "/var/run/cdi-devicesv.com/c/1"}, False),
    ],
)
def test_only_a_bind_mount_of_dev_null_is_a_request(change: dict[str, Any], asks: bool) -> None:
    config = {"mounts": [{**mount("v.com/c/1"), **change}]}
    assert [request.name for request in requested(config, ALL)] == ["v.com/c=1"] * asks
    assert without_markers(config, ALL) == ([] if asks else None)


@pytest.mark.parametrize(
    "config",
    [
        {"annotations": ["cdi.k8s.io/x"]},
        {"annotations": {"cdi.k8s.io/x": 1}},
        {"annotations": {"cdi.k8s.io/x": ""}},
        {"annotations": {"cdi.k8s.io/x": "gpu=0"}},
        {"mounts": [mount("v.com")]},
        {"mounts": [mount("v.com/c")]},
        {"mounts": [mount("v.com/c/1/2")]},
        {"mounts": [mount("")]},
        {"process": {"env": ["CDI_DEVICES=all"]}},
        {"process": {"env": ["CDI_DEVICES=v.com/c=1, v.com/c=2"]}},
    ],
)
def test_what_can_mean_no_device_is_an_error(config: dict[str, Any]) -> None:
    with pytest.raises((ShimError, CDIError)):
        requested(config, ALL)


def test_mounts_that_only_ask_are_taken_out() -> None:
    other = {"destination": "/var/run/cdi-devices-other/v.com/c/1"}
    assert without_markers({"mounts": [mount("v.com/c/1"), other]}, ALL) == [other]
    assert without_markers({"mounts": [other]}, ALL) is None
    assert without_markers({"mounts": [mount("v.com/c/1")]}, ANNOTATIONS) is None


def test_a_text_without_a_needle_holds_no_request() -> None:
    assert needles(ANNOTATIONS) == [b"\\u", b"cdi.k8s.io"]
    assert needles(ALL) == [b"\\u", b"cdi.k8s.io", b"mine.io", b"cdi-devices", b"CDI_DEVICES"]
