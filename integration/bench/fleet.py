"""`python -m integration.bench.fleet [--nodes N]`: how often the drivers of many nodes ask the API server, simulated.

Each node does what publishing.py does, with its pauses and its chance; the server answers at once, or not at all.
"""

from __future__ import annotations

import argparse
import heapq
import random
from collections import Counter
from collections.abc import Iterator

from cdi_runc.kubernetes.publishing import FIRST_PAUSE, WATCH_TIME, _pauses

START = 4  # requests of a process that follows another: the group, the list of slices, the label, the watch
END = 2  # of one that ends: whether its DaemonSet goes on, and the label
AGAIN = 2  # when a watch has ended: the list and the next watch
HOUR = 3600.0


def at_rest(node: random.Random, begin: float) -> Iterator[tuple[float, int]]:
    """When a node asks, and how often, from the moment on when it had its first watch."""
    now = begin
    while now < HOUR:
        now += node.uniform(*WATCH_TIME) + node.uniform(0, FIRST_PAUSE)
        yield now, AGAIN


def after_an_outage(outage: float) -> Iterator[tuple[float, int]]:
    """All watches break at once, and nobody answers for so many seconds."""
    now = 0.0
    for pause in _pauses():
        now += pause
        yield now, 1 if now < outage else AGAIN
        if now >= outage:
            return


def busiest(times: list[tuple[float, int]], span: float) -> int:
    """The most requests within so many seconds."""
    counts: Counter[int] = Counter()
    for when, number in times:
        counts[int(when / span)] += number
    return max(counts.values())


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=5000)
    nodes = parser.parse_args().nodes
    chance = random.Random(5)
    random.seed(5)
    rest = list(heapq.merge(*(at_rest(chance, chance.uniform(-WATCH_TIME[1], 0)) for _ in range(nodes))))
    later = [(when, number) for when, number in rest if when > 2 * WATCH_TIME[1]]
    print(f"{nodes} nodes at rest: {60 * sum(n for _, n in later) / (HOUR - 2 * WATCH_TIME[1]):.0f} a minute")
    # A rollout of 10 % of the nodes at a time, each of which takes some 10 s to be ready.
    rollout = [(10.0 * (number // (nodes // 10)) + chance.uniform(0, 10), END + START) for number in range(nodes)]
    print(f"a rollout, 10 % of the nodes at a time: {busiest(rollout, 60)} in its busiest minute")
    for outage in (10.0, 60.0, 300.0):
        times = [each for _ in range(nodes) for each in after_an_outage(outage)]
        back = [each for each in times if each[0] >= outage]
        last = max(when for when, _ in back)
        print(
            f"all API servers away for {outage:.0f} s: {busiest(back, 1)} in the busiest second after,"
            f" all nodes back {last - outage:.0f} s later"
        )


if __name__ == "__main__":
    main()
