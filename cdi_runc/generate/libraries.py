"""Shared libraries of the host, and where a loader in a container looks for them.

A driver's library is opened by its soname, `libcuda.so.1`, which on the host is a link. The file is mounted at that
name, in the directories that the loaders of distributions search without a cache. So a container needs neither the
links nor ldconfig.
"""

from __future__ import annotations

import posixpath
import re
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from cdi_runc.generate.tree import Tree, matcher

CACHE = "/etc/ld.so.cache"
MAX_CACHE = 64 << 20  # bytes

# The directories of a kind of machine, by the machine's number in ELF: Debian's, and that of most others.
_LOADERS = {
    62: ("/usr/lib/x86_64-linux-gnu", "/usr/lib64"),
    3: ("/usr/lib/i386-linux-gnu", "/usr/lib"),
    183: ("/usr/lib/aarch64-linux-gnu", "/usr/lib64"),
    243: ("/usr/lib/riscv64-linux-gnu", "/usr/lib64"),
}
_SEARCHED = (
    *dict.fromkeys(directory for directories in _LOADERS.values() for directory in directories),
    "/usr/local/lib",
    "/lib64",
    "/lib",
)
_OPTIONS = ["ro", "nosuid", "nodev", "rbind", "rprivate"]
_SONAME = re.compile(r"\.so\.\d+$")
_CACHE_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER, _ENTRY = 48, 24  # bytes, in glibc's sysdeps/generic/dl-cache.h


def library_mounts(tree: Tree, patterns: Sequence[str]) -> list[dict[str, Any]]:
    """Mounts for all libraries whose file names fit, at the names and in the directories where they are looked for."""
    if not patterns:
        return []
    found: dict[str, dict[str, Any]] = {}
    for directory in directories(tree):
        for path, name in _libraries(tree, directory, patterns):
            for place in _places(tree, path, directory):
                target = f"{place}/{name}"
                found.setdefault(target, {"hostPath": path, "containerPath": target, "options": list(_OPTIONS)})
    return list(found.values())


def directories(tree: Tree) -> list[str]:
    """The directories, without links, in which the host's loader finds libraries."""
    cached = {posixpath.dirname(path) for path in cached_libraries(tree)}
    real = (tree.real(directory) for directory in (*sorted(cached), *_SEARCHED))
    return list(dict.fromkeys(directory for directory in real if directory))


def cached_libraries(tree: Tree) -> list[str]:
    """The paths in the cache of the host's loader; none where there is no such cache, or one of another form."""
    try:
        cache = tree.read_bytes(CACHE, MAX_CACHE)
        start = cache.index(_CACHE_MAGIC)
        (count,) = struct.unpack_from("<I", cache, start + len(_CACHE_MAGIC))
        offsets = [struct.unpack_from("<iII", cache, start + _HEADER + number * _ENTRY)[2] for number in range(count)]
        texts = (cache[start + at : cache.index(b"\0", start + at)] for at in offsets)
        return [text.decode("utf-8", "replace") for text in texts]
    except (OSError, ValueError, struct.error):
        return []


def _libraries(tree: Tree, directory: str, patterns: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The files of a directory that fit, each with the name by which programs open it."""
    names = [name for name in tree.names(directory) if ".so" in name]
    links: dict[str, list[str]] = {}
    for name in names:
        if _SONAME.search(name):
            links.setdefault(name.partition(".so")[0], []).append(name)
    fits = [matcher(pattern) for pattern in patterns]
    for name in names:
        path = tree.real(f"{directory}/{name}") if any(fit(name) for fit in fits) else None
        if path is None or (_SONAME.search(name) and path != f"{directory}/{name}"):
            continue  # a link, whose file is in the list itself
        sonames = (link for link in links.get(name.partition(".so")[0], ()) if link != name)
        yield path, next((link for link in sonames if tree.real(f"{directory}/{link}") == path), name)


def _places(tree: Tree, path: str, directory: str) -> Sequence[str]:
    """The directories in the container: those of the library's machine, or the host's own if that is unknown."""
    machine = _machine(tree, path)
    if machine in _LOADERS:
        return _LOADERS[machine]
    return next((places for places in _LOADERS.values() if directory in places[:1]), (directory,))


def _machine(tree: Tree, path: str) -> int | None:
    """The machine's number in an ELF file."""
    try:
        head = tree.read_head(path, 20)
    except OSError:
        return None
    return int.from_bytes(head[18:20], "little") if head[:4] == b"\x7fELF" and len(head) == 20 else None
