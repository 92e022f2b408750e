"""containerd: a runtime handler of the CRI plugin in config.toml (schema 2, or 3 and 4 with containerd 2).

containerd 1.x lets an imported file replace the whole CRI section, and a `runtimes` table replace the built-in `runc`;
so there the handler goes into the file itself, and `runc` beside it. From 2.0 on imports merge, and it is a drop-in.
A new handler has none of the options of the one it stands for (SystemdCgroup ...) unless they are repeated.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Literal

from cdi_runc.engines import monitors, values
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
    user_config_home,
)

ANNOTATIONS = "cdi.k8s.io/*"
_NAMESPACE = "cdi-runc-test"

PARTING: tuple[Put, ...] = ()


def find(config: str | None) -> Found:
    """containerd on this host; `config` is another config.toml than the usual one."""
    path = binary("containerd", "containerd")
    number = version(ask([path, "--version"]))
    main = os.path.abspath(config or _default_config())
    return Found(
        name="containerd",
        binary=path,
        version=number,
        config=main,
        running=_answers(main),
        cdi=_cdi(number, _cri(_dump(path, main))),
        explicit=config is not None,
    )


def runtimes(found: Found) -> Runtimes:
    """The handlers as `containerd config dump` has them, with all their options."""
    settings = _table(_cri(_dump(found.binary, found.config)), "containerd")
    handlers = {
        name: {"path": _table(handler, "options").get("BinaryName") or "runc", **_plain(handler)}
        for name, handler in _table(settings, "runtimes").items()
        if isinstance(handler, Mapping)
    }
    return Runtimes(str(settings.get("default_runtime_name") or ""), handlers)


def plan(found: Found, wish: Wish, known: Runtimes) -> list[FilePlan]:
    """The handler, in a drop-in where imports merge, and the handlers that a first `runtimes` table would hide."""
    main = _read(found)
    section = ("plugins", _plugin(main), "containerd")
    start = f"version = {main['version']}\n"  # of a file that isn't there yet
    puts = [Put((*section, "runtimes", wish.runtime), handler(known, wish))]
    if wish.default:
        puts.append(Put((*section, "default_runtime_name"), wish.runtime))
    hidden = [Put((*section, "runtimes", name), _plain(how), "spare") for name, how in known.handlers.items()]
    if found.release < (2,):
        if wish.drop_in:
            raise EngineError(f"containerd {found.version} does not merge drop-ins with its file: leave --drop-in out")
        return [FilePlan(found.config, "toml", (*hidden, *puts), start)]
    path = wish.drop_in or os.path.join(os.path.dirname(found.config), "conf.d", f"50-{wish.runtime}.toml")
    if not _table(main, *section, "runtimes"):
        puts = [*hidden, *puts]
    drop_in = FilePlan(path, "toml", tuple(puts), start)
    if _imported(found.config, main, path):
        return [drop_in]
    return [drop_in, FilePlan(found.config, "toml", (Put(("imports",), path, "item"),), start)]


def handler(known: Runtimes, wish: Wish) -> dict[str, Value]:
    """All that the handler it stands for has, with our binary, and the annotations let through to config.json."""
    base = known.handlers.get(os.path.basename(wish.wraps)) or known.handlers.get(known.default) or {}
    new = _plain(base)
    options = new.get("options")
    new.setdefault("runtime_type", "io.containerd.runc.v2")
    for name in ("pod_annotations", "container_annotations"):
        patterns = base.get(name)
        kept = [str(pattern) for pattern in patterns if pattern != ANNOTATIONS] if isinstance(patterns, list) else []
        new[name] = [*kept, ANNOTATIONS]
    new["options"] = {**(options if isinstance(options, Mapping) else {}), "BinaryName": wish.path}
    return new


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
    return "it is restarted" if found.explicit else "systemctl restart containerd, or --restart"


def advice(found: Found, wish: Wish) -> list[str]:
    """How to ask for a device, and whether CRI is there at all."""
    said = []
    disabled = _dump(found.binary, found.config).get("disabled_plugins")
    if isinstance(disabled, list) and {"cri", "io.containerd.grpc.v1.cri"} & set(disabled):
        said.append("the CRI plugin is in disabled_plugins: Kubernetes can't use this containerd until it is taken out")
    ctr = f"or: ctr run --runc-binary {wish.path} --annotation cdi.k8s.io/x=vendor.com/class=name ..."
    return [*said, pod_request(wish.runtime), ctr]


def mine(command: Sequence[str]) -> bool:
    """containerd's shim, unless dockerd owns the namespace."""
    namespace = monitors.option(command, "-namespace")
    return namespace is not None and not namespace.endswith("moby")


def kept(found: Found, runtime: str) -> list[str]:
    """Nothing."""
    return []


def takes_annotations(found: Found) -> bool:
    """`ctr run --annotation`, and CRI through the handler's lists."""
    return True


