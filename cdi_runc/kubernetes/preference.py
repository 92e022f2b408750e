"""Which devices of those that are free a container should get: the same answer for the same question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from cdi_runc.host.resources import device_of
from cdi_runc.inventory.overlap import natural


def preferred(
    available: Iterable[str], included: Iterable[str], size: int, numa: Mapping[str, tuple[int, ...]]
) -> list[str]:
    """`size` of the available IDs, all of `included` among them; `numa` has the NUMA nodes of the devices by name.

    First as many different devices as there are, then those of one NUMA node, then those that the fewest share.

    >>> preferred(["2", "10", "1"], [], 2, {})
    ['1', '2']
    """
    chosen = sorted(set(included), key=natural)[:size]
    left = sorted(set(available) - set(chosen), key=natural)
    free = Counter(map(device_of, left))
    used = Counter(map(device_of, chosen))
    near = {node for name in used for node in numa.get(name, ())} or _roomiest(free, size - len(chosen), numa)
    while left and len(chosen) < size:
        best = min(left, key=lambda each: _cost(device_of(each), used, free, near, numa))  # the first of the best
        left.remove(best)
        chosen.append(best)
        used[device_of(best)] += 1
        free[device_of(best)] -= 1
    return chosen


def _cost(
    name: str, used: Counter[str], free: Counter[str], near: set[int], numa: Mapping[str, tuple[int, ...]]
) -> tuple[int, bool, int]:
    return used[name], bool(near) and not near & set(numa.get(name, ())), -free[name]


def _roomiest(free: Iterable[str], size: int, numa: Mapping[str, tuple[int, ...]]) -> set[int]:
    """The NUMA node with the fewest free devices that are enough; none where no node has enough."""
    nodes = Counter(node for name in free for node in numa.get(name, ()))
    enough = [(number, node) for node, number in nodes.items() if number >= size]
    return {min(enough)[1]} if enough else set()
