"""A run of many cases with a limit in time: the counts of each part, what was found, and the table of all."""

import random
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

MOST_SHOWN = 20  # kinds of findings of one part


@dataclass
class Part:
    """One part of a run: it counts what it tries, and keeps what it finds.

    until: when it shall end, by time.monotonic. choose: what its chances come from. of: how many cases there are, if
    there is an end to them. short: whether it has only seconds, so that it cannot be complete.
    """

    name: str
    until: float
    choose: random.Random
    short: bool
    tried: int = 0
    of: int = 0
    seconds: float = 0.0
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def has_time(self) -> bool:
        """Whether another case may begin."""
        return time.monotonic() < self.until

    def expect(self, holds: bool, what: str) -> None:
        """Count `what` as found where it does not hold."""
        if not holds:
            self.findings.append(what)


Run = Callable[[Part], None]


def run(parts: Mapping[str, Run], names: Iterable[str], seconds: float, seed: int, short: bool) -> int:
    """Run the parts, each for its share of the seconds. Print the table; the number of findings."""
    chosen = [name for name in parts if name in set(names)] or list(parts)
    print(f"seed {seed}, {seconds:.0f} s for {len(chosen)} of {len(parts)} parts", flush=True)
    end = time.monotonic() + seconds
    print(f"{'part':44} {'tried':>9} {'of':>9} {'seconds':>8} {'found':>6}", flush=True)
    total = 0
    for place, name in enumerate(chosen):
        began = time.monotonic()
        share = max(0.0, end - began) / (len(chosen) - place)
        part = Part(name, began + share, random.Random(f"{seed} {name}"), short)
        parts[name](part)
        part.seconds = time.monotonic() - began
        total += len(part.findings)
        _print(part)
    print(f"{'all':44} {'':9} {'':9} {time.monotonic() - end + seconds:8.1f} {total:6}", flush=True)
    return total


def _print(part: Part) -> None:
    of = f"{part.of:9}" if part.of else f"{'':9}"
    print(f"{part.name:44} {part.tried:9} {of} {part.seconds:8.1f} {len(part.findings):6}", flush=True)
    for note in part.notes:
        print(f"    {note}", flush=True)
    alike: dict[str, list[str]] = {}
    for finding in part.findings:
        alike.setdefault(finding.rpartition(": ")[2], []).append(finding)
    for group in sorted(alike.values(), key=len)[:MOST_SHOWN]:
        more = f" (and {len(group) - 1} like it)" if len(group) > 1 else ""
        print(f"FOUND in {part.name}: {group[0]}{more}", file=sys.stderr, flush=True)