def load_image(found: Found, archive: str, image: str) -> None:
    """`ctr images import`."""
    ask([*_ctr(found), "images", "import", *_snapshotter(found), archive])


def start(found: Found, trial: Trial) -> int:
    """`ctr run --detach` with the handler's binary: the path that `ctr` users take; CRI needs a kubelet."""
    path = str(runtimes(found).handlers[trial.runtime]["path"])
    options = ["--detach", "--runc-binary", path, *_snapshotter(found)]
    options += [f"--annotation={key}={value}" for key, value in trial.annotations.items()]
    options += [f"--mount=type=bind,src={source},dst={target},options=rbind" for target, source in trial.mounts.items()]
    options += [f"--env={key}={value}" for key, value in trial.env.items()]
    ask([*_ctr(found), "run", *options, trial.image, trial.container, *trial.command])
    tasks = (line.split() for line in ask([*_ctr(found), "tasks", "list"]).splitlines())
    return next((int(fields[1]) for fields in tasks if fields and fields[0] == trial.container), 0)


def clean(found: Found, trial: Trial, image: bool) -> None:
    """Kill the task, remove container and image, and the namespace that held them."""
    if trial.container in ask([*_ctr(found), "tasks", "list", "--quiet"]).split():
        ask([*_ctr(found), "tasks", "delete", "--force", trial.container])
    if trial.container in ask([*_ctr(found), "containers", "list", "--quiet"]).split():
        ask([*_ctr(found), "containers", "delete", trial.container])
    if image:
        ask([*_ctr(found), "images", "remove", "--sync", trial.image])
    ask([*_ctr(found)[:-2], "namespaces", "remove", _NAMESPACE])


def _default_config() -> str:
    return os.path.join("/etc" if is_root() else user_config_home(), "containerd/config.toml")


def _dump(path: str, config: str) -> dict[str, object]:
    """The whole configuration as containerd itself reads it."""
    words = ["--config", config, "config", "dump"] if os.path.exists(config) else ["config", "default"]
    return values.parse("toml", ask([path, *words]))


def _read(found: Found) -> dict[str, object]:
    """The file as it is written, or what an empty one would be today."""
    if not os.path.exists(found.config):
        return {"version": _dump(found.binary, found.config)["version"]}
    main = values.load("toml", found.config)
    if main.get("version", 1) == 1:
        raise EngineError(f"{found.config}: schema version 1 has no runtime handlers of this kind: set version = 2")
    return main


def _plugin(main: Mapping[str, object]) -> str:
    schema = main.get("version", 2)
    return "io.containerd.cri.v1.runtime" if isinstance(schema, int) and schema >= 3 else "io.containerd.grpc.v1.cri"


def _cri(settings: Mapping[str, object]) -> Mapping[str, object]:
    return _table(settings, "plugins", _plugin(settings))


def _table(data: object, *keys: str) -> Mapping[str, object]:
    for key in keys:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data if isinstance(data, Mapping) else {}


def _plain(value: Mapping[str, object]) -> dict[str, Value]:
    """A handler without what is empty: the dump spells out every option, and empty is what they are unless set."""
    plain: dict[str, Value] = {}
    for key, item in value.items():
        kept = _plain(item) if isinstance(item, Mapping) else item
        if kept and key != "path":
            plain[key] = kept  # type: ignore[assignment]  # TOML holds nothing but such values
    return plain


def _imported(config: str, main: Mapping[str, object], path: str) -> bool:
    """Does one of the file's imports cover `path`? They may be patterns, and relative to the file."""
    imports = main.get("imports")
    patterns = imports if isinstance(imports, list) else []
    return any(fnmatch.fnmatch(path, os.path.join(os.path.dirname(config), str(pattern))) for pattern in patterns)


def _cdi(number: str, cri: Mapping[str, object]) -> Literal["on", "off", "no"]:
    """containerd's CRI injects CDI devices since 1.7, where `enable_cdi` is set (from 2.0 on by default)."""
    if release(number) < (1, 7):
        return "no"
    return "on" if cri.get("enable_cdi") else "off"


def _address(config: str) -> str:
    return str(_table(_dump(binary("containerd", "containerd"), config), "grpc").get("address") or "")


def _answers(config: str) -> bool:
    if not shutil.which("ctr") or not os.path.exists(_address(config)):  # for a socket that isn't there ctr waits
        return False
    try:
        ask(["ctr", "--connect-timeout", "2s", "--address", _address(config), "version"], timeout=15)
    except EngineError:
        return False
    return True


def _ctr(found: Found) -> list[str]:
    return [binary("containerd's client", "ctr"), "--address", _address(found.config), "--namespace", _NAMESPACE]


def _snapshotter(found: Found) -> list[str]:
    name = _table(_cri(_dump(found.binary, found.config)), "containerd").get("snapshotter")
    return ["--snapshotter", str(name)] if name else []
