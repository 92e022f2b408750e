from __future__ import annotations

import random

import pytest

from cdi_runc.kubernetes.preference import preferred

NUMA = {"0": (0,), "1": (1,), "2": (1,), "3": (0,), "4": (0,)}


@pytest.mark.parametrize(
    ("available", "must", "size", "expected"),
    [
        (["0", "1", "2", "3"], [], 1, ["0"]),
        (["0", "1", "2", "3", "4"], [], 2, ["1", "2"]),  # node 1 is full then, and node 0 has room for three
        (["0", "1", "2", "3", "4"], ["0"], 2, ["0", "3"]),  # where the one is that it must have
        (["0", "1"], [], 2, ["0", "1"]),
        (["0", "1"], [], 5, ["0", "1"]),
        ([], [], 1, []),
        (["x::0", "x::1", "y::0", "y::1"], [], 2, ["x::0", "y::0"]),  # two devices, not two shares of one
        (["x::1", "y::0", "y::1"], [], 1, ["y::0"]),  # what the fewest share
    ],
)
def test_preference(available: list[str], must: list[str], size: int, expected: list[str]) -> None:
    assert preferred(available, must, size, NUMA) == expected
    random.shuffle(available)  # as the kubelet asks
    assert preferred(available, must, size, NUMA) == expected
