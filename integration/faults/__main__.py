"""`python -m integration.faults [--seconds N] [--seed S] [PART...]`: what faults do to containers and engines' files.

As root. It runs in namespaces of its own, in which /run and /var/lib are empty and /etc is a copy, so nothing of the
host changes. Whatever it has started ends with it.
docs/security.md says what each part tries. Exit status 1 where something was found.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from integration import findings
from integration.faults import parts

_INSIDE = "CDI_RUNC_FAULTS"
_SHORT = 60  # seconds; with fewer, each part tries a small number of cases


def main() -> None:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(description="Try faults on cdi-runc.")
    parser.add_argument("--seconds", type=float, default=480, help="for all parts together (default 480)")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"), help="of all chances")
    parser.add_argument("part", nargs="*", metavar="PART", help=f"of {', '.join(parts.NAMES)} (default: all)")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.part if name not in parts.NAMES]
    if unknown:
        parser.error(f"no part is called {unknown[0]!r}; expected {', '.join(parts.NAMES)}")
    if os.geteuid() != 0:
        parser.exit(2, "faults: it needs root, for a mount namespace of its own\n")
    if _INSIDE not in os.environ:
        _enter()
    with tempfile.TemporaryDirectory(prefix="cdi-runc-faults-", dir="/run") as root:
        found = findings.run(
            parts.made(Path(root)), arguments.part, arguments.seconds, arguments.seed, arguments.seconds < _SHORT
        )
    sys.exit(1 if found else 0)


def _enter() -> None:
    """Start this again where the host's /run, /var/lib, /etc and processes are out of sight."""
    mounts = "mount -t tmpfs -o mode=755 faults /run && mount -t tmpfs -o mode=755 faults /var/lib"
    mounts += ' && cp -a /etc /run/etc && mount --bind /run/etc /etc && exec "$@"'
    apart = ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = [*apart, "sh", "-c", mounts, "sh", sys.executable, "-m", "integration.faults", *sys.argv[1:]]
    os.execvpe(command[0], command, {**os.environ, _INSIDE: "1"})


if __name__ == "__main__":
    main()
