"""CRI-O: a runtime table in a drop-in under crio.conf.d.

CRI-O passes annotations of others on to config.json. It refuses a handler if `allowed_annotations` names an annotation
that CRI-O does not know. So cdi.k8s.io must not be listed there, unlike in containerd.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from cdi_runc.engines import journal, monitors, processes, values
from cdi_runc.engines.ask import ask, binary, version
from cdi_runc.engines.engine import (
    CRI_REQUEST,
    EngineError,
    FilePlan,
    Found,
    Native,
    NewRuntime,
    Put,
    Runtimes,
    Value,
    is_root,
    pod_request,
    release,
)

_FOLDER = "/etc/crio/crio.conf.d"

TO_FORGET: tuple[Put, ...] = ()
NATIVE = Native(request=CRI_REQUEST, since="1.24")


def find(config: str | None) -> Found:
    """CRI-O on this host; `config` is another crio.conf than the usual one."""
    path = binary("CRI-O", "crio")
    number = version(ask([path, "--version"]))
    return Found(
        name="crio",
        binary=path,
        version=number,
        config=os.path.abspath(config or "/etc/crio/crio.conf"),
        running=os.path.exists("/var/run/crio/crio.sock"),
        cdi="on" if release(number) >= (1, 24) else "no",
        explicit=config is not None,
        pid=next((process.pid for process in processes.daemons("crio")), None),
    )


def runtimes(found: Found) -> Runtimes:
    """The runtime tables of all files and of CRI-O's own defaults; `crio config` has never had all options of them."""
    settings = _asked(found)
    written = _written(found)
    handlers = {
        name: {"path": table.get("runtime_path") or name, **written.get(name, {}), **table}
        for name, table in _tables(settings).items()
    }
    return Runtimes(str(settings.get("default_runtime") or ""), handlers)


def plan(found: Found, new: NewRuntime, known: Runtimes) -> list[FilePlan]:
    """A drop-in with the table of the runtime that it wraps, and our path."""
    table: dict[str, Value] = {
        key: value  # type: ignore[misc]
        for key, value in _base(new, known).items()
        if value and key not in ("path", "inherit_default_runtime")
    }
    table["runtime_path"] = new.path
    table.setdefault("runtime_type", "oci")
    puts = [Put(("crio", "runtime", "runtimes", new.name), table)]
    if new.default:
        puts.append(Put(("crio", "runtime", "default_runtime"), new.name))
    path = new.drop_in or os.path.join(_folder(found), f"50-{new.name}.conf")
    return [FilePlan(path, "toml", tuple(puts))]


def live(found: Found) -> Runtimes | None:
    """CRI-O can't be asked."""
    return None


def reload(found: Found, runtime: str | None) -> None:
    """CRI-O reads runtimes when it starts.

    It ends only after its calls. One of them may stop the pod that asks, so nobody waits until it has forgotten us.
    """
    if found.explicit or not is_root() or not os.path.isdir("/run/systemd/system"):
        raise EngineError("no systemd unit runs this CRI-O: restart it yourself, and leave --restart out")
    if runtime is None:
        ask(["systemctl", "--no-block", "restart", "crio"])
    else:
        ask(["systemctl", "restart", "crio"], timeout=300)


def reload_command(found: Found, gone: bool) -> str:
    """Containers go on running meanwhile."""
    return "systemctl restart crio, or --restart" if found.running else ""


def advice(found: Found, new: NewRuntime) -> list[str]:
    """How to ask for a device."""
    return [pod_request(new.name)]


def owns_monitor(command: Sequence[str]) -> bool:
    """conmon, if CRI-O started it."""
    return os.path.basename(command[0]) == "conmon" and "crio" in (monitors.option(command, "--exit-dir") or "")


def pods_of(found: Found, runtime: str) -> list[str]:
    """The pods of this handler, also those that have ended: without the handler, CRI-O can never remove them."""
    ids = []
    for path in glob.glob(f"{glob.escape(str(_asked(found)['root']))}/*-containers/*/userdata/config.json"):
        try:
            annotations = json.loads(journal.read(path) or "{}").get("annotations", {})
        except ValueError:
            continue  # Podman's, in the middle of being written
        if annotations.get("io.kubernetes.cri-o.RuntimeHandler") == runtime:
            ids.append(annotations["io.kubernetes.cri-o.SandboxID"][:12])
    return ids


def takes_annotations(found: Found) -> bool:
    """Pods and containers have them."""
    return True


def _folder(found: Found) -> str:
    return f"{found.config}.d" if found.explicit else _FOLDER


def _base(new: NewRuntime, known: Runtimes) -> Mapping[str, object]:
    """The handler that ours wraps, or the default handler's options if CRI-O has no handler of that name."""
    name = os.path.basename(new.wraps)
    base = known.handlers.get(name) or {**known.handlers.get(known.default, {}), "runtime_root": f"/run/{name}"}
    # The options of a "vm" are for a shim of containerd, not for a runtime.
    return {} if base.get("runtime_type") == "vm" else base


def _written(found: Found) -> dict[str, Mapping[str, object]]:
    """The tables as they are in the files, which CRI-O reads in this order; the last one of a name counts."""
    folder = Path(_folder(found))
    tables: dict[str, Mapping[str, object]] = {}
    for path in (Path(found.config), *sorted(folder.rglob("*"))):
        if path.is_file():
            tables.update(_tables(_settings(journal.read(str(path)) or "")))
    return tables


def _asked(found: Found) -> Mapping[str, object]:
    """CRI-O's settings. From 1.21 on `crio config` leaves out what is as by default."""
    words = ["--config", found.config, "--config-dir", _folder(found)] if found.explicit else []
    default, config = ask([found.binary, "config", "--default"]), ask([found.binary, *words, "config"])
    return {**_settings(default), **_settings(config)}


def _settings(text: str) -> Mapping[str, object]:
    """What a text in CRI-O's form says under [crio] and [crio.runtime], which have no name in common."""
    crio = values.parse("toml", text).get("crio")
    crio = crio if isinstance(crio, Mapping) else {}
    runtime = crio.get("runtime")
    return {**crio, **(runtime if isinstance(runtime, Mapping) else {})}


def _tables(settings: Mapping[str, object]) -> Mapping[str, Mapping[str, object]]:
    tables = settings.get("runtimes")
    return tables if isinstance(tables, Mapping) else {}
