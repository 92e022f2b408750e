"""Docker Compose: the part of a service (compose-spec, "Services")."""

from __future__ import annotations

from typing import Any

import yaml

from cdi_runc.render.docker import PROPAGATIONS, devices, lacking_in_docker, pipes, propagation
from cdi_runc.render.edits import Edits, Mount
from cdi_runc.render.quoting import comment
from cdi_runc.render.result import Lost, Rendered, no_such_mount, without_options


def render(edits: Edits) -> Rendered:
    """The keys of a service called NAME."""
    lost = lacking_in_docker(edits, "compose")
    service: dict[str, Any] = {
        "devices": [f"{node.host_path}:{node.path}:{node.access}" for node in devices(edits, lost, "devices")],
        "volumes": [volume for mount in [*edits.mounts, *pipes(edits)] if (volume := _volume(mount, lost))],
        "environment": dict(edits.env),
        "group_add": [str(gid) for gid in edits.gids],
    }
    whole = f"runtime: cdi-runc\nannotations: {{cdi.k8s.io/x: '{edits.asked}'}}"
    head = comment(f"cdictl render compose: {' '.join(edits.names)}")
    head += comment("With cdi-runc as the runtime, these two keys of the service carry the whole device instead:")
    head += comment(*(f"    {line}" for line in whole.splitlines()))
    kept = {key: _doubled(value) for key, value in service.items() if value}
    text = yaml.safe_dump({"services": {"NAME": kept}}, sort_keys=False, allow_unicode=True, width=2**31)
    return Rendered(text=head + text, lost=lost, whole=whole)


def _volume(mount: Mount, lost: list[Lost]) -> dict[str, Any] | None:
    volume: dict[str, Any] = {"type": mount.type, "target": mount.target}
    if mount.type == "bind":
        without_options(mount, ("ro", *PROPAGATIONS), lost, "compose has only read_only and bind.propagation for it")
        volume["source"] = mount.source
    elif mount.type == "tmpfs":
        without_options(mount, ("ro", "nosuid", "nodev", "noexec"), lost, "compose has no such option for a tmpfs")
    else:
        lost.append(no_such_mount(mount, "compose"))
        return None
    if mount.read_only:
        volume["read_only"] = True
    spread = propagation(mount)
    return volume | ({"bind": {"propagation": spread}} if spread else {})


def _doubled(value: Any) -> Any:
    """Compose replaces $NAME and ${NAME} in values, not in keys; $$ is a dollar."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, list):
        return [_doubled(item) for item in value]
    return {key: _doubled(item) for key, item in value.items()} if isinstance(value, dict) else value
