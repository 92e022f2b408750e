"""How long to wait between two tries of what fails."""

from __future__ import annotations

import random
from collections.abc import Iterator


def pauses(first: float, last: float, spread: float = 0.5) -> Iterator[float]:
    """Seconds, longer and longer from the first to the last.

    They are spread, so that the nodes of a cluster do not come all at once.
    """
    pause = first
    while True:
        yield pause * random.uniform(1 - spread, 1 + spread)
        pause = min(2 * pause, last)
