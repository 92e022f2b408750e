"""`python -m integration.bench [--bin DIR] [--rounds N] [--json FILE]`: what the shim adds to a container's life.

Every figure is the median over runs in turns of the whole process, less that of the same call of the bare runtime.
docs/performance.md says what each means. It runs on any host that cdi-runc runs on: imports no more than that needs.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from integration.bench import generate, hosts, pods
from integration.bench.hosts import Host, a_device_of, jetson_specs, make_bundle, make_host, small_spec
from integration.bench.measure import Case, run_interleaved, spawn, timed
from integration.bundles import make_bundle as make_rootfs_bundle
from integration.bundles import oci_config, static_busybox

COMMENT = "".join(
    f"# {line}\n" for line in ("cdi-runc: its settings, here at their defaults.", "restore: ignore", "") * 3
)
LIFE = ("create", "start", "state", "kill", "delete")

Row = tuple[str, float, float | None]  # what, ms (or another unit in the name), the most that is wanted


class Bench:
    """The places and commands of one run. `programs` is the directory of the cdi-runc and the cdictl to measure."""

    def __init__(self, root: Path, bundles: Path, programs: Path, stub: Path | None, rounds: int) -> None:
        self.root, self.bundles, self.rounds = root, bundles, rounds
        self.stub = stub or hosts.compile_stub(root)
        self.shim, self.cdictl = str(programs / "cdi-runc"), str(programs / "cdictl")
        jetsons = jetson_specs()
        device = a_device_of(jetsons["jetson0.yaml"])
        crowd = {f"v{n}.json": small_spec(f"vendor{n}.com", 8) for n in range(99)} | {"v.json": small_spec(devices=8)}
        four = jetsons | {"v.json": small_spec()}
        self.hosts = {
            "1 small spec": make_host(root / "small", {"v.json": small_spec()}, hosts.SMALL),
            "the same, commented config": make_host(root / "c", {"v.json": small_spec()}, hosts.SMALL, COMMENT),
            "100 vendors x 8 devices": make_host(root / "crowd", crowd, hosts.SMALL),
            "4 Jetson specs, a small device": make_host(root / "four", four, hosts.SMALL),
            "1 Jetson spec": make_host(root / "jetson", {"j.yaml": jetsons["jetson0.yaml"]}, device),
            "4 Jetson specs": make_host(root / "jetsons", jetsons, device),
            "1 small spec, a policy of 200 rules": make_host(root / "policy", {"v.json": small_spec()}, hosts.SMALL),
        }
        hosts.write_policy(root / "policy", rules=200)

    def call(self, host: Host, *args: str) -> list[str]:
        """The shim's command line over the stub."""
        return [self.shim, f"--cdi-runtime={self.stub}", f"--cdi-config={host.config}", "--root", "/run/bench", *args]

    def create(self, name: str, host: Host, asks: bool = True) -> Case:
        """A create of a fresh bundle, for a container that asks for the host's device or for nothing."""
        bundle, text = make_bundle(self.bundles / name, oci_config(["sh"]), host.device if asks else None)
        argv = self.call(host, "create", "--bundle", str(bundle), "--pid-file", str(bundle / "pid"), "id")
        return Case(name, argv, lambda: (bundle / "config.json").write_bytes(text))

    def precreate(self, name: str, host: Host) -> Case:
        """Podman's hook for a container that asks for the host's device."""
        bundle, _ = make_bundle(self.bundles / "precreate", oci_config(["sh"]), host.device)
        argv = [self.shim, f"--cdi-config={host.config}", "--cdi-hook=podman:precreate"]
        return Case(name, argv, stdin=str(bundle / "config.json"))

    def over_a_stub(self) -> list[Row]:
        """Each single call, the runtime being a program that does nothing."""
        python = next(path for path in ("/usr/bin/python3", sys.executable) if os.access(path, os.X_OK))
        small, commented = self.hosts["1 small spec"], self.hosts["the same, commented config"]
        stub = Case("stub", [str(self.stub), "state", "id"])
        bare = Case("python3 -I -S -c pass", [python, "-I", "-S", "-c", "pass"])
        state = Case("state", self.call(small, "state", "id"))
        state_commented = Case("state, commented config", self.call(commented, "state", "id"))
        nothing = self.create("create, nothing asked for", small, asks=False)
        creates = [self.create(f"create, {name}", host) for name, host in self.hosts.items()]
        hook = self.precreate("Podman's precreate hook, 1 small spec", small)
        cases = [stub, bare, state, state_commented, nothing, *creates, hook]
        run_interleaved(cases, self.rounds)

        added = {case.name: case.median - stub.median for case in cases}
        python_ms, one = added[bare.name], added[creates[0].name]
        limits: dict[str, float | None] = {
            state.name: 1,
            state_commented.name: 1,
            nothing.name: 2.5,
            **{case.name: python_ms + 3 for case in creates[:2]},
            **{case.name: one + 1 for case in creates[2:4]},
            creates[-1].name: one + 0.1,
            hook.name: one + 2,
        }
        rows: list[Row] = [(name, ms, limits.get(name)) for name, ms in added.items() if name != "stub"]
        life = one + (len(LIFE) - 1) * added[state.name]
        rows.append(("a whole life with one device, times its create (ratio)", life / one, 1.6))
        rows.append(("peak memory of the shim (MiB)", self._peak(creates[0]) / 1024, 12))
        return rows

    def _peak(self, case: Case) -> int:
        """KiB. A child of a child, since a process counts the memory of the one that it was a copy of."""
        case.prepare()
        done = subprocess.run(
            ["sh", "-c", '"$@"; :', "sh", *case.argv], capture_output=True, text=True, check=True, timeout=300
        )
        return int(done.stdout)

    def asking_the_kubelet(self) -> list[Row]:
        """For the devices of pods."""
        return pods.figures(self.root / "k", self.bundles / "k", self.call, str(self.stub), self.rounds)

    def fifty_at_once(self) -> list[Row]:
        """Fifty containers created at the same time, with a fresh snapshot and after a spec has changed."""
        host = self.hosts["1 small spec"]
        argvs = []
        for number in range(50):
            bundle, _ = make_bundle(self.bundles / f"fifty{number}", oci_config(["sh"]), host.device)
            argvs.append(self.call(host, "create", "--bundle", str(bundle), f"id{number}"))

        def elapsed(argvs: list[list[str]]) -> float:
            start = time.perf_counter()
            children = [spawn(argv) for argv in argvs]
            failed = sum(os.waitpid(child, 0)[1] != 0 for child in children)
            if failed:
                raise RuntimeError(f"{failed} of {len(argvs)} creates failed")
            return (time.perf_counter() - start) * 1000

        alone = elapsed([[str(self.stub)]] * 50)
        fresh = elapsed(argvs) - alone
        (host.config.parent / "cdi" / "v.json").touch()
        stale = elapsed(argvs) - alone
        return [
            ("50 creates at once, fresh snapshot", fresh, None),
            ("50 creates at once, a spec changed", stale, None),
        ]

    def first_words(self) -> list[Row]:
        """How long people wait for cdictl's, from a fresh snapshot."""
        crowd = self.hosts["100 vendors x 8 devices"]
        version = Case("cdictl --version (ms in all)", [self.cdictl, "--version"])
        devices = Case("cdictl devices, 100 specs (ms in all)", [self.cdictl, "--config", str(crowd.config), "devices"])
        run_interleaved([version, devices], min(self.rounds, 20))
        return [(version.name, version.median, 120), (devices.name, devices.median, 500)]

    def generating(self) -> list[Row]:
        """What the specs of a large host cost."""
        return generate.figures(self.root, self.cdictl, self.rounds)

    def over_real_runtimes(self) -> list[Row]:
        """A whole life of a real container, as a ratio to the bare runtime's."""
        rows: list[Row] = []
        for name in ("runc", "crun"):
            path = shutil.which(name)
            if path is None or static_busybox() is None or os.geteuid() != 0:
                print(f"(no real {name} to measure: it wants root, {name} and busybox-static)", file=sys.stderr)
                continue
            try:
                rows.append(self._life_of(name, path))
            except RuntimeError as error:
                print(f"(the real {name} is not measured: {error})", file=sys.stderr)
        return rows

    def _life_of(self, name: str, runtime: str) -> Row:
        host = self.hosts["1 small spec"]
        bundle = make_rootfs_bundle(self.root / f"real-{name}", oci_config(["sleep", "60"]))
        config = json.loads((bundle / "config.json").read_text()) | {"annotations": {"cdi.k8s.io/bench": host.device}}
        root = ["--root", str(self.root / f"state-{name}")]
        ways = {"bare": [runtime], "shim": [self.shim, f"--cdi-runtime={runtime}", f"--cdi-config={host.config}"]}
        if name == "crun" and os.path.ismount("/sys/fs/cgroup/unified"):
            from integration.conftest import OUT_OF_HYBRID  # and pytest, which only a host of these tests has

            out = [shutil.which(OUT_OF_HYBRID[0]) or OUT_OF_HYBRID[0], *OUT_OF_HYBRID[1:]]
            ways = {way: [*out, *command] for way, command in ways.items()}
        took: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(min(self.rounds, 20) + 1):
            for way, command in ways.items():
                (bundle / "config.json").write_text(json.dumps(config))
                total = 0.0
                steps = [["create", "--bundle", str(bundle), "id"], ["start", "id"], ["state", "id"]]
                for step in [*steps, ["kill", "id", "KILL"], ["delete", "--force", "id"]]:
                    ms, status = timed([*command, *root, *step])
                    if status != 0:
                        timed([*ways["bare"], *root, "delete", "--force", "id"])
                        raise RuntimeError(f"{' '.join(step)} failed with status {status}")
                    total += ms
                if number > 0:
                    took[way].append(total)
        medians = {way: statistics.median(times) for way, times in took.items()}
        return (
            f"a whole life over real {name}, to bare {medians['bare']:.0f} ms (ratio)",
            medians["shim"] / medians["bare"],
            None,
        )


