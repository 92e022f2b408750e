"""Why a device can't be had, in one wording for the shim, cdictl and the hooks. Slow to load, and rarely needed."""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from cdi_runc.cdi._files import read_file
from cdi_runc.cdi.names import is_qualified_name

if TYPE_CHECKING:
    from cdi_runc.host.known import Known

MOST_FILES = 3  # that a message names
MAX_SIZE = 1 << 20  # bytes of a file that is searched for a device


def why_missing(names: Sequence[str], known: Known) -> str:
    """One line on devices that can't be had: defined twice, or nowhere, perhaps because of a file that is not used."""
    names = list(dict.fromkeys(names))
    reasons = [_reason(name, known) for name in names]
    if all(name in known.conflicts for name in names):
        return "; ".join(reasons)
    in_conflict = {path for paths in known.conflicts.values() for path in paths}
    refused = [line for path, line in known.refused.items() if path not in in_conflict]
    return "; not used: ".join(["; ".join(reasons), *refused[:MOST_FILES]])


def nearest(name: str, names: Iterable[str]) -> str:
    """The name that was perhaps meant, as the end of a sentence; '' where none is near.

    >>> nearest("vendor.con/gpu=0", ["vendor.com/gpu=0", "other.org/nic=a"]), nearest("gpu=0", ["vendor.com/gpu=0"])
    ('; did you mean vendor.com/gpu=0?', '; did you mean vendor.com/gpu=0?')
    """
    names = list(names)
    near = [each for each in names if each.endswith("/" + name)] or difflib.get_close_matches(name, names, 1, 0.7)
    return f"; did you mean {near[0]}?" if near else ""


def _reason(name: str, known: Known) -> str:
    if name in known.conflicts:
        return f"{name} is defined twice: in {' and in '.join(known.conflicts[name])}"
    hint = nearest(name, known.names)
    if not is_qualified_name(name):
        return f"{name!r} is not a CDI device name; expected vendor.com/class=name{hint}"
    unread = "" if hint.endswith(f"{name}?") else _unread(name, known.settings["spec-dirs"])
    return f"no spec file in {', '.join(known.settings['spec-dirs'])} defines {name}{unread or hint}"


def _unread(name: str, directories: Iterable[str]) -> str:
    """Where a device is defined that nobody looks for it: in a `.yml` file, or in a later YAML document of a file.

    It is found by its text: the shim's own Python has no YAML.
    """
    for directory in directories:
        for path in sorted(glob.glob(os.path.join(glob.escape(directory), "*.y*ml"))):
            try:
                documents = re.split(r"^---", read_file(path, MAX_SIZE).decode(), flags=re.MULTILINE)
            except (OSError, ValueError):
                continue
            if path.endswith(".yml") and any(_defines(text, name) for text in documents):
                return f"; {path} names it, but only files that end in .yaml or .json are read: rename it"
            if any(_defines(text, name) for text in [text for text in documents if text.strip()][1:]):
                return f"; {path} names it in a second YAML document, which nobody reads: move it to another file"
    return ""


def _defines(text: str, name: str) -> bool:
    kind, _, device = name.partition("=")
    entry = rf"""\bname["']?\s*:\s*["']?{re.escape(device)}["']?\s*([,}}#]|$)"""
    return kind in text and re.search(entry, text, re.MULTILINE) is not None
