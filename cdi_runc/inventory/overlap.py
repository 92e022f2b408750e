"""Which devices of one kind are the same hardware under several names, and which are made of others.

Specs list a GPU by its index and by its UUID, and all of them together as `all`. Handed out as three devices, one GPU
would go to three containers.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping

_NUMBER = re.compile(r"(\d+)")

Hardware = frozenset[str]  # the host's names of it


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts numbers in names by their value.

    >>> sorted(["gpu10", "gpu9", "all"], key=natural)
    ['all', 'gpu9', 'gpu10']
    """
    return [(int(part), part) if part.isdecimal() else (-1, part) for part in _NUMBER.split(name)]


def advertised(names: Iterable[str]) -> str:
    """The name among those of the same hardware that is offered: never `all` if there is another; the shortest.

    >>> advertised(["all", "GPU-7a2f", "0"])
    '0'
    """
    return min(names, key=lambda name: (name == "all", len(name), name))


def aliases(identities: Mapping[str, Hashable]) -> dict[str, tuple[str, ...]]:
    """The advertised names, each with its other names. What is the same has equal identities.

    >>> aliases({"0": "/dev/gpu0", "uuid": "/dev/gpu0", "1": "/dev/gpu1"})
    {'0': ('uuid',), '1': ()}
    """
    groups: dict[Hashable, list[str]] = {}
    for name, identity in identities.items():
        groups.setdefault(identity, []).append(name)
    chosen = {advertised(names): names for names in groups.values()}
    return {
        name: tuple(sorted((other for other in chosen[name] if other != name), key=natural))
        for name in sorted(chosen, key=natural)
    }


def composites(hardware: Mapping[str, Hardware]) -> dict[str, tuple[str, ...]]:
    """The devices whose hardware is a proper superset of that of two others, each with those of which it is made.

    The parts are never composites themselves, so that devices with a part in common cannot be had at the same time.

    >>> composites({"all": frozenset("abc"), "0": frozenset("ab"), "1": frozenset("ac")})
    {'all': ('0', '1')}
    """
    holders: dict[str, set[str]] = {}
    for name, pieces in hardware.items():
        for piece in pieces:
            holders.setdefault(piece, set()).add(name)
    inside: dict[str, set[str]] = {}
    for name, pieces in hardware.items():
        # Who has all of the pieces has the one that the fewest have.
        for holder in min((holders[piece] for piece in pieces), key=len, default=()):
            if pieces < hardware[holder]:
                inside.setdefault(holder, set()).add(name)
    whole = {name for name, parts in inside.items() if len(parts) > 1}
    return {name: tuple(sorted(inside[name] - whole, key=natural)) for name in sorted(whole, key=natural)}
