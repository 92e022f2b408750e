"""What an older engine's own CDI library refuses: a version of the standard that it does not know yet.

For each engine, the table has the first release with each newer version of the standard. The source is
container-device-interface in go.mod (Docker: also vendor.mod) at the release's tag. All these libraries refuse an
unknown `cdiVersion` before they look at anything else. A field needs the same version in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cdi_runc.cdi.spec import field_text
from cdi_runc.cdi.versions import KNOWN_VERSIONS, requirement
from cdi_runc.ctl.specs.check.finding import Remark

RELEASES = {
    "podman": {"4.1": "0.4.0", "4.3": "0.5.0", "4.7": "0.6.0", "5.1": "0.7.0", "5.2": "0.8.0", "5.5": "1.0.0"},
    "docker": {
        "25.0": "0.6.0",
        "25.0.17": "0.8.0",
        "26.0": "0.6.0",
        "26.1": "0.7.0",
        "27.4": "0.8.0",
        "28.1": "1.0.0",
        "29.2": "1.1.0",
    },
    "containerd": {
        "1.7": "0.5.0",
        "1.7.12": "0.6.0",
        "1.7.16": "0.7.0",
        "1.7.27": "0.8.0",
        "2.0": "0.8.0",
        "2.0.5": "1.0.0",
        "2.2.1": "1.1.0",
    },
    "crio": {
        "1.24": "0.3.0",
        "1.25": "0.5.0",
        "1.28": "0.6.0",
        "1.30": "0.7.0",
        "1.31": "0.8.0",
        "1.33": "1.0.0",
        "1.35": "1.1.0",
    },
    "spec": {version: version for version in KNOWN_VERSIONS[2:]},
}


def newest_known(engine: str, release: str) -> str | None:
    """The newest version of the standard that a release of an engine knows; None for one without CDI.

    Raises KeyError for another engine than those in RELEASES, ValueError for what is no release.

    >>> newest_known("podman", "4.2"), newest_known("docker", "20.10"), newest_known("spec", "0.5")
    ('0.4.0', None, '0.5.0')
    """
    asked = _numbers(release)
    known = None
    for first, version in RELEASES[engine].items():
        if _numbers(first) <= asked:
            known = version
    return known


def too_new(spec: Any, engine: str, release: str) -> Iterator[Remark]:
    """Why a release of an engine would refuse the spec, if it would."""
    known = newest_known(engine, release)
    if known is None:
        yield ("cdiVersion",), f"{engine} {release} knows nothing of CDI; with cdi-runc it takes any version"
        return
    version = spec["cdiVersion"].removeprefix("v")
    if KNOWN_VERSIONS.index(version) <= KNOWN_VERSIONS.index(known):
        return
    limit = f"{engine} {release} knows {known} at most" if engine != "spec" else f"{known} is wanted at most"
    needed, field = requirement(spec)
    if KNOWN_VERSIONS.index(needed) <= KNOWN_VERSIONS.index(known):
        advice = f"nothing in the file needs more than {needed}: cdictl spec downgrade --to {known}"
    else:
        advice = f"{field_text(field)} needs {needed}"
    yield ("cdiVersion",), f"is {version}, and {limit}; {advice}"


def _numbers(release: str) -> tuple[int, int, int]:
    major, minor, patch, *_ = (*map(int, release.removeprefix("v").split(".")), 0, 0)
    return major, minor, patch
