"""Specs that no longer fit the host, of `cdictl generate` and of vendors' tools, and what makes them again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cdi_runc.cdi.names import split_kind
from cdi_runc.ctl.specs.check.host import THERE

if TYPE_CHECKING:
    from cdi_runc.ctl.options import Options
    from cdi_runc.generate.files import Step

# By vendor, the command that makes its spec files again.
_REMEDIES = {
    "nvidia.com": "nvidia-ctk cdi generate --output={}",
    "amd.com": "amd-ctk cdi generate --output={}",
    "intel.com": "intel-cdi-specs-generator, which writes {}",
}
_OTHERS = "make {} again with the tool of its vendor"


@dataclass(frozen=True)
class Finding:
    """A spec that no longer fits the host: what is wrong, the command that repairs it, and a function that does it."""

    text: str
    mend: str
    fix: Callable[[], object] | None = None


def outdated(specs: Mapping[str, Any], options: Options) -> Iterator[Finding]:
    """What is wrong with each of these specs, by path: one line for a file."""
    ours = set()
    for directory in dict.fromkeys(os.path.dirname(path) for path in specs if is_ours(path)):
        for step in _steps(directory, options):
            ours.add(step.path)
            if step.old and step.action in ("write", "remove"):
                yield _stale(step, directory)
    for path, spec in specs.items():
        if path not in ours:
            yield from _dangling(path, spec)


def is_ours(path: str) -> bool:
    """Whether a file is one of `cdictl generate`."""
    from cdi_runc.generate.text import is_ours

    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return is_ours(file.readline())
    except OSError:
        return False


def _steps(directory: str, options: Options) -> list[Step]:
    from cdi_runc.ctl.specs.look import Place

    return Place(options, "/", directory).look(()).steps


def _stale(step: Step, directory: str) -> Finding:
    from cdi_runc import parse_spec
    from cdi_runc.generate.changes import changes
    from cdi_runc.generate.files import OUTPUT_DIRECTORY, old_spec, take

    changed = changes(old_spec(step), parse_spec(step.new) if step.new else None)
    where = "" if directory == OUTPUT_DIRECTORY else f" --output-dir {directory}"
    why = step.reason or (_first(changed) if changed else "a recipe has changed")
    return Finding(f"{step.path} is stale: {why}", f"cdictl generate --write{where}", lambda: take(step))


def _dangling(path: str, spec: Any) -> Iterator[Finding]:
    """What a spec names that is not there, or is another device than the spec says."""
    wrong = list(dict.fromkeys(remark[1] for check in THERE for remark in check(spec)))
    if wrong:
        vendor = split_kind(spec["kind"])[0]
        yield Finding(f"{path}: {_first(wrong)}", _REMEDIES.get(vendor, _OTHERS).format(path))


def _first(lines: list[str]) -> str:
    return lines[0] + (f" (and {len(lines) - 1} more)" if len(lines) > 1 else "")
