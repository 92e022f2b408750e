"""containerd: a runtime handler of the CRI plugin in config.toml (schema 1 to 4).

containerd 1.x lets an imported file replace the whole CRI section, and a `runtimes` table replace the built-in `runc`;
so there the handler goes into the file itself, together with `runc`. From 2.0 on imports merge, and it is a drop-in.
A new handler has none of the options of the handler that it wraps (SystemdCgroup ...) unless they are repeated.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Literal

from cdi_runc.engines import monitors, processes, values
from cdi_runc.engines.ask import ask, binary, version
from cdi_runc.engines.containerd_files import (
    MERGES_SINCE,
    is_imported,
    plugin,
    refuse_later_schema,
    refuse_replaced,
    refuse_without_cri,
    table,
)
from cdi_runc.engines.engine import (
    ANNOTATION,
    CRI_REQUEST,
    DEVICE,
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
    user_config_home,
)
from cdi_runc.engines.processes import Process

ANNOTATIONS = "cdi.k8s.io/*"

TO_FORGET: tuple[Put, ...] = ()

_CDI_SINCE = (1, 7)


def find(config: str | None) -> Found:
    """containerd on this host; `config` is another config.toml than the one that containerd uses."""
    path = binary("containerd", "containerd")
    number = version(ask([path, "--version"]))
    usual = _default_config()
    running = _daemons()
    main = os.path.abspath(config or _config_in_use(running, usual))
    daemon = next((process for process in running if _config_of(process, usual) == main), None)
    refuse_later_schema(main, number)
    return Found(
        name="containerd",
        binary=path,
        version=number,
        config=main,
        running=daemon is not None or _answers(main),
        cdi=_cdi(number, _cri(_dump(path, main))),
        explicit=config is not None or main != usual,
        pid=daemon.pid if daemon else None,
    )


def runtimes(found: Found) -> Runtimes:
    """The handlers as `containerd config dump` has them, with all their options."""
    settings = table(_cri(_dump(found.binary, found.config)), "containerd")
    handlers = {
        name: {"path": table(handler, "options").get("BinaryName") or "runc", **_plain(handler)}
        for name, handler in table(settings, "runtimes").items()
        if isinstance(handler, Mapping)
    }
    return Runtimes(str(settings.get("default_runtime_name") or ""), handlers)


def live(found: Found) -> Runtimes | None:
    """containerd can't be asked."""
    return None


def plan(found: Found, new: NewRuntime, known: Runtimes) -> list[FilePlan]:
    """The handler, in a drop-in where imports merge, and the handlers that a first `runtimes` table would hide."""
    main, version_puts = _read(found)
    refuse_without_cri(found)
    section = (*plugin(main), "containerd")
    start = f"version = {main['version']}\n"  # of a file that isn't there yet
    puts = [Put((*section, "runtimes", new.name), handler(known, new))]
    if new.default:
        puts.append(Put((*section, "default_runtime_name"), new.name))
    hidden = [Put((*section, "runtimes", name), _plain(how), "if-absent") for name, how in known.handlers.items()]
    if found.release < MERGES_SINCE:
        if new.drop_in:
            raise EngineError(f"containerd {found.version} does not merge drop-ins with its file: leave --drop-in out")
        refuse_replaced(found, main)
        return [FilePlan(found.config, "toml", (*version_puts, *hidden, *puts), start)]
    path = new.drop_in or os.path.join(os.path.dirname(found.config), "conf.d", f"50-{new.name}.toml")
    if not table(main, *section, "runtimes"):
        puts = [*hidden, *puts]
    drop_in = FilePlan(path, "toml", tuple(puts), start)
    if is_imported(found.config, main, path):
        return [drop_in]
    return [drop_in, FilePlan(found.config, "toml", (*version_puts, Put(("imports",), path, "item")), start)]


def handler(known: Runtimes, new: NewRuntime) -> dict[str, Value]:
    """All options of the handler that it wraps, with our binary, and with annotations passed on to config.json."""
    base = known.handlers.get(os.path.basename(new.wraps)) or known.handlers.get(known.default) or {}
    new_table = _plain(base)
    options = new_table.get("options")
    new_table.setdefault("runtime_type", "io.containerd.runc.v2")
    for name in ("pod_annotations", "container_annotations"):
        patterns = base.get(name)
        kept = [str(pattern) for pattern in patterns if pattern != ANNOTATIONS] if isinstance(patterns, list) else []
        new_table[name] = [*kept, ANNOTATIONS]
    new_table["options"] = {**(options if isinstance(options, Mapping) else {}), "BinaryName": new.path}
    return new_table


def reload(found: Found, runtime: str | None) -> None:
    """containerd reads its file only when it starts; containers survive that."""
    if found.explicit or not os.path.isdir("/run/systemd/system"):
        raise EngineError("no systemd unit runs this containerd: restart it yourself, and leave --restart out")
    ask(["systemctl", *([] if is_root() else ["--user"]), "restart", "containerd"])
    if not _answers(found.config):
        raise EngineError("containerd does not answer after the restart: journalctl -u containerd says why")


