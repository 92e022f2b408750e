"""Which paths of a tree are devices of a recipe, and why the others are not."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence

from cdi_runc.generate.recipe import Match
from cdi_runc.generate.tree import Tree, matcher


def matches(match: Match, tree: Tree) -> Iterator[tuple[str, str, bool]]:
    """Each path that fits the globs, once and without links: why it is not a device ('' if it is), and if it matches.

    A link that leads out of the root is a match with a fault, since it may be a device there.
    """
    seen = set()
    for glob in match.globs:
        for path in tree.expanded(glob):
            real = tree.real(path)
            if real is None:
                if tree.is_dead_link(path):
                    yield path, f"{path} is a link that leads to nothing below the root", True
            elif real not in seen:
                seen.add(real)
                why = _objection(match, tree, real)
                yield real, why, not why


def below(path: str, relative: str) -> str:
    """A path or glob that is relative to a device's directory, or absolute already.

    >>> below("/sys/a", "drm/card*"), below("/sys/a", "/dev/kvm"), below("/sys/a", ".")
    ('/sys/a/drm/card*', '/dev/kvm', '/sys/a')
    """
    return relative if relative.startswith("/") else path if relative == "." else f"{path}/{relative}"


def target_names(tree: Tree, path: str, glob: str) -> list[str]:
    """The last parts of the paths that links lead to."""
    found = [tree.real(each) for each in tree.glob(below(path, glob))]
    return [posixpath.basename(each) for each in found if each]


def _objection(match: Match, tree: Tree, path: str) -> str:
    for glob in match.have:
        if not tree.glob(below(path, glob)):
            return f"it has no {glob}"
    for file, patterns in match.attr.items():
        text = _text(tree, below(path, file))
        if text is None:
            return f"{file} is not there or cannot be read"
        if not _fits(text, patterns):
            return f"{file} is {text[:80]!r}, not {' or '.join(patterns)}"
    return _link_objection(match.only, match.unless, tree, path)


def _link_objection(
    only: Mapping[str, Sequence[str]], unless: Mapping[str, Sequence[str]], tree: Tree, path: str
) -> str:
    for link, patterns in only.items():
        found = target_names(tree, path, link)
        if not found:
            return f"it has no {link}"
        for name in found:
            if not _fits(name, patterns):
                return f"{link} is {name}, not {' or '.join(patterns)}"
    for link, patterns in unless.items():
        for name in target_names(tree, path, link):
            if _fits(name, patterns):
                return f"{link} is {name}"
    return ""


def _text(tree: Tree, path: str) -> str | None:
    try:
        return next((tree.read(each) for each in tree.glob(path)), None)
    except OSError:
        return None


def _fits(text: str, patterns: Sequence[str]) -> bool:
    return any(matcher(pattern)(text) for pattern in patterns)
