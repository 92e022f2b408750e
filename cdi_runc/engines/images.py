"""Whether the author of an image can ask for devices, because an engine hands the image's annotations on.

Podman does so before 4.6 (containers/podman, pull request 18542). Knows versions and settings; asks no engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdi_runc.engines.engine import MARKER_MOUNTS, EngineError, Found

# The first version of an engine that keeps the annotations of images to itself.
_KEEPS_THEM = {"podman": (4, 6), "podman-hooks": (4, 6)}

OPTION = "--accept-image-annotations"


def hands_on(name: str) -> bool:
    """Whether there are versions of the engine of that name that hand the annotations of images on."""
    return name in _KEEPS_THEM


def can_ask(found: Found, requests: Mapping[str, Any]) -> bool:
    """Whether an image of this engine can ask, with these `requests` of the settings."""
    return bool(requests["annotations"]) and found.release < _KEEPS_THEM.get(found.name, (0,))


def warning(found: Found) -> str:
    """What to know of such an engine, without an end."""
    version = found.version or "of an unknown version"
    return f"Podman {version} hands the annotations of an image on (4.6 does not), so an image can ask for devices"


def remedy(config: str) -> str:
    """What the settings in the file `config` must say, so that only users ask."""
    return f"let only mounts ask: `annotations: []` and `mounts: {MARKER_MOUNTS}` below `requests:` in {config}"


def require_consent(found: Found, requests: Mapping[str, Any], config: str) -> None:
    """Refuse to register with an engine whose images could then ask. Raises EngineError."""
    if can_ask(found, requests):
        raise EngineError(f"{warning(found)}: {remedy(config)}, or accept it: {OPTION}")
