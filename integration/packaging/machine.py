"""What is done with a machine on which cdi-runc is installed: commands, containers, a look at all its files."""

import json
import subprocess
from pathlib import Path

from integration.bundles import PROBE, REQUEST, make_bundle, oci_config, report, widget_spec
from integration.engines.host import Host

# Name, type, mode, owner and a link's target of every file but the kernel's and those of the tests.
LISTING = """
find / -xdev '(' -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path "$0" ')' -prune \
    -o -printf '%p %y %m %u:%g %l\\n'
"""

# What dpkg and apt note down about every package for good.
DPKG = ("/var/lib/dpkg", "/var/log", "/var/cache/apt", "/var/lib/apt", "/var/cache/ldconfig", "/var/cache/debconf")

# Containers one after the other, $1 of them, each with the widget; a line for each that went wrong.
LOOP = """
mkdir -p "$0"
for number in $(seq "$1"); do
    said=$(cdi-runc run --bundle "$2" "box-$number" 2>&1) || echo "$number: status $?: $said" >> "$0/wrong"
    case $said in *'env: yes'*) ;; *) echo "$number: no device: $said" >> "$0/wrong" ;; esac
    echo "$number" > "$0/last"
done
"""


class Machine:
    """A machine to spoil, with the widget's spec and a bundle that asks for it."""

    def __init__(self, host: Host) -> None:
        """Take over a host, whose /etc and /run are made real ones where the engines' tests hide them."""
        self.host = host
        self.shared = host.shared
        for directory in ("/etc/cdi", "/etc/cdi-runc"):
            host.run("umount", directory)
            host.run("rmdir", directory)
        self.bundle = make_bundle(self.shared / "bundle", oci_config(["sh", "-c", PROBE], REQUEST))
        (self.shared / "widget").mkdir()
        self.spec = json.dumps(widget_spec(self.shared / "widget"))
        host.run("podman", "info")  # which makes files of its own when it is first called
        self.before = self.files()

    def run(self, script: str, *args: str, timeout: float = 120) -> "subprocess.CompletedProcess[str]":
        """Runs a script of sh, whose arguments begin with $0."""
        return self.host.run("sh", "-c", script, *args, timeout=timeout)

    def must(self, script: str, *args: str, timeout: float = 120) -> str:
        """What a script said, all of it, that has to succeed."""
        done = self.run(script, *args, timeout=timeout)
        assert done.returncode == 0, f"{script}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def files(self) -> set[str]:
        """A line for each file."""
        return set(self.must(LISTING, str(self.shared)).splitlines())

    def changes(self) -> set[str]:
        """The lines of the files that came, went or are no longer the same, but for the package manager's notes."""
        return {line for line in self.before ^ self.files() if not line.startswith(DPKG)}

    def container(self, command: str = "cdi-runc") -> dict[str, str]:
        """What a container reports that asks for the widget, whose spec is there for just as long."""
        self.host.write("/etc/cdi/widget.json", self.spec)
        try:
            return report(self.must('"$0" run --bundle "$1" box', command, str(self.bundle)))
        finally:
            self.must("rm -r /etc/cdi")

    def problems(self, cdictl: str = "cdictl") -> list[str]:
        """What `cdictl doctor` calls a problem."""
        checks = json.loads(self.run('"$0" -o json doctor', cdictl).stdout)["checks"]
        return [f"{check['topic']}: {check['text']}" for check in checks if check["level"] == "problem"]

    def start_loop(self, number: int, log: Path) -> "subprocess.Popen[bytes]":
        """Starts `number` containers one after the other; what goes wrong comes into `wrong`, see LOOP."""
        self.host.write("/etc/cdi/widget.json", self.spec)
        return self.host.start("sh", "-c", LOOP, str(self.shared / "loop"), str(number), str(self.bundle), log=log)

    def wait_for_loop(self, number: int) -> None:
        """Waits until that many containers have been."""
        script = 'while [ "$(cat "$0/last" 2> /dev/null || echo 0)" -lt "$1" ]; do sleep 0.05; done'
        self.must(script, str(self.shared / "loop"), str(number), timeout=300)

    def wrong(self) -> str:
        """What went wrong in the loop."""
        wrong = self.shared / "loop/wrong"
        return wrong.read_text() if wrong.exists() else ""
