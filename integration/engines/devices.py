"""The devices that the engines' containers ask for, what must hold in them, and the errors their users must see.

The one table for all engines: knows CDI specs and OCI configs; knows no engine.
"""

import copy
import json
from pathlib import Path
from typing import Any

from integration.bundles import WITH, widget_spec

# What cannot be had, and what the shim's line about it must name for its reader to find the fault.
WRONG = {
    "unknown": ("example.com/widget=none", ["example.com/widget=none"]),
    "conflict": ("example.com/gadget=same", ["example.com/gadget=same", "/gadget.json", "/same-gadget.json"]),
    "broken spec": ("example.com/wreck=one", ["example.com/wreck=one", "/etc/cdi/wreck.yaml:5"]),
    "denied": ("example.com/vault=one", ["ask Ada for the vault", "/etc/cdi-runc/policy.yaml:2"]),
}

# How often each edit of the widget must stand in the config.json that the runtime got: never twice.
ONCE = {"env": 1, "node": 1, "rule": 1, "mount": 1, "hooks": 2, "group": 1}
NEVER = dict.fromkeys(ONCE, 0)

# The same device in a spec that engines can read whose own CDI is of 2022: without groups, which came with 0.7.0.
OLDER = "example.com/older=one"
WITH_OLDER = {**WITH, "groups": "0"}
ONCE_OLDER = {**ONCE, "group": 0}
# And one whose node has the path of the host's: a plain user's runtime takes no other.
PLAIN = "example.com/plain=one"

# A spec that stands in two files, so that its device is in conflict, and one whose end is missing.
GADGET = {
    "cdiVersion": "0.5.0",
    "kind": "example.com/gadget",
    "devices": [{"name": "same", "containerEdits": {"env": ["GADGET=1"]}}],
}
WRECK = """\
cdiVersion: "0.5.0"
kind: example.com/wreck
devices:
  - {name: one, containerEdits: {env: [
"""


class Widget:
    """The widget of integration/bundles.py, and what its hooks have seen of the containers that got it."""

    def __init__(self, state: Path) -> None:
        """Keeps what is the widget's in the directory `state`, which containers and hooks must see at this path."""
        self.state = state
        self.state.mkdir()

    def specs(self) -> dict[str, str]:
        """Text of each spec file, by file name: the widget's in three forms, two in conflict and a broken one."""
        widget: Any = widget_spec(self.state)
        hook = {"hookName": "createRuntime", "path": "/bin/sh", "args": ["sh", "-c", self._keep_config()]}
        widget["devices"][0]["containerEdits"]["hooks"].append(hook)
        older = copy.deepcopy({**widget, "cdiVersion": "0.5.0", "kind": "example.com/older"})
        del older["devices"][0]["containerEdits"]["additionalGids"]
        plain = copy.deepcopy({**older, "kind": "example.com/plain"})
        plain["devices"][0]["containerEdits"]["deviceNodes"] = [{"path": "/dev/kmsg"}]
        specs = {"widget": widget, "older": older, "plain": plain, "gadget": GADGET, "same-gadget": GADGET}
        return {**{f"{name}.json": json.dumps(spec) for name, spec in specs.items()}, "wreck.yaml": WRECK}

    def forget(self) -> None:
        """Forgets the containers that were."""
        for name in ("hook-ran", "runs", "config.json"):
            (self.state / name).unlink(missing_ok=True)

    def runs(self) -> int:
        """How often its hooks ran since `forget`."""
        runs = self.state / "runs"
        return len(runs.read_text().splitlines()) if runs.exists() else 0

    def config(self) -> dict[str, Any]:
        """The config.json that the runtime got for the last container with the widget; {} if there was none."""
        path = self.state / "config.json"
        config: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return config

    def standing(self) -> dict[str, int]:
        """How often each of the widget's edits stands in that config."""
        return self.standing_in(self.config())

    def standing_in(self, config: dict[str, Any]) -> dict[str, int]:
        """How often each of the widget's edits stands in an OCI config."""
        process, linux = config.get("process", {}), config.get("linux", {})
        hooks = config.get("hooks", {}).get("createRuntime", [])
        rules = [(rule.get("major"), rule.get("minor")) for rule in linux.get("resources", {}).get("devices", [])]
        return {
            "env": process.get("env", []).count("WIDGET=yes"),
            "node": [node["path"] for node in linux.get("devices", [])].count("/dev/widget"),
            "rule": rules.count((1, 11)),
            "mount": [mount["destination"] for mount in config.get("mounts", [])].count("/widget"),
            "hooks": sum(str(self.state) in " ".join(hook.get("args", [])) for hook in hooks),
            "group": process.get("user", {}).get("additionalGids", []).count(4711),
        }

    def _keep_config(self) -> str:
        # The hook before this one has put the container's state into hook-ran; the bundle's path is in it.
        bundle = rf"""$(sed 's/.*"bundle" *: *"\([^"]*\)".*/\1/' '{self.state}/hook-ran')"""
        return f"""cp "{bundle}/config.json" '{self.state}/' && echo >> '{self.state}/runs'"""
