"""`python -m integration.mutants [--count N] [--seed S]`: which small faults in cdi/, host/ and shim/ the tests see.

mutmut makes the mutants: each is a module with one small fault. This module takes a sample of them. It tries each in a
copy of the tree with the tests of the same folders, the nearest first, until one fails. mutmut's own runner is no help
here: it adds code to each module, and the hot path may not import that. docs/contributing.md explains the output.
"""

import argparse
import difflib
import functools
import math
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGES = ("cdi", "host", "shim")

# A mutant may ask for memory without end. As root, it must not reach the host's mounts and processes.
CONFINED = ["prlimit", f"--as={4 << 30}"]
if os.geteuid() == 0:
    CONFINED += ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
PYTEST = ["-m", "pytest", "-qx", "-p", "no:cacheprovider"]
FAILED = (1, 2)  # pytest's exit statuses for tests that fail, and for tests that can't be imported


class Mutant(NamedTuple):
    """The module at `path` below the root of the tree, with fault `number` of those that mutmut finds in it."""

    path: str
    number: int

    @property
    def package(self) -> str:
        return self.path.split("/")[1]


@functools.cache
def faults(path: str) -> tuple[Any, Sequence[Any]]:
    """A module's tree, and the faults that mutmut finds for it. pyproject.toml says which lines have none."""
    from mutmut.mutation.file_mutation import create_mutations  # `make mutants` installs it

    module, mutations, *_ = create_mutations(path, (ROOT / path).read_text())
    return module, mutations


def text_of(mutant: Mutant) -> str:
    """The module with its fault."""
    module, mutations = faults(mutant.path)
    fault = mutations[mutant.number]
    text: str = module.deep_replace(fault.original_node, fault.mutated_node).code
    return text


def sample(prefixes: Sequence[str], count: int, seed: int) -> list[Mutant]:
    """`count` mutants of the modules below `prefixes`, all equally likely, in random order; all if there are fewer."""
    paths = sorted(
        str(path.relative_to(ROOT)) for name in PACKAGES for path in (ROOT / "cdi_runc" / name).rglob("*.py")
    )
    mutants = [
        Mutant(path, number)
        for path in paths
        if path.startswith(tuple(prefixes))
        for number in range(len(faults(path)[1]))
    ]
    return random.Random(seed).sample(mutants, min(count, len(mutants)))


def nearest_tests(path: str) -> list[str]:
    """What may kill a mutant, the nearest first: the module's doctests, its test file, the tests of its folders.

    >>> nearest_tests("cdi_runc/cdi/_yaml.py")
    ['cdi_runc/cdi/_yaml.py', 'tests/cdi/test_yaml.py', 'tests/cdi', '--ignore=tests/shim/start']
    """
    module = Path(path)
    folder = Path("tests", *module.parts[1:-1])
    near = [f"{folder}/test_{module.stem.strip('_')}.py", str(folder)]
    if folder.name != "start":  # start/ has programs: to import them for their doctests would be to run them
        # The launcher, which is shell, has the slowest tests.
        near = [path, *near, f"tests/{module.parts[1]}", "--ignore=tests/shim/start"]
    return [test for test in dict.fromkeys(near) if test.startswith("-") or (ROOT / test).exists()]


