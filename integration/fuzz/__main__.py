"""`python -m integration.fuzz [--seconds N] [--seed S] [PART...]`: odd and broken input for all that reads input.

It needs neither root nor an engine, and changes nothing of the host. docs/security.md says what each part tries. Exit
status 1 where something was found.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from integration import findings
from integration.findings import Run
from integration.fuzz import configs, files, guided

_SHORT = 60  # seconds


def parts(root: Path) -> dict[str, Run]:
    """The parts, by name; `root` is for their files."""

    def folder(name: str) -> Path:
        (root / name).mkdir()
        return root / name

    return {
        "json": configs.json_texts,
        "config": configs.configs,
        "names": configs.names,
        "requests": configs.requests,
        "argv": lambda part: configs.argv(part, folder("argv")),
        "specs": files.specs,
        "policy": lambda part: files.policies(part, folder("policy")),
        "recipes": files.recipes,
        "engine-files": files.engine_files,
        "json-atheris": guided.part_of("json"),
        "specs-atheris": guided.part_of("spec"),
    }


def main() -> None:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(description="Try odd input on cdi-runc.")
    parser.add_argument("--seconds", type=float, default=480, help="for all parts together (default 480)")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"), help="of all chances")
    parser.add_argument("part", nargs="*", metavar="PART", help="which parts (default: all)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cdi-runc-fuzz-") as root:
        made = parts(Path(root))
        unknown = [name for name in arguments.part if name not in made]
        if unknown:
            parser.error(f"no part is called {unknown[0]!r}; expected {', '.join(made)}")
        short = arguments.seconds < _SHORT
        found = findings.run(made, arguments.part, arguments.seconds, arguments.seed, short)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
