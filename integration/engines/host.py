"""A machine to spoil: this one's file system, or another's, with everything that is written kept in memory.

Engines run in it at their usual places (/etc/docker, /run, /var/lib) and touch nothing of the real machine's but
its cgroups and, unless it gets addresses of its own, its network. Knows Linux namespaces; knows no engine.
"""

import re
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin", "HOME": "/root", "LANG": "C.UTF-8"}

# --pdeathsig and --kill-child: when we die, however we die, nothing stays behind.
NEW_NAMESPACES = (
    *("setpriv", "--pdeathsig=KILL"),
    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation=private"),
)


class Host:
    """The machine, from when it is made until `close`; all its processes end with it, and with ours."""

    def __init__(self, lower: Path, shared: Path, tree: Path, addresses: Sequence[str] = ()) -> None:
        """Raises RuntimeError with mount's own words where the kernel or a container around us forbids it.

        `lower` is the root directory to start from; `shared` is a directory that it has in common with us, and `tree`
        another that it may only read, each at the same path in it. With `addresses`, which it answers to besides
        127.0.0.1, it has a network of its own, from which no way leads out; without, it has ours.
        """
        self.shared = shared
        self._network = ["--net"] if addresses else []
        room = Path(__file__).with_name("room.sh")
        self._holder = subprocess.Popen(
            [*NEW_NAMESPACES, *self._network, "sh", *map(str, (room, lower, shared, tree)), *addresses],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._holder.stdout is not None
        said = []
        for line in self._holder.stdout:
            if line == "ready\n":
                return
            said.append(line.strip())
        raise RuntimeError("; ".join(said))

    def path(self, inside: str) -> Path:
        """The way from our file system to the absolute path `inside` the host's; no link in it may be absolute."""
        return Path(f"/proc/{self._holder.pid}/root{inside}")

    def write(self, inside: str, text: str) -> None:
        """Writes a file of the host's, one that can be executed if it is a script."""
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if text.startswith("#!"):
            path.chmod(0o755)

    def has(self, command: str) -> bool:
        """Whether the host's PATH has this command."""
        return self.run("sh", "-c", 'command -v "$0"', command).returncode == 0

    def version(self, *argv: str) -> tuple[int, ...]:
        """What a command says of its version: the first numbers with points between them, two or three."""
        found = re.search(r"\d+\.\d+(\.\d+)?", self.run(*argv).stdout)
        assert found, argv
        return tuple(map(int, found[0].split(".")))

    def run(
        self, *argv: str, timeout: float = 60, env: Mapping[str, str] | None = None, stdin: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        """Runs a command in the host, as its root, and gives its status and what it said; for `timeout` seconds."""
        # Files, not pipes: what a command leaves running would keep a pipe open, and the reader waiting.
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            done = subprocess.run(
                [*self._entry(), *argv],
                env={**ENVIRONMENT, **(env or {})},
                input=stdin.encode(),
                stdout=out,
                stderr=err,
                timeout=timeout,
            )
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(list(argv), done.returncode, out.read(), err.read())

    def start(self, *argv: str, log: Path, env: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
        """Starts a daemon in the host that says what it has to say in the file `log`."""
        with log.open("ab") as said:
            return subprocess.Popen(
                [*self._entry(), *argv],
                env={**ENVIRONMENT, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )

    def run_unit(self, name: str, *argv: str, ready: str, log: Path) -> None:
        """Starts a daemon that `systemctl restart NAME` restarts in this host, and waits until `ready` (sh) succeeds.

        The host has no systemd; unit.sh and systemctl.sh do this much of what it does.
        """
        here = Path(__file__).parent
        self.run("ln", "-sf", str(here / "systemctl.sh"), "/usr/bin/systemctl")
        daemon = self.start("sh", str(here / "unit.sh"), name, ready, *argv, log=log)
        self.wait_for("sh", "-c", ready, daemon=daemon, log=log)

    def wait_for_unit(self, name: str) -> None:
        """Waits until a unit is up that `systemctl --no-block` may have been told to restart."""
        ended, up = "$(tail -n 1 /run/units/$0.restarts)", 'sh -c "$(cat /run/units/$0.ready)"'
        script = f'until [ "$(cat /run/units/$0.pid)" != "{ended}" ] && {up}; do sleep 0.1; done'
        self.run("sh", "-c", script, name, timeout=30)

    def restarts(self, unit: str) -> int:
        """How often a unit has been restarted by systemctl."""
        path = self.path(f"/run/units/{unit}.restarts")
        return len(path.read_text().splitlines()) if path.exists() else 0

    def wait_for(self, *argv: str, daemon: "subprocess.Popen[bytes]", log: Path, seconds: float = 30) -> None:
        """Waits until a command succeeds, which shows that `daemon` is up; raises RuntimeError with its log if not."""
        deadline = time.monotonic() + seconds
        while self.run(*argv).returncode != 0:
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{argv[0]} finds no daemon: {log.read_text()}")
            time.sleep(0.1)

    def close(self) -> None:
        """Ends every process of the host; its memory goes with them."""
        self._holder.kill()
        self._holder.wait(timeout=30)

    def _entry(self) -> list[str]:
        namespaces = f"/proc/{self._holder.pid}/ns"
        network = [f"{option}={namespaces}/net" for option in self._network]
        return ["nsenter", f"--mount={namespaces}/mnt", f"--pid={namespaces}/pid_for_children", *network, "--"]
