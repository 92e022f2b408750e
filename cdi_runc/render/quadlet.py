"""Quadlet: a drop-in for Podman's .container files (podman-systemd.unit(5))."""

from __future__ import annotations

from cdi_runc.render.docker import devices, pipes
from cdi_runc.render.edits import Edits, Mount
from cdi_runc.render.podman import bind_options, hook_files, lacking_in_podman, tmpfs
from cdi_runc.render.quoting import comment, unit
from cdi_runc.render.result import Lost, Rendered, no_such_mount, one_line


def render(edits: Edits, hooks_dir: str | None = None) -> Rendered:
    """The section [Container], for /etc/containers/systemd/NAME.container.d/."""
    lost = lacking_in_podman(edits, hooks_dir)
    lines = [f"GlobalArgs={_word(f'--hooks-dir={hooks_dir}', 'hooks')}"] if hooks_dir and edits.hooks else []
    for node in devices(edits, lost, "AddDevice="):
        device = f"{node.host_path}:{node.path}:{node.access}"
        lines.append(f"AddDevice={_line(device, f'device node {node.path}')}")
    lines += [line for mount in [*edits.mounts, *pipes(edits)] if (line := _mount(mount, lost))]
    for name, value in edits.env:
        # The value goes onto the command line of a service, where $ begins a variable.
        lines.append(f"Environment={_word(f'{name}={value}', f'variable {name}').replace('$', '$$')}")
    lines += [f"GroupAdd={gid}" for gid in edits.gids]
    whole = f"Annotation=cdi.k8s.io/x={edits.asked}"
    head = comment(f"cdictl render quadlet: {' '.join(edits.names)}")
    head += comment(f"With the hook of cdictl engine, or cdi-runc as the runtime, one line does it all: {whole}")
    text = f"{head}[Container]\n" + "".join(f"{line}\n" for line in lines)
    return Rendered(text=text, lost=lost, whole=whole, files=hook_files(edits) if hooks_dir else {})


def _mount(mount: Mount, lost: list[Lost]) -> str | None:
    if mount.type == "bind" and ":" not in mount.source + mount.target:
        options = bind_options(mount, lost)
        volume = ":".join([mount.source, mount.target, *([",".join(options)] if options else [])])
        return f"Volume={_line(volume, f'mount {mount.target}')}"
    if mount.type == "tmpfs":
        return f"Tmpfs={_line(tmpfs(mount), f'mount {mount.target}')}"
    if mount.type == "bind":
        lost.append(Lost(f"mount {mount.target}", "Volume= has no way to write a colon"))
    else:
        lost.append(no_such_mount(mount, "quadlet"))
    return None


def _line(value: str, what: str) -> str:
    """A value that is the whole line. The service that Quadlet makes still replaces % and $."""
    return one_line(value, what, "a unit file").replace("%", "%%").replace("$", "$$")


def _word(value: str, what: str) -> str:
    return unit(one_line(value, what, "a unit file"))
