"""Podman (and Buildah): `[engine.runtimes]` in a containers.conf drop-in.

Podman merges the files in order. The keys of a table add up, but a list such as `runtime_supports_json` replaces the
earlier one. So our list repeats what it would hide. There is no daemon, and nothing to restart.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Mapping, Sequence

from cdi_runc.engines import monitors, values
from cdi_runc.engines.ask import ask, binary, version
from cdi_runc.engines.engine import (
    ANNOTATION,
    DEVICE,
    EngineError,
    FilePlan,
    Found,
    Native,
    NewRuntime,
    Put,
    Runtimes,
    is_root,
    release,
    user_config_home,
)

_SYSTEM = ("/usr/share/containers/containers.conf", "/etc/containers/containers.conf")

# containers.conf(5), the lists' values where no file sets them, as of containers/common 0.50 to 0.62.
_DEFAULT_LISTS: dict[str, list[str]] = {
    "runtime_supports_json": ["crun", "runc", "kata", "runsc", "youki", "krun"],
    "runtime_supports_nocgroup": ["crun", "krun"],  # what Podman reads (4.3.1 to 5.8.2)
    "runtime_supports_nocgroups": ["crun", "krun"],  # what containers.conf(5) says
    "runtime_supports_kvm": ["kata", "runsc", "krun"],
}

TO_FORGET: tuple[Put, ...] = ()
NATIVE = Native(request=f"podman run --device {DEVICE} ...", since="4.1")


def find(config: str | None) -> Found:
    """Podman on this host; `config` is one containers.conf to be used in place of all others."""
    path = binary("Podman", "podman")
    number = version(ask([path, "--version"]))
    main = config or os.environ.get("CONTAINERS_CONF") or _main_config()
    return Found(
        name="podman",
        binary=path,
        version=number,
        config=os.path.abspath(main),
        running=None,
        cdi="on" if release(number) >= (4, 1) else "no",
        explicit=config is not None or "CONTAINERS_CONF" in os.environ,
    )


def runtimes(found: Found) -> Runtimes:
    """The runtimes in the files that Podman reads (the built-in ones can't be lost), each as `podman info` finds it."""
    handlers: dict[str, Mapping[str, object]] = {}
    for _, engine in tables(found):
        table = engine.get("runtimes")
        for name, paths in table.items() if isinstance(table, Mapping) else ():
            handlers[name] = {"paths": paths, **_tried(found, name)}
    return Runtimes(_used(found)[0], handlers)


def plan(found: Found, new: NewRuntime, known: Runtimes) -> list[FilePlan]:
    """The runtime's path, the lists that say what it can do (all that the wrapped one can), the default if wished."""
    path = new.drop_in or (found.config if found.explicit else f"{found.config}.d/50-{new.name}.conf")
    puts = [Put(("engine", "runtimes", new.name), [new.path])]
    for name, default in _DEFAULT_LISTS.items():
        values = _list(found, name, default, but=path)
        if name == "runtime_supports_json" or os.path.basename(new.wraps) in values:
            puts.append(Put(("engine", name), [*(value for value in values if value != new.name), new.name]))
    if new.default:
        puts.append(Put(("engine", "runtime"), new.name))
    return [FilePlan(path, "toml", tuple(puts))]


def live(found: Found) -> Runtimes | None:
    """Podman reads its files each time it runs."""
    return runtimes(found)


def reload(found: Found, runtime: str | None) -> None:
    """Nothing runs that could be told; Podman itself must find the runtime."""
    if runtime:
        _used(found, runtime)


def reload_command(found: Found, gone: bool) -> str:
    """Nothing runs."""
    return ""


def advice(found: Found, new: NewRuntime) -> list[str]:
    """How to ask for a device, and who else can."""
    runtime = "" if new.default else f"--runtime {new.name} "
    return [f"ask for a device: podman {runtime}run --annotation {ANNOTATION}={DEVICE} ..."]


def owns_monitor(command: Sequence[str]) -> bool:
    """conmon, unless CRI-O started it."""
    return os.path.basename(command[0]) == "conmon" and "crio" not in (monitors.option(command, "--exit-dir") or "")


def pods_of(found: Found, runtime: str) -> list[str]:
    """Nothing."""
    return []


def takes_annotations(found: Found) -> bool:
    """`podman run --annotation` is older than any Podman we meet."""
    return True


def _main_config() -> str:
    return os.path.join("/etc" if is_root() else user_config_home(), "containers/containers.conf")


def _files(found: Found) -> list[str]:
    """The files that Podman reads, the last word last."""
    if found.explicit:
        files = [found.config]
    else:
        mains = dict.fromkeys([*_SYSTEM, found.config])
        files = [file for main in mains for file in (main, *sorted(glob.glob(f"{main}.d/*.conf")))]
    override = os.environ.get("CONTAINERS_CONF_OVERRIDE")
    return [*files, override] if override else files


def tables(found: Found) -> list[tuple[str, Mapping[str, object]]]:
    """Each file with its `[engine]` table."""
    tables = []
    for file in _files(found):
        engine = values.load("toml", file).get("engine")
        if isinstance(engine, Mapping):
            tables.append((file, engine))
    return tables


def _list(found: Found, name: str, default: list[str], but: str) -> list[str]:
    """A list as it is without the drop-in `but`, which will set it."""
    value: object = default
    for file, engine in tables(found):
        if file != but or found.explicit:
            value = engine.get(name, value)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else default


def _tried(found: Found, runtime: str) -> dict[str, str]:
    try:
        return {"path": _used(found, runtime)[1]}
    except EngineError as fault:
        return {"path": "", "fault": str(fault)}


def _used(found: Found, runtime: str | None = None) -> tuple[str, str]:
    """Name and path of a runtime, or of the default, in Podman's own words."""
    options = ["--runtime", runtime] if runtime else []
    answer = json.loads(podman(found, *options, "info", "--format", "json"))
    used = answer["host"]["ociRuntime"]
    return str(used["name"]), str(used["path"])


def podman(found: Found, *arguments: str) -> str:
    """What a podman command prints, with the config file that was found."""
    return ask([found.binary, *arguments], env={"CONTAINERS_CONF": found.config} if found.explicit else None)
