"""What is kept of the slices that the cluster lists."""

from __future__ import annotations

from typing import Any

import pytest

from cdi_runc.kubernetes.publishing import _compared


def slice_(*names: str) -> Any:
    spec = {"pool": {"name": "n", "generation": 4}, "devices": [{"name": name} for name in names]}
    return {"metadata": {"name": "s", "resourceVersion": "7"}, "spec": spec}


@pytest.mark.parametrize(
    ("wanted", "same"),
    [({"s": slice_("a")["spec"]}, True), ({"s": slice_("b")["spec"]}, False), ({}, False)],
)
def test_the_devices_of_a_slice_are_compared_and_not_kept(wanted: Any, same: bool) -> None:
    kept = _compared(wanted, slice_("a"))
    assert kept == {"metadata": slice_()["metadata"], "generation": 4, "same": same}


@pytest.mark.parametrize("other", [{"resourceVersion": "9"}, {"name": "a"}, {"metadata": {}, "items": []}])
def test_what_is_no_slice_stays(other: Any) -> None:
    assert _compared({}, other) is other
