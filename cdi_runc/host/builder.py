"""Make a snapshot: read the settings and the spec files, resolve conflicts. `python -I builder.py CONFIG` prints one.

Slow, and run by the first container that finds no fresh snapshot (or by `cdictl refresh`), in the interpreter that has
PyYAML and jsonschema. Knows nothing of containers.
"""

import marshal
import os
import sys
import time
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from cdi_runc.cdi.errors import CDIError
from cdi_runc.cdi.registry import Registry, spec_files
from cdi_runc.host import settings, snapshot

if TYPE_CHECKING:
    from cdi_runc.cdi.injection import Found
    from cdi_runc.host.snapshot import Stamp

# Files are stamped with the time of the kernel's last tick (10 ms at 100 Hz), so that a change within the tick of the
# one before bears the same stamp; some file systems know whole seconds only.
TICK_NS = 20_000_000
SECOND_NS = 1_000_000_000

# What the system's Python reads is written by the one that has PyYAML: in the form that all since 3.4 know.
MARSHAL = 4

# How often the files may change while they are read before it is said that this can't go on.
ATTEMPTS = 50


def build(config: str) -> bytes:
    """The snapshot, in bytes, of the settings in the file `config` and of the spec files in the directories they name.

    What was read is certain to be what the stamps stand for: it is read again if a stamp changed in the meantime, and
    not before the last change is so long ago that another one would have another stamp. Raises TimeoutError where the
    files keep changing.
    """
    for _ in range(ATTEMPTS):
        stamps = {config: snapshot.stamp(config)}
        read = settings.read(config)
        stamps |= _stamps(read["spec-dirs"])
        if _had_to_wait(stamps):
            continue
        registry = Registry(spec_dirs=read["spec-dirs"])
        if stamps == {config: snapshot.stamp(config)} | _stamps(read["spec-dirs"]):
            return _assembled(
                stamps,
                read,
                refused={path: str(errors[0]) for path, errors in registry.errors.items()},
                conflicts={name: list(paths) for name, paths in registry.conflicts.items()},
                devices={name: (found.path, found.spec_edits, found.edits) for name, found in registry.devices.items()},
            )
    raise TimeoutError(f"{config} or the spec files changed {ATTEMPTS} times while they were read")


def _assembled(
    stamps: "dict[str, Stamp]",
    read: dict[str, Any],
    refused: dict[str, str],
    conflicts: dict[str, list[str]],
    devices: "dict[str, Found]",
) -> bytes:
    """The bytes of a snapshot, whose form snapshot.py explains."""
    parts: list[bytes] = []
    end = 0

    def put(edits: Any) -> tuple[int, int, int]:
        nonlocal end
        part = marshal.dumps(edits, MARSHAL)
        parts.append(part)
        end += len(part)
        return end - len(part), len(part), snapshot.checksum(part)

    specs: list[tuple[str, int, int, int]] = []
    numbers: dict[str, int] = {}
    places: dict[str, tuple[int, int, int, int]] = {}
    for name, (path, spec_edits, edits) in devices.items():
        if path not in numbers:
            numbers[path] = len(specs)
            specs.append((path, *put(spec_edits)))
        places[name] = (numbers[path], *put(edits))
    head = marshal.dumps((stamps, read, refused, conflicts, places, specs), MARSHAL)
    sizes = f"{len(head):x} {snapshot.checksum(head):x}".ljust(snapshot.SIZES).encode()
    return snapshot.MAGIC + sizes + head + b"".join(parts)


def _stamps(directories: list[str]) -> "dict[str, Stamp]":
    """The stamps of the spec directories and of each spec file in them."""
    paths = list(directories)
    for directory in directories:
        try:
            paths += spec_files(directory)
        except CDIError:
            pass  # it can't be read: its own stamp is in, and the registry has an error for it
    return {path: snapshot.stamp(path) for path in paths}


def _had_to_wait(stamps: "dict[str, Stamp]") -> bool:
    """Wait, if need be, until a change would get a later time than the last one that the stamps know."""
    now = time.time_ns()
    last = max((found[-1] for found in stamps.values() if found and found[-1] <= now), default=0)
    settled = last + (SECOND_NS if last % SECOND_NS == 0 else TICK_NS)
    if settled <= now:
        return False
    time.sleep((settled - now) / 1e9)
    return True


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
