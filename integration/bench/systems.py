"""`python -m integration.bench.systems`: what the hooks add to the start of an LXC container, in a machine to spoil.

As root, where LXC is. Each figure is a median, taken in turns: of the time until the container runs, and of the
processor time, which a busy machine changes less.
"""

import argparse
import functools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from integration.bench.hosts import SMALL, small_spec
from integration.bench.measure import Case, run_interleaved
from integration.bundles import make_rootfs
from integration.engines.host import Host

TREE = Path(__file__).resolve().parents[2]
HOME = "/var/lib/lxc"
COMMON = "/usr/share/lxc/config/common.conf"
PYTHON = ("/usr/bin/python3", "-I", "-S", "-c", "pass")
REST = 0.2  # seconds before each start
AT_A_START = ("pre-start", "mount", "start-host")  # those of our hooks that a start waits for


def make_container(host: Host, name: str, include: str, lines: Sequence[str] = ()) -> None:
    """A container whose init does nothing, and a second one whose init ends at once."""
    for each, init in ((name, "sleep 60"), (f"{name}-short", "true")):
        config = [f"lxc.include = {include}", f"lxc.rootfs.path = dir:{HOME}/rootfs", f"lxc.uts.name = {each}"]
        config += ["lxc.net.0.type = empty", f"lxc.init.cmd = /bin/busybox {init}", *lines]
        host.write(f"{HOME}/{each}/config", "".join(f"{line}\n" for line in config))


def enter(host: Host, *command: str) -> list[str]:
    """The command line that runs a command in the machine."""
    return ["/usr/bin/nsenter", *host._entry()[1:], *command]


def stop(host: Host, name: str) -> None:
    """End a container, if it runs, and let the kernel come to rest.

    LXC's monitor changes its cgroup at each start. For that the kernel waits 5 to 15 ms (an RCU grace period), unless
    another such change was just before. Without a rest, the faster the start, the more often would it be spared.
    """
    host.run("lxc-stop", "--kill", "--name", name)
    time.sleep(REST)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="Measure what hooks add to the start of an LXC container.")
    parser.add_argument("--rounds", type=int, default=30, help="starts of each container (default 30)")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("it wants root")
    with tempfile.TemporaryDirectory(prefix="cdi-runc-bench-") as directory:
        shared = Path(directory)
        shared.chmod(0o755)
        host = Host(Path("/"), shared, TREE)
        try:
            measure(host, arguments.rounds)
        finally:
            host.close()


def measure(host: Host, rounds: int) -> None:
    """Containers in turns: without hooks, with empty ones, with ours that have nothing to do, and with a device."""
    make_rootfs(host.path(HOME) / "rootfs")
    host.write("/etc/cdi/v.json", small_spec())
    # As most vendors' devices: its hook runs in the container's namespaces, so start-host has to give rights only.
    host.write("/etc/cdi/w.json", small_spec("w.com").replace("createRuntime", "createContainer"))
    # The same settings, without what is included from common.conf.d.
    common = host.path(COMMON).read_text()
    host.write("/usr/share/lxc/config/bare.conf", common.replace("lxc.include = ", "# lxc.include = "))
    done = host.run(f"{TREE}/.venv/bin/cdictl", "engine", "enable", "lxc")
    if done.returncode != 0:
        sys.exit(done.stderr)
    hooks = host.path(f"{COMMON}.d/50-cdi-lxc.conf").read_text().splitlines(keepends=True)
    host.write(f"{COMMON}.d/50-cdi-lxc.conf", "".join(line for line in hooks if "post-stop" not in line))  # no start
    make_container(host, "bare", "/usr/share/lxc/config/bare.conf")
    empty = [f"lxc.hook.{stage} = /bin/true" for stage in AT_A_START]
    make_container(host, "empty", "/usr/share/lxc/config/bare.conf", empty)
    make_container(host, "idle", COMMON)
    make_container(host, "asks", COMMON, [f"lxc.environment = CDI_DEVICES={SMALL}"])
    make_container(host, "rights", COMMON, ["lxc.environment = CDI_DEVICES=w.com/gpu=0"])
    cases = [
        Case(name, enter(host, "lxc-start", "--name", name), functools.partial(stop, host, name))
        for name in ("bare", "empty", "idle", "rights", "asks")
    ]
    python = Case("python", enter(host, *PYTHON))
    nothing = Case("true", enter(host, "/bin/true"))
    run_interleaved([*cases, python, nothing], rounds)
    report("time until the container runs", cases, python.median - nothing.median)
    spent = [Case(case.name, ["lxc-start", "--foreground", "--name", f"{case.name}-short"]) for case in cases]
    python, nothing = Case("python", PYTHON), Case("true", ["/bin/true"])
    for number in range(rounds + 1):
        for case in (*spent, python, nothing):
            took = processor_time(host, case.argv)
            case.times += [took] if number else []
    report("processor time", spent, python.median - nothing.median)


def processor_time(host: Host, argv: Sequence[str]) -> float:
    """Milliseconds of a command in the machine, and of all that it starts."""
    done = host.run("/usr/bin/python3", f"{TREE}/integration/bench/spent.py", *argv)
    if done.returncode != 0:
        sys.exit(f"exit status {done.returncode} of {' '.join(argv)}")
    return float(done.stdout)


def report(what: str, cases: Sequence[Case], start: float) -> None:
    """Print what the containers took more than the first one; `start` is what a Python takes."""
    bare, empty_hooks, idle, rights, asks = cases
    print(f"{what}, of an LXC container without hooks: {bare.median:.1f} ms {_deviation(bare.times)}")
    print(f"  three hooks that are /bin/true: {_more(empty_hooks, bare)}")
    print(f"  our hooks, nothing asked for: {_more(idle, bare)}")
    most = f"{2 * start + 20:.1f}: two Python starts of {start:.1f}, + 20"
    print(f"  our hooks, one device: {_more(rights, bare)} (at most {most})")
    print(f"  our hooks, one device with a createRuntime hook: {_more(asks, bare)} (at most {most})")


def _more(case: Case, base: Case) -> str:
    """How much longer a start is than the other one of its round, which was as busy."""
    differences = [one - other for one, other in zip(case.times, base.times, strict=True)]
    return f"{statistics.median(differences):+.1f} ms {_deviation(differences)}"


def _deviation(times: Sequence[float]) -> str:
    return f"(standard deviation {statistics.stdev(times):.1f})"


if __name__ == "__main__":
    main()
