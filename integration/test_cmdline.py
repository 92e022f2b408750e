"""The real runc and crun say which bundle they take from thousands of random command lines: ours must be the same.

No bundle in them exists, so nothing ever starts: a runtime's own error says which one it tried. CMDLINE_LINES sets how
many lines each runtime gets.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from cdi_runc.shim.cmdline import Call, parse

LINES = int(os.environ.get("CMDLINE_LINES", "2000"))
CHUNKS = 8  # tests per runtime, each with a seed of its own


class Dialect(NamedTuple):
    """What a runtime's lines are made of, and how to read its answers."""

    options: tuple[list[str], list[str]]  # that take a value, and flags; before the command
    command_options: tuple[list[str], list[str]]
    tried: str  # matches an error that names what was tried: group 1, or the working directory where it is missing
    refused: str  # refusals of lines that may be taken for good ones


DIALECTS = {
    "runc": Dialect(
        (["log", "log-format", "root", "rootless", "criu"], ["debug", "systemd-cgroup", "help", "h", "version", "v"]),
        (
            ["bundle", "b", "console-socket", "pid-file", "preserve-fds", "image-path", "log", "root"],
            ["no-pivot", "no-new-keyring", "detach", "d", "keep", "no-subreaper", "help", "h", "debug"],
        ),
        r"chdir (.*): (?:no such file or|not a) directory|JSON specification file config\.json not found",
        # Unknown or of another version of runc; an ID before a flag's neighbour; a value that is ours to look over.
        r"flag provided but not defined|Cannot use two forms|requires exactly 1 argument|invalid (boolean )?value"
        r"|bad flag syntax|(unknown|invalid) log-format|No help topic|open /dev/null/"
        r"|runc version",  # main prints it for `--version=false` too
    ),
    "crun": Dialect(
        (
            ["log", "log-format", "root", "rootless", "cgroup-manager"],
            ["debug", "systemd-cgroup", "help", "?", "usage", "version", "v", "V"],
        ),
        (
            ["bundle", "b", "config", "f", "console-socket", "preserve-fds", "pid-file"],
            ["no-pivot", "no-new-keyring", "no-subreaper", "detach", "d", "keep", "help", "?", "usage", "V"],
        ),
        r"realpath `(.+)` failed|chdir `(.+)` failed|error loading config\.json|load `.+`: cannot read",
        r"unrecognized option|invalid option|ambiguous|unknown (command|cgroup manager|log format)|open log file"
        r"|invalid value|(unknown|invalid) .* specified",  # later ones than 1.8 look over more of the values
    ),
}
COMMANDS = ["create"] * 5 + ["run"] * 4 + ["restore", "state", "list", "features"]
# No word of these is a command that changes anything, since a line that lost a word may take any of them for one; and
# nobody can make a directory in /dev/null.
WORDS = [
    *("create", "run", "state", "restore", "b1", "b2", "b3", "b4", "/dev/null/b5", "nonexistent/b6", "b=7"),
    *("id", "--", "-", "", "-b", "--bundle", "-bb8", "--bundle=b9", "--pid-file", "-d", "config.json", "3", "true"),
]
# What these options take is looked over before the bundle is, so most of it should be good.
VALUES = {
    "log-format": ["json", "text", "text", "yaml"],
    "cgroup-manager": ["cgroupfs", "systemd", "b1"],
    "preserve-fds": ["3", "0", "0x2", "b1"],
    "config": ["/dev/null/c1", "c2", "config.json", "", "-f"],
    "f": ["/dev/null/c3", "c4", "config.json", "create"],
    "image-path": ["images", "-i"],  # runc makes it
    "log": ["log", "create", "run", "", "-", "--"],
}


def random_option(rng: Random, options: tuple[list[str], list[str]]) -> list[str]:
    """One option as somebody might type it, and with it the value."""
    taking, flags = options
    if rng.random() < 0.3:
        name = rng.choice(flags if rng.random() < 0.5 else flags[:2])  # the later ones only print something
        form = rng.choice(["-{}", "--{}"] if len(name) > 1 else ["-{}", "-{}", "--{}"])
        return [form.format(name) + rng.choice([""] * 8 + ["=true", "=false", "=", "=no"])]
    name = rng.choice(taking + taking[:2] * 3)
    value = rng.choice(VALUES.get(name, WORDS))
    if len(name) == 1:
        cluster = rng.choice(["", "", "", "d", "dd", "x"])
        return rng.choice([[f"-{cluster}{name}", value], [f"-{name}{value}"], [f"-{name}={value}"]])
    if rng.random() < 0.2:
        name = name[: rng.randint(1, len(name))]
    dashes = rng.choice(["--"] * 6 + ["-", "---"])
    return [f"{dashes}{name}={value}"] if rng.random() < 0.4 else [f"{dashes}{name}", value]


