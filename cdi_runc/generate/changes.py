"""How two specs of a kind differ, in lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def changes(old: Any, new: Any) -> list[str]:
    """The devices that came and went, and for those that stayed the edits that did. Either spec may be None.

    >>> one = {"devices": [{"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/a"}]}}]}
    >>> two = {"devices": [{"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/b"}]}}]}
    >>> changes(one, two), changes(one, None)
    (['0: - /dev/a', '0: + /dev/b'], ['- device 0'])
    """
    before, after = _devices(old), _devices(new)
    lines = [f"- device {name}" for name in before if name not in after]
    lines += [f"+ device {name}" for name in after if name not in before]
    for name in before:
        if name in after:
            lines += [f"{name}: {line}" for line in _differences(before[name], after[name])]
    old_edits, new_edits = (list(_edits((spec or {}).get("containerEdits", {}))) for spec in (old, new))
    if old and new:
        lines += [f"all devices: {line}" for line in _differences(old_edits, new_edits)]
    return lines


def _devices(spec: Any) -> dict[str, list[str]]:
    return {
        device["name"]: list(_edits(device.get("containerEdits", {}))) for device in (spec or {}).get("devices", ())
    }


def _differences(before: list[str], after: list[str]) -> Iterator[str]:
    yield from (f"- {edit}" for edit in before if edit not in after)
    yield from (f"+ {edit}" for edit in after if edit not in before)


def _edits(edits: Any) -> Iterator[str]:
    for node in edits.get("deviceNodes", ()):
        yield _path(node["path"], node.get("hostPath")) + (f" ({node['permissions']})" if "permissions" in node else "")
    for mount in edits.get("mounts", ()):
        yield f"{_path(mount['containerPath'], mount['hostPath'])} ({', '.join(mount.get('options', ()))})"
    for device in edits.get("netDevices", ()):
        yield f"network interface {device['hostInterfaceName']}"
    yield from (f"variable {entry}" for entry in edits.get("env", ()))
    yield from (f"hook {hook['hookName']} {hook['path']}" for hook in edits.get("hooks", ()))
    yield from (f"group {gid}" for gid in edits.get("additionalGids", ()))


def _path(path: str, host_path: str | None) -> str:
    return path if host_path in (None, path) else f"{path} from {host_path}"
