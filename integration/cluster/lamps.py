"""Two lamps: CDI devices of a cluster's node that can be unplugged, and that show whether something is done twice.

Knows the form of a CDI spec; knows nothing of Kubernetes.
"""

import json

from integration.engines.host import Host

KIND = "example.com/lamp"
# Each is a device of the kernel's, c 1:N, which every container may open anyway.
NUMBERS = {"a": 3, "b": 5}

# What a container prints of the lamps it has.
LOOK = ("sh", "-c", 'ls /dev; cat /proc/mounts; echo "groups $(id -G)"; echo "lamp $LAMP"')
NOTHING: dict[str, object] = {"nodes": [], "mounts": [], "groups": "0", "env": ""}


class Lamps:
    """The lamps of a host, which has a spec for them; counts how often a container has switched one on."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._state = host.shared / "lamps"
        self._state.mkdir()
        for lamp in NUMBERS:
            self.plug_in(lamp)
        host.write("/etc/cdi/lamp.json", json.dumps(self.spec()))

    def plug_in(self, lamp: str) -> None:
        """Makes the node of a lamp."""
        script = 'mkdir -p /run/lamps && mknod "/run/lamps/$0" c 1 "$1"'
        done = self._host.run("sh", "-c", script, lamp, str(NUMBERS[lamp]))
        assert done.returncode == 0, done.stderr

    def unplug(self, lamp: str) -> None:
        """Removes the node of a lamp."""
        self._host.path(f"/run/lamps/{lamp}").unlink()

    def spec(self, *lamps: str) -> dict[str, object]:
        """The spec of these lamps, or of all. What of it is done twice shows in the container, or in `switched_on`."""
        return {
            "cdiVersion": "0.7.0",
            "kind": KIND,
            "containerEdits": {"env": ["LAMP=lit"], "additionalGids": [4711]},
            "devices": [{"name": lamp, "containerEdits": self._edits(lamp)} for lamp in lamps or NUMBERS],
        }

    def forget(self) -> None:
        """As if none had been switched on."""
        (self._state / "on").unlink(missing_ok=True)

    def switched_on(self) -> list[str]:
        """A lamp for each time that a container was made with one."""
        path = self._state / "on"
        return path.read_text().split() if path.exists() else []

    def _edits(self, lamp: str) -> dict[str, object]:
        switch = ["sh", "-c", f"echo {lamp} >> '{self._state}/on'"]
        return {
            "deviceNodes": [{"path": f"/dev/lamp-{lamp}", "hostPath": f"/run/lamps/{lamp}"}],
            "mounts": [{"hostPath": str(self._state), "containerPath": f"/lamp-{lamp}", "options": ["ro", "bind"]}],
            "hooks": [{"hookName": "createRuntime", "path": "/bin/sh", "args": switch}],
        }


def lit(*lamps: str) -> dict[str, object]:
    """What `seen` gives of a container that has these lamps, each once."""
    nodes = [f"lamp-{lamp}" for lamp in lamps]
    return {"nodes": nodes, "mounts": [f"/{node}" for node in nodes], "groups": "0 4711", "env": "lit"}


def seen(output: str) -> dict[str, object]:
    """What LOOK printed."""
    lines = output.splitlines()
    last = dict(line.split(" ", 1) for line in lines if line.startswith(("groups ", "lamp ")))
    return {
        "nodes": [line for line in lines if line.startswith("lamp-")],
        "mounts": sorted(line.split()[1] for line in lines if " /lamp-" in line),
        "groups": last["groups"],
        "env": last["lamp"],
    }
