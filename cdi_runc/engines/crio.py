"""CRI-O: a runtime table in a drop-in under crio.conf.d.

CRI-O hands annotations that aren't its own on to config.json, and refuses to start when `allowed_annotations` names one
that it doesn't know; so cdi.k8s.io is not to be listed there, unlike in containerd.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from cdi_runc.engines import containers, edits
from cdi_runc.engines.ask import ask, binary, version
from cdi_runc.engines.engine import (
    EngineError,
    FilePlan,
    Found,
    Put,
    Runtimes,
    Trial,
    Value,
    Wish,
    is_root,
    pod_request,
    release,
)

_FOLDER = "/etc/crio/crio.conf.d"

PARTING: tuple[Put, ...] = ()


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
        cdi="on" if release(number) >= (1, 23) else "no",
        explicit=config is not None,
    )


def runtimes(found: Found) -> Runtimes:
    """The runtime tables as `crio config` has them, all files merged."""
    words = ["--config", found.config, "--config-dir", _folder(found)] if found.explicit else []
    settings = edits.parse("toml", ask([found.binary, *words, "config"]))
    for key in ("crio", "runtime"):
        inner = settings.get(key)
        settings = inner if isinstance(inner, dict) else {}
    tables = settings.get("runtimes")
    handlers = {
        name: {"path": table.get("runtime_path") or name, **table}
        for name, table in (tables.items() if isinstance(tables, Mapping) else ())
    }
    return Runtimes(str(settings.get("default_runtime") or ""), handlers)


def plan(found: Found, wish: Wish, known: Runtimes) -> list[FilePlan]:
    """A drop-in with the table of the runtime that it stands for, and our path."""
    base = known.handlers.get(os.path.basename(wish.wraps)) or known.handlers.get(known.default) or {}
    table: dict[str, Value] = {key: value for key, value in base.items() if value and key != "path"}  # type: ignore[misc]
    table["runtime_path"] = wish.path
    table.setdefault("runtime_type", "oci")
    if os.path.basename(wish.wraps) not in known.handlers:
        table["runtime_root"] = f"/run/{os.path.basename(wish.wraps)}"
    puts = [Put(("crio", "runtime", "runtimes", wish.runtime), table)]
    if wish.default:
        puts.append(Put(("crio", "runtime", "default_runtime"), wish.runtime))
    path = wish.drop_in or os.path.join(_folder(found), f"50-{wish.runtime}.conf")
    return [FilePlan(path, "toml", tuple(puts))]


def reload(found: Found, runtime: str | None) -> None:
    """CRI-O reads runtimes when it starts."""
    if found.explicit or not is_root() or not os.path.isdir("/run/systemd/system"):
        raise EngineError("no systemd unit runs this CRI-O: restart it yourself, and leave --restart out")
    ask(["systemctl", "restart", "crio"])


def reload_command(found: Found, gone: bool) -> str:
    """Containers go on running meanwhile."""
    return "systemctl restart crio, or --restart" if found.running else ""


def advice(found: Found, wish: Wish) -> list[str]:
    """How to ask for a device."""
    return [pod_request(wish.runtime)]


def mine(command: Sequence[str]) -> bool:
    """conmon, if CRI-O started it."""
    return os.path.basename(command[0]) == "conmon" and "crio" in (containers.option(command, "--exit-dir") or "")


def takes_annotations(found: Found) -> bool:
    """Pods and containers have them."""
    return True


def load_image(found: Found, archive: str, image: str) -> None:
    """CRI-O has no command for this."""
    raise EngineError("CRI-O starts containers for a kubelet only: try the RuntimeClass with a pod instead")


def start(found: Found, trial: Trial) -> int:
    """CRI-O has no command for this."""
    raise EngineError("CRI-O starts containers for a kubelet only: try the RuntimeClass with a pod instead")


def clean(found: Found, trial: Trial, image: bool) -> None:
    """Nothing was started."""


def _folder(found: Found) -> str:
    return f"{found.config}.d" if found.explicit else _FOLDER