def reload_command(found: Found, gone: bool) -> str:
    """Containers go on running meanwhile."""
    if not found.running:
        return ""
    return "a restart of containerd" if found.explicit else "systemctl restart containerd, or --restart"


def advice(found: Found, new: NewRuntime) -> list[str]:
    """How to ask for a device."""
    return [pod_request(new.name), f"or: ctr run --runc-binary {new.path} --annotation {ANNOTATION}={DEVICE} ..."]


def owns_monitor(command: Sequence[str]) -> bool:
    """containerd's shim, unless dockerd owns the namespace."""
    namespace = monitors.option(command, "-namespace")
    return namespace is not None and not namespace.endswith("moby")


def pods_of(found: Found, runtime: str) -> list[str]:
    """Nothing."""
    return []


def takes_annotations(found: Found) -> bool:
    """`ctr run --annotation`, and CRI through the handler's lists."""
    return True


def address(config: str) -> str:
    """The socket of the containerd with this file."""
    return str(table(_dump(binary("containerd", "containerd"), config), "grpc").get("address") or "")


def snapshotter(found: Found) -> str:
    """The snapshotter that CRI uses, "" where none is set."""
    return str(table(_cri(_dump(found.binary, found.config)), "containerd").get("snapshotter") or "")


def _default_config() -> str:
    return os.path.join("/etc" if is_root() else user_config_home(), "containerd/config.toml")


def _daemons() -> list[Process]:
    """The containerds of this host that people run themselves: not dockerd's, and not that of k3s or RKE2."""
    return [process for process in processes.daemons("containerd") if not _is_private(process)]


def _is_private(process: Process) -> bool:
    parent = processes.parent_of(process.pid)
    if parent and os.path.basename((processes.argv_of(parent) or [""])[0]) == "dockerd":
        return True
    file = monitors.option(process.argv, "--config", "-c") or ""
    return "/docker/containerd/" in file or "/rancher/" in file or "/k3s/" in file


def _config_of(process: Process, usual: str) -> str:
    return os.path.abspath(monitors.option(process.argv, "--config", "-c") or usual)


def _config_in_use(running: Sequence[Process], usual: str) -> str:
    """The file of the containerd that runs; the usual one if none runs, or one with that."""
    files = {_config_of(process, usual) for process in running} or {usual}
    if usual not in files and len(files) > 1:
        raise EngineError(f"several containerd run, with {' and '.join(sorted(files))}: --config says which")
    return usual if usual in files else files.pop()


def _dump(path: str, config: str) -> dict[str, object]:
    """The whole configuration as containerd itself reads it."""
    words = ["--config", config, "config", "dump"] if os.path.exists(config) else ["config", "default"]
    return values.parse("toml", ask([path, *words]))


def _read(found: Found) -> tuple[Mapping[str, object], list[Put]]:
    """The file as it is, or what an empty file would mean; and the text that gives an empty file that schema."""
    main = values.load("toml", found.config)
    if not main:
        newest = _dump(found.binary, found.config)["version"]
        return {"version": newest}, [Put(("version",), newest)] if os.path.exists(found.config) else []  # type: ignore[arg-type]
    return {"version": 1, **main}, []


def _cri(settings: Mapping[str, object]) -> Mapping[str, object]:
    return table(settings, *plugin(settings))


def _plain(value: Mapping[str, object]) -> dict[str, Value]:
    """A handler without empty options: the dump has every option, and they are empty unless they are set."""
    plain: dict[str, Value] = {}
    for key, item in value.items():
        kept = _plain(item) if isinstance(item, Mapping) else item
        if kept and key != "path":
            plain[key] = kept  # type: ignore[assignment]  # TOML holds nothing but such values
    return plain


def _cdi(number: str, cri: Mapping[str, object]) -> Literal["on", "off", "no"]:
    """containerd's CRI injects CDI devices since 1.7, where `enable_cdi` is set (from 2.0 on by default)."""
    if release(number) < _CDI_SINCE:
        return "no"
    return "on" if cri.get("enable_cdi") else "off"


def _native_plan(found: Found) -> list[FilePlan]:
    """`enable_cdi` of the CRI plugin; from 2.0 on it is on unless a file says otherwise, so the file must change."""
    main, version_puts = _read(found)
    refuse_without_cri(found)
    if found.release < MERGES_SINCE:
        refuse_replaced(found, main)
    put = Put((*plugin(main), "enable_cdi"), True)
    return [FilePlan(found.config, "toml", (*version_puts, put), f"version = {main['version']}\n")]


def _native_written(found: Found) -> bool:
    return _cri(_dump(found.binary, found.config)).get("enable_cdi") is True


NATIVE = Native(
    request=f"{CRI_REQUEST}, or a pod's annotation",
    since="1.7",
    plan=_native_plan,
    written=_native_written,
    restart=lambda found: reload(found, None),
    restart_command="systemctl restart containerd, or --restart",
)


def _answers(config: str) -> bool:
    socket = address(config)
    if not shutil.which("ctr") or not os.path.exists(socket):  # for a socket that isn't there ctr waits
        return False
    try:
        ask(["ctr", "--connect-timeout", "2s", "--address", socket, "version"], timeout=15)
    except EngineError:
        return False
    return True
