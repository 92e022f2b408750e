"""The devices that the engines' containers ask for, what must hold in them, and the errors their users must see.

The one table for all engines: knows CDI specs and OCI configs; knows no engine.
"""

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

from integration.bundles import WITH, widget_spec

# What cannot be had, and what the shim's line about it must name for its reader to find the fault.
WRONG = {
    "unknown": ("example.com/widget=none", ["example.com/widget=none"]),
    "conflict": ("example.com/gadget=same", ["example.com/gadget=same"]),
    "broken spec": ("example.com/wreck=one", ["example.com/wreck=one", "wreck.yaml"]),
}

# How often each edit of the widget must stand in the config.json that the runtime got: never twice.
ONCE = {"env": 1, "node": 1, "rule": 1, "mount": 1, "hooks": 2, "group": 1}
NEVER = dict.fromkeys(ONCE, 0)

# The same device in a spec that engines can read whose own CDI is of 2022: without groups, which came with 0.7.0.
OLDER = "example.com/older=one"
WITH_OLDER = {**WITH, "groups": "0"}
ONCE_OLDER = {**ONCE, "group": 0}


class Widget:
    """The widget of integration/bundles.py, and what its hooks have seen of the containers that got it."""

    def __init__(self, state: Path) -> None:
        """Keeps what is the widget's in the directory `state`, which containers and hooks must see at this path."""
        self.state = state
        self.state.mkdir()

    def specs(self) -> dict[str, str]:
        """Text of each spec file, by file name: the widget's, an older form of it, two in conflict, a broken one."""
        widget: Any = widget_spec(self.state)
        edits = widget["devices"][0]["containerEdits"]
        edits["hooks"].append(
            {"hookName": "createRuntime", "path": "/bin/sh", "args": ["sh", "-c", self._keep_config()]}
        )
        older = copy.deepcopy({**widget, "cdiVersion": "0.5.0", "kind": "example.com/older"})
        del older["devices"][0]["containerEdits"]["additionalGids"]
        gadget = json.dumps(
            {"cdiVersion": "0.5.0", "kind": "example.com/gadget", "devices": [_env("same", "GADGET=1")]}
        )
        wreck = 'cdiVersion: "0.5.0"\nkind: example.com/wreck\ndevices:\n  - name: one\n    containerEdits: {env: [1'
        texts = {"widget.json": json.dumps(widget), "older.json": json.dumps(older)}
        return {**texts, "gadget.json": gadget, "same-gadget.json": gadget, "wreck.yaml": wreck}

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
        return standing(self.config(), self.state)

    def _keep_config(self) -> str:
        # The hook before this one has put the container's state into hook-ran; the bundle's path is in it.
        bundle = rf"""$(sed 's/.*"bundle" *: *"\([^"]*\)".*/\1/' '{self.state}/hook-ran')"""
        return f"""cp "{bundle}/config.json" '{self.state}/' && echo >> '{self.state}/runs'"""


def standing(config: dict[str, Any], state: Path) -> dict[str, int]:
    """How often each edit of the widget that keeps its things in `state` stands in an OCI config."""
    process, linux = config.get("process", {}), config.get("linux", {})
    hooks = config.get("hooks", {}).get("createRuntime", [])
    rules = [(rule.get("major"), rule.get("minor")) for rule in linux.get("resources", {}).get("devices", [])]
    found = {
        "env": Counter(process.get("env", []))["WIDGET=yes"],
        "node": Counter(node["path"] for node in linux.get("devices", []))["/dev/widget"],
        "rule": Counter(rules)[1, 11],
        "mount": Counter(mount["destination"] for mount in config.get("mounts", []))["/widget"],
        "hooks": sum(str(state) in " ".join(hook.get("args", [])) for hook in hooks),
        "group": Counter(process.get("user", {}).get("additionalGids", []))[4711],
    }
    assert found.keys() == ONCE.keys()
    return found


def _env(name: str, entry: str) -> dict[str, object]:
    return {"name": name, "containerEdits": {"env": [entry]}}
