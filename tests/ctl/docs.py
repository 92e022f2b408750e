"""The examples of docs/cdictl.md, generate.md and vendors.md: run on a small host of their own, so that a page shows
what cdictl prints.

A block marked `<!-- file: PATH -->` is a file of that host, a block of `console` a session on it: `$ ` begins a
command, `...` stands for whatever differs from host to host. `python -m tests.ctl.docs` writes the outputs anew.
"""

import doctest
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
PAGES = (DOCS / "cdictl.md", DOCS / "generate.md", DOCS / "security.md", DOCS / "vendors.md")
BIN = Path(sys.executable).parent

_BLOCK = re.compile(
    r"(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_PATH = re.compile(r"(?<![\w.])/(?=(?:etc/cdi|var/run/cdi|bundles)\b)")  # what is below the small host's root


@dataclass(frozen=True)
class Example:
    """A command with what it printed, and where that stands in the page."""

    command: str
    shown: str
    printed: str
    place: tuple[int, int]

    @property
    def holds(self) -> bool:
        """Whether the page shows what was printed."""
        return doctest.OutputChecker().check_output(self.shown, self.printed, doctest.ELLIPSIS)


def examples(page: str, root: Path) -> Iterator[Example]:
    """Run the page's examples in their order, with `root` for the root directory."""
    directory = root / "bin"
    directory.mkdir()
    settings = {"spec-dirs": [f"{root}/etc/cdi", f"{root}/var/run/cdi"]}
    config = root / "etc/cdi-runc/config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(str(settings))
    wrapper = f'#!/bin/sh\nexec {shlex.quote(str(BIN))}/cdictl --config {shlex.quote(str(config))} "$@"\n'
    (directory / "cdictl").write_text(wrapper)
    (directory / "cdictl").chmod(0o755)
    (directory / "runc").write_text("#!/bin/sh\n")
    (directory / "runc").chmod(0o755)
    for block in _BLOCK.finditer(page):
        if block["file"]:
            path = root / block["file"].lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block["text"])
        elif block["kind"] == "console":
            yield from _session(block["text"], block.start("text"), root)


def _session(text: str, start: int, root: Path) -> Iterator[Example]:
    for part in re.finditer(r"^\$ (?P<command>.*(?:\n> .*)*)\n(?P<shown>(?:(?!\$ ).*\n)*)", text, re.MULTILINE):
        command = part["command"].replace("\n> ", "\n")
        env = {**os.environ, "PATH": f"{root}/bin:{BIN}:{os.environ['PATH']}", "XDG_RUNTIME_DIR": str(root)}
        done = subprocess.run(
            ["sh", "-c", _PATH.sub(f"{root}/", command)],
            cwd=root,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        place = start + part.start("shown"), start + part.end("shown")
        yield Example(command, part["shown"], done.stdout.replace(str(root), ""), place)


def main() -> None:
    """Put what the examples print now into the pages, where they show something else."""
    for path in PAGES:
        page = path.read_text("utf-8")
        with tempfile.TemporaryDirectory() as root:
            for example in reversed(list(examples(page, Path(root)))):
                if not example.holds:
                    start, end = example.place
                    page = page[:start] + example.printed + page[end:]
        path.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
