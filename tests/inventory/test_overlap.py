from __future__ import annotations

import pytest

from cdi_runc.inventory.overlap import aliases, composites


@pytest.mark.parametrize(
    ("hardware", "expected"),
    [
        ({"0": "a", "GPU-5": "a", "all": "a"}, {"0": ("GPU-5", "all")}),  # one GPU, listed thrice
        ({"10": "b", "9": "a", "all": "ab"}, {"9": (), "10": (), "all": ()}),
        ({}, {}),
    ],
)
def test_the_same_hardware_is_offered_once(hardware: dict[str, str], expected: dict[str, tuple[str, ...]]) -> None:
    assert aliases(hardware) == expected
    assert list(aliases(hardware)) == list(expected)


@pytest.mark.parametrize(
    ("hardware", "expected"),
    [
        ({"0": "a", "1": "b", "all": "ab"}, {"all": ("0", "1")}),
        # A node that all have, as ROCm's /dev/kfd, makes none a part of another.
        ({"0": "ka", "1": "kb", "all": "kab"}, {"all": ("0", "1")}),
        ({"0": "ka", "1": "kb"}, {}),
        # A superset of one other only: a GPU's MIG devices have its node and their own.
        ({"gpu": "g", "mig0": "gx", "mig1": "gy"}, {}),
        # Composites of composites are made of the same parts.
        ({"0": "a", "1": "b", "2": "c", "first": "ab", "all": "abc"}, {"first": ("0", "1"), "all": ("0", "1", "2")}),
        ({"0": "a", "1": "a"}, {}),
    ],
)
def test_composites(hardware: dict[str, str], expected: dict[str, tuple[str, ...]]) -> None:
    assert composites({name: frozenset(pieces) for name, pieces in hardware.items()}) == expected


def test_many_devices_take_no_square_of_time() -> None:
    many = {str(number): frozenset({f"/dev/{number}"}) for number in range(10_000)}
    assert list(composites({**many, "all": frozenset().union(*many.values())})) == ["all"]