def random_line(rng: Random, dialect: Dialect) -> list[str]:
    """A line in the usual order, or one that a slip of the hand has spoilt."""
    line: list[str] = []
    for _ in range(rng.choice([0, 0, 1, 1, 2])):
        line += random_option(rng, dialect.options)
    line += ["--"] if rng.random() < 0.05 else []
    line.append(rng.choice(COMMANDS))
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        line += random_option(rng, dialect.command_options)
    line += ["--"] if rng.random() < 0.1 else []
    line.append(rng.choice(WORDS) if rng.random() < 0.3 else "id")
    if rng.random() < 0.3:
        line += random_option(rng, dialect.command_options)
    if rng.random() < 0.15:
        line.insert(rng.randint(0, len(line)), rng.choice([*WORDS, "--bogus", "-x", "--bogus=b1", "--="]))
    if rng.random() < 0.1:
        del line[rng.randrange(len(line))]
    return line


def ask(runtime: str, line: list[str], cwd: Path) -> str:
    """What the runtime says of the line, run in the empty directory CWD."""
    done = subprocess.run(
        [runtime, *line],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(cwd)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=30,
        check=False,
    )
    return done.stdout.decode(errors="surrogateescape")


def expected(call: Call) -> str | None:
    """What a runtime that reads the line as CALL tries first: "" is the working directory, None is nothing at all."""
    if call.config is None:
        return None
    own_config = call.config != ("config.json" if call.bundle is None else f"{call.bundle}/config.json")
    if own_config and not call.config.startswith("/"):
        return call.config  # crun looks for it before it enters the bundle
    return call.bundle or ""


def oddly_read(line: list[str], call: Call) -> bool:
    """Whether runc may read the line in a way of its own that nobody means, and that we leave alone.

    Main drops whatever follows a word `-` after the command. 1.x puts options before other words, so that it takes
    `create id dir --bundle` for `create --bundle id dir`; and a `--help=false` of its takes back a `--help`.
    """
    asks_for_help = [word for word in line if word.lstrip("-")[:1] == "h"]
    nonsense = line[-1].startswith("-") or "--" in line or len(asks_for_help) > 1
    return "-" in line or (call.command is None and nonsense)


def disagreement(runtime: str, line: list[str], cwd: Path) -> str | None:
    """How the runtime and our reading of the line differ, if they do."""
    dialect = DIALECTS[runtime]
    call = parse(line, runtime)
    answer = ask(runtime, line, cwd)
    match = re.search(dialect.tried, answer)
    if match is None:
        if expected(call) is None or re.search(dialect.refused, answer):
            return None
        return f"{line}: we say {expected(call)!r}, {runtime} tries nothing: {answer[-300:]}"
    tried = next(filter(None, match.groups()), "").removeprefix(f"{cwd}/")
    if tried != expected(call):
        if runtime == "runc" and oddly_read(line, call):
            return None
        return f"{line}: we say {expected(call)!r}, {runtime} tries {tried!r}"
    # runc opens its log before all else, crun's create when it is in the bundle and the others later.
    logs = {path.name for path in cwd.iterdir() if path.is_file()}
    log_is_due = runtime == "runc" or (call.command == "create" and not tried)
    if log_is_due and logs != ({call.log} if call.log else set()):
        return f"{line}: we say the log is {call.log!r}, {runtime} has written {logs}"
    return None


@pytest.fixture
def empty_directories() -> Iterator[Callable[[], Path]]:
    with tempfile.TemporaryDirectory() as parent:
        yield lambda: Path(tempfile.mkdtemp(dir=parent))


@pytest.mark.parametrize("seed", range(CHUNKS))
@pytest.mark.parametrize("runtime", DIALECTS)
def test_the_runtime_reads_a_random_line_as_we_do(
    runtime: str, seed: int, empty_directories: Callable[[], Path]
) -> None:
    if shutil.which(runtime) is None:
        pytest.skip(f"{runtime} is not installed")
    rng = Random(seed)
    lines = [random_line(rng, DIALECTS[runtime]) for _ in range(LINES // CHUNKS)]
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda line: disagreement(runtime, line, empty_directories()), lines)
        differences = [difference for difference in found if difference]
    assert not differences, "\n".join([f"{len(differences)} of {len(lines)} lines differ:", *differences[:10]])
