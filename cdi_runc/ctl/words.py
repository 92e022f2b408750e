"""Container edits in words, one line an edit. Knows the form of the edits, and neither files nor containers."""

import shlex
from collections.abc import Iterator
from typing import Any

from cdi_runc.ctl.output import printable


def edit_lines(edits: Any) -> list[str]:
    """What container edits (as `parse_spec` gives them) do to a container.

    >>> edit_lines({"env": ["A=1"], "deviceNodes": [{"path": "/dev/a", "hostPath": "/dev/b"}]})
    ['device node  /dev/a from /dev/b', 'variable     A=1']
    """
    return [f"{kind:<12} {printable(text)}" for kind, text in _each(edits)]


def _each(edits: Any) -> Iterator[tuple[str, str]]:
    for node in edits.get("deviceNodes", ()):
        yield "device node", _node(node)
    for device in edits.get("netDevices", ()):
        yield "network", f"{device['hostInterfaceName']} as {device['name']}"
    for mount in edits.get("mounts", ()):
        how = ", ".join(filter(None, [mount.get("type", ""), *mount.get("options", ())]))
        yield "mount", f"{mount['containerPath']} from {mount['hostPath']}{how and f' ({how})'}"
    for variable in edits.get("env", ()):
        yield "variable", variable
    for hook in edits.get("hooks", ()):
        timeout = f" (at most {hook['timeout']} s)" if "timeout" in hook else ""
        yield "hook", f"{hook['hookName']}: {shlex.join([hook['path'], *hook.get('args', ())[1:]])}{timeout}"
    for gid in edits.get("additionalGids", ()):
        yield "group", str(gid)
    if "intelRdt" in edits:
        yield "Intel RDT", ", ".join(f"{field} {value}" for field, value in edits["intelRdt"].items()) or "none"


def _node(node: Any) -> str:
    host = node.get("hostPath")
    said = [node["path"] + (f" from {host}" if host and host != node["path"] else "")]
    if "type" in node or "major" in node:
        said.append(f"{node.get('type', '')} {node.get('major', 0)}:{node.get('minor', 0)}".strip())
    if "fileMode" in node:
        said.append(f"mode {node['fileMode']:04o}")
    said += [f"{field} {node[field]}" for field in ("uid", "gid", "permissions") if field in node]
    return ", ".join(said)