def copy_tree(to: Path) -> Path:
    """Copy what git knows or could know, with a virtual environment of its own. Mutants are written into the copy."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True, timeout=60)
    for name in listed.stdout.split("\0"):
        if (ROOT / name).is_file():  # git still lists what is removed and not yet committed
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name, follow_symlinks=False)
    venv = to / ".venv"
    shutil.copytree(Path(sys.prefix, "bin"), venv / "bin", symlinks=True)
    shutil.copy2(Path(sys.prefix, "pyvenv.cfg"), venv)
    (venv / "lib").symlink_to(Path(sys.prefix, "lib"))
    subprocess.run([to / "packaging/dev/link-launcher", venv], check=True, timeout=60)
    return to


def run_tests(tree: Path, tests: Sequence[str], limit: float) -> int | None:
    """pytest's exit status at the first failure, or None after `limit` seconds. No process is left."""
    scratch = tree.with_suffix(".tmp")
    scratch.mkdir()
    process = subprocess.Popen(
        [*CONFINED, f"{tree}/.venv/bin/python", *PYTEST, f"--basetemp={scratch}/t", *tests],
        cwd=tree,
        env={**os.environ, "TMPDIR": str(scratch)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(timeout=limit)
    except subprocess.TimeoutExpired:
        return None
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait(timeout=60)
        shutil.rmtree(scratch)


def measure(tree: Path, packages: Iterable[str]) -> dict[str, float]:
    """The seconds of each of these packages' tests without a mutant. They must pass."""
    seconds = {}
    for package in packages:
        began = time.monotonic()
        if run_tests(tree, [f"cdi_runc/{package}", f"tests/{package}"], limit=600) != 0:
            raise SystemExit(f"mutants: tests/{package} fail without a mutant: make test-unit")
        seconds[package] = time.monotonic() - began
    return seconds


def judge(mutant: Mutant, trees: "queue.Queue[Path]", limit: float) -> str:
    """`killed`, `survived` or `timeout`, by the tests in one of `trees`."""
    tree = trees.get()
    module = tree / mutant.path
    try:
        module.write_text(text_of(mutant))
        # Python must not take the bytecode of an earlier mutant for this one's: each has a time of its own.
        os.utime(module, (time.time(), mutant.number))
        status = run_tests(tree, nearest_tests(mutant.path), limit)
    finally:
        shutil.copy2(ROOT / mutant.path, module)
        trees.put(tree)
    if status is None:
        return "timeout"
    if status > 0 and status not in FAILED:
        raise SystemExit(f"mutants: pytest can't run the tests of {mutant.path} (exit status {status})")
    return "killed" if status else "survived"


def diff(mutant: Mutant) -> str:
    """The fault, as a unified diff."""
    before, after = (ROOT / mutant.path).read_text(), text_of(mutant)
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), mutant.path, mutant.path, lineterm="", n=1)
    return "\n".join(lines)


def interval(hits: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, both as percentages.

    >>> [round(limit, 1) for limit in interval(85, 100)]
    [76.7, 90.7]
    """
    z, share = 1.96, hits / total
    middle = share + z * z / (2 * total)
    width = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return tuple(100 * (middle + side * width) / (1 + z * z / total) for side in (-1, 1))  # type: ignore[return-value]


def table(results: Sequence[tuple[Mutant, str]]) -> Iterator[str]:
    """A row for each package, and one for all. A timeout counts as killed: the tests do not pass."""
    yield f"{'package':8} {'killed':>7} {'timeout':>8} {'survived':>9}   {'killed or timeout'}"
    for package in (*PACKAGES, "all"):
        counts = Counter(result for mutant, result in results if package in (mutant.package, "all"))
        total = counts.total()
        if total:
            seen = total - counts["survived"]
            low, high = interval(seen, total)
            yield (
                f"{package:8} {counts['killed']:7} {counts['timeout']:8} {counts['survived']:9}"
                f"   {100 * seen / total:.1f} % (95 %: {low:.1f} to {high:.1f})"
            )


def main() -> None:
    """Try a sample of mutants; print the survivors and the table."""
    parser = argparse.ArgumentParser(prog="python -m integration.mutants", description=main.__doc__)
    parser.add_argument("--count", type=int, default=100, help="how many mutants (100)")
    parser.add_argument("--seed", type=int, default=1, help="which ones: the same seed and sources give the same (1)")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once (2)")
    parser.add_argument("prefixes", nargs="*", default=["cdi_runc/"], help="only modules whose paths begin so")
    options = parser.parse_args()

    os.chdir(ROOT)  # mutmut reads its settings here
    os.nice(15 - os.nice(0))
    mutants = sample(options.prefixes, options.count, options.seed)
    if not mutants:
        parser.error(f"no module of {', '.join(PACKAGES)} is below {' or '.join(options.prefixes)}: give cdi_runc/...")
    began = time.monotonic()
    results: list[tuple[Mutant, str]] = []
    with tempfile.TemporaryDirectory(prefix="m.", dir="/tmp") as directory, ThreadPoolExecutor(options.jobs) as pool:
        os.chmod(directory, 0o755)  # some tests become another user
        trees: queue.Queue[Path] = queue.Queue()
        for number in range(options.jobs):
            trees.put(copy_tree(Path(directory, str(number))))
        seconds = measure(trees.queue[0], sorted({mutant.package for mutant in mutants}))
        waiting = {pool.submit(judge, mutant, trees, 30 + 5 * seconds[mutant.package]): mutant for mutant in mutants}
        try:
            for future in as_completed(waiting):
                results.append((waiting[future], future.result()))
                if results[-1][1] != "killed":
                    print(f"{results[-1][1]}:\n{diff(results[-1][0])}\n", flush=True)
        except KeyboardInterrupt:
            print("stopped: the tests that run now end first", flush=True)
        finally:
            pool.shutdown(cancel_futures=True)
    minutes = (time.monotonic() - began) / 60
    print(f"{len(results)} mutants, seed {options.seed}, {minutes:.0f} minutes", *table(results), sep="\n")


if __name__ == "__main__":
    main()
