"""Names of devices as people type them: qualified names, and patterns that mean several of them."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cdi_runc.host.known import Known


def is_pattern(word: str) -> bool:
    """Whether a word has a character of shell patterns. Names of devices never have these.

    >>> is_pattern("vendor.com/gpu=*"), is_pattern("vendor.com/gpu=0")
    (True, False)
    """
    return not set(word).isdisjoint("*?[")


def meant(words: Sequence[str], known: Known) -> list[str]:
    """The devices that the words mean, each once, in the order of the words; ClickException for a word without one."""
    found: dict[str, None] = {}
    missing = []
    for word in words:
        names = [name for name in sorted(known.names) if fnmatchcase(name, word)] if is_pattern(word) else [word]
        if not names:
            raise click.ClickException(f"no device matches {word!r} (see: cdictl devices)")
        found |= dict.fromkeys(names)
        missing += [name for name in names if known.find(name) is None]
    if missing:
        from cdi_runc.host.missing import why_missing

        raise click.ClickException(why_missing(missing, known))
    return list(found)
