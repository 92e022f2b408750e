"""Make a snapshot: read the settings and the spec files, resolve conflicts. `python -I builder.py CONFIG` prints one.

Slow, and run by the first container that finds no fresh snapshot (or by `cdictl refresh`), in the interpreter that has
PyYAML and jsonschema. Knows nothing of containers.
"""

import marshal
import os
import sys
import time
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from cdi_runc.cdi.errors import CDIError
from cdi_runc.cdi.registry import Registry
from cdi_runc.cdi.spec import load_spec, parse_spec
from cdi_runc.host import policy, reading, snapshot, trust

if TYPE_CHECKING:
    from cdi_runc.cdi.types import Spec
    from cdi_runc.host.reading import Reading

# What the system's Python reads is written by the one that has PyYAML: in the form that all since 3.4 know.
MARSHAL = 4

# A page of the index is read for each device that is asked for, and the list of pages at every create.
DEVICES_PER_PAGE = 8
MOST_PAGES = 128


class _Files(Registry):
    """The devices of spec files that have been read; `parsed` keeps what is in them for the next time."""

    def __init__(self, files: "Reading", parsed: "dict[tuple[str, bytes], Spec]") -> None:
        self._files, self._parsed = files, parsed
        super().__init__(files.directories)

    def _paths(self, directory: str) -> list[str]:
        return self._files.paths(directory)

    def _load(self, path: str) -> "Spec":
        if self._files.settings["trust"] == "strict":
            trust.require_spec(path)
        content = self._files.files[path].content
        if not isinstance(content, bytes):
            return load_spec(path, self._files.spec)
        if (path, content) not in self._parsed:
            self._parsed[path, content] = load_spec(path, self._files.spec)
        return self._parsed[path, content]


def build(config: str) -> bytes:
    """The snapshot, in bytes, of the settings in the file `config` and of the spec files in the directories they name.

    Each file was so after the call began. What can't be told from a later change by its stamp has the stamp NEVER.
    Raises SettingsError, and TimeoutError for a config that never rests.
    """
    began = time.monotonic_ns()
    parsed: dict[tuple[str, bytes], Spec] = {}
    seen: dict[str, list[bytes]] = {}
    while True:
        files = reading.read(config, seen)
        registry = _Files(files, parsed)
        torn = [path for path in registry.errors if path not in registry.specs and path in files.files]
        torn = [path for path in torn if files.is_young(path)]
        if not torn:
            return _assembled(files, registry, began)
        if time.monotonic_ns() - began > reading.LIMIT_NS:
            _take_whole_ones(files, torn)
            return _assembled(files, _Files(files, parsed), began)
        time.sleep(reading.PAUSE_S)


def _take_whole_ones(files: "Reading", torn: list[str]) -> None:
    """Files that are seldom whole: let each be what it was when it was a spec, since the call began."""
    for path in torn:
        for content in reversed(files.seen.get(path, [])):
            try:
                parse_spec(content)
            except CDIError:
                continue
            files.take(path, content)
            break


def _assembled(files: "Reading", registry: Registry, began: int) -> bytes:
    """The bytes of a snapshot, whose form snapshot.py explains."""
    parts: list[bytes] = []
    end = 0

    def put(edits: Any) -> tuple[int, int, int]:
        nonlocal end
        part = marshal.dumps(edits, MARSHAL)
        parts.append(part)
        end += len(part)
        return end - len(part), len(part), snapshot.checksum(part)

    rules = [(*policy.guard(rule), put(rule)) for rule in files.policy["rules"]]
    numbers = policy.numbers_by_device(files.policy["rules"], registry.devices)
    of_numbers: dict[tuple[int, ...], tuple[int, int, int]] = {}
    specs: dict[str, tuple[int, int, int]] = {}
    pages: list[dict[str, Any]] = [{} for _ in range(_pages(len(registry.devices)))]
    for name, found in registry.devices.items():
        if found.path not in specs:
            specs[found.path] = put(found.spec_edits)
        if numbers[name] not in of_numbers:
            of_numbers[numbers[name]] = put([rules[number] for number in numbers[name]])
        entry = (found.path, specs[found.path], put(found.edits), of_numbers[numbers[name]])
        pages[snapshot.page_of(name, len(pages))][name] = entry
    index = tuple(put(page) for page in pages)
    aside = put(
        (
            {path: str(errors[0]) for path, errors in registry.errors.items()},
            {name: list(paths) for name, paths in registry.conflicts.items()},
            rules,
        )
    )
    stamps = [(path, files.known(path)) for path in (files.config, files.policy_path)]
    # A directory above is looked at again only if it is a fault: a file that is replaced is seen by its own stamp.
    above = trust.culprits([files.config, files.policy_path, *files.directories])
    stamps += [(path, snapshot.stamp(path)) for path in above]
    settings = files.settings | {"policy": policy.counted(files.policy)}
    settings["foreign"] = trust.foreign(settings, files.config, registry.specs)
    if settings["audit"] != "none":
        settings["hashes"] = {path: sha256(files.spec(path)).hexdigest() for path in registry.specs}
    settings["fault"] = settings["fault"] or trust.fault_of(settings, files.config)
    head = marshal.dumps((stamps, list(files.folders()), settings, began, index, aside), MARSHAL)
    sizes = f"{len(head):x} {snapshot.checksum(head):x}".ljust(snapshot.SIZES).encode()
    return snapshot.MAGIC + sizes + head + b"".join(parts)


def _pages(devices: int) -> int:
    return max(1, min(devices // DEVICES_PER_PAGE, MOST_PAGES))


def main() -> int:
    """Print the snapshot for the config named on the command line, or in one line why there is none."""
    try:
        data = build(sys.argv[1])
    except Exception as error:  # whatever it is, the caller's user gets it in one line
        data, status = f"{type(error).__name__}: {error}".encode("utf-8", "replace"), 1
    else:
        status = 0
    sys.stdout.buffer.write(data)
    return status


if __name__ == "__main__":
    sys.exit(main())
