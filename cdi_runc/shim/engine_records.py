"""RARE. What Docker and Podman call a container, and its image: from their own records, since its config does not say.

An engine writes them before it calls its runtime. Where they can't be read, or have another form, nothing is known.
"""

import posix

from cdi_runc.shim.bundle import READ, content, document
from cdi_runc.shim.jsontext import Document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

MAX_SIZE = 8 << 20  # bytes of a file; Podman's has a few hundred for each container
_STORAGE = "-containers/"  # containers/storage names a directory so, after its driver: overlay-containers


def names(engine: str, container: str, config: "Mapping[str, Any]", bundle: str) -> "tuple[str, str]":
    """The name and the image of a container; '' for what nobody knows.

    container: its id. bundle: the path of its bundle, or of the config there.
    """
    sources = _sources(config)
    if engine == "docker":
        return _of_docker([source for source in sources if f"/containers/{container}/" in source])
    if engine == "podman":
        return _of_podman(container, [bundle, *sources])
    return "", ""


def _sources(config: "Mapping[str, Any]") -> "list[str]":
    mounts = config.get("mounts")
    found = (mount.get("source") for mount in mounts if isinstance(mount, dict)) if isinstance(mounts, list) else ()
    return [source for source in found if isinstance(source, str)]


def _of_docker(sources: "list[str]") -> "tuple[str, str]":
    """Docker mounts /etc/hostname from the directory in which it has its record."""
    for source in sources:
        data = _json(source.rpartition("/")[0] + "/config.v2.json")
        if isinstance(data, dict):
            inner = data.get("Config")
            return _text(data.get("Name")).lstrip("/"), _text(inner.get("Image") if isinstance(inner, dict) else "")
    return "", ""


def _of_podman(container: str, paths: "list[str]") -> "tuple[str, str]":
    for path in _lists(paths):
        data = _json(path)
        for entry in data if isinstance(data, list) else ():
            if isinstance(entry, dict) and entry.get("id") == container:
                given = entry.get("names")
                try:
                    about = Document(_text(entry.get("metadata"))).value
                except ValueError:
                    about = None
                image = about.get("image-name") if isinstance(about, dict) else ""
                return _text(given[0] if isinstance(given, list) and given else ""), _text(image)
    return "", ""


def _lists(paths: "list[str]") -> "Iterator[str]":
    """The lists of containers: below the directory of the bundles, and in memory those that go with their end."""
    seen = set()
    for path in paths:
        head, found, _ = path.partition(_STORAGE)
        if found and head not in seen:
            seen.add(head)
            yield f"{head}{_STORAGE}containers.json"
            yield f"{head}{_STORAGE}volatile-containers.json"


def _json(path: str) -> "Any":
    try:
        descriptor = posix.open(path, READ | posix.O_NOFOLLOW)
    except (OSError, ValueError):
        return None
    try:
        return document(content(descriptor, posix.fstat(descriptor), MAX_SIZE)).value
    except (OSError, ValueError):
        return None
    finally:
        posix.close(descriptor)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
