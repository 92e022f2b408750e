"""Resolving names to edits."""

from __future__ import annotations

from typing import Any

import pytest

from cdi_runc.cdi.errors import UnresolvableDevices
from cdi_runc.cdi.injection import resolve

DEVICES: dict[str, Any] = {
    "v.com/c=a": ("/a.yaml", {"env": ["FILE=a"]}, {"env": ["A=1"]}),
    "v.com/c=b": ("/a.yaml", {"env": ["FILE=a"]}, {"env": ["B=1"]}),
    "w.com/c=a": ("/w.yaml", {}, {"env": ["C=1"]}),
}


@pytest.mark.parametrize(
    ("names", "provenances"),
    [
        ([], []),
        (["v.com/c=b", "v.com/c=a"], ["/a.yaml", "v.com/c=b", "v.com/c=a"]),
        (["w.com/c=a", "v.com/c=a", "w.com/c=a"], ["/w.yaml", "w.com/c=a", "/a.yaml", "v.com/c=a", "w.com/c=a"]),
    ],
)
def test_resolve(names: list[str], provenances: list[str]) -> None:
    assert [provenance for provenance, _ in resolve(names, DEVICES.get)] == provenances


def test_all_that_is_missing_is_named() -> None:
    with pytest.raises(UnresolvableDevices) as caught:
        resolve(["x", "v.com/c=a", "y", "x"], DEVICES.get)
    assert caught.value.names == ("x", "y", "x")