def main() -> None:
    """Measure, print the table, and write it as JSON where that is wanted."""
    parser = argparse.ArgumentParser(description="Measure what the shim adds to a container's life.")
    parser.add_argument(
        "--bin", type=Path, default=Path(sys.executable).parent, help="where cdi-runc and cdictl are (default: here)"
    )
    parser.add_argument("--stub", type=Path, help="what hosts.py compiles, for a host without a compiler")
    parser.add_argument("--rounds", type=int, default=60, help="runs of each command (default 60)")
    parser.add_argument("--json", type=Path, help="a file to write the figures to")
    arguments = parser.parse_args()
    if not (arguments.bin / "cdi-runc").exists():
        parser.error(f"no cdi-runc in {arguments.bin}")
    rows: list[Row] = []
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # engines keep their bundles under /run
    prefix = "cdi-runc-bench-"
    with (
        tempfile.TemporaryDirectory(prefix=prefix) as root,
        tempfile.TemporaryDirectory(prefix=prefix, dir=memory) as bundles,
    ):
        bench = Bench(Path(root), Path(bundles), arguments.bin, arguments.stub, arguments.rounds)
        parts: list[Callable[[], list[Row]]] = [
            bench.over_a_stub,
            bench.asking_the_kubelet,
            bench.fifty_at_once,
            bench.first_words,
            bench.generating,
            bench.over_real_runtimes,
        ]
        for part in parts:
            rows += part()
    print(f"{'ms over the bare runtime (medians of ' + str(arguments.rounds) + ')':58} {'measured':>9} {'at most':>9}")
    for name, value, limit in rows:
        wanted = f"{limit:9.2f}{' !' * (value > limit)}" if limit else ""
        print(f"{name:58} {value:9.2f} {wanted}")
    if arguments.json:
        figures = [{"what": name, "measured": value, "at_most": limit} for name, value, limit in rows]
        machine = {"machine": platform.machine(), "kernel": platform.release(), "python": platform.python_version()}
        arguments.json.write_text(json.dumps({**machine, "figures": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
