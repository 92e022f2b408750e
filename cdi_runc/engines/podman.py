"""Podman (and Buildah): `[engine.runtimes]` in a monitors.conf drop-in.

Podman merges the files in order: a table's keys add up, but a list such as `runtime_supports_json` replaces the one
before, so ours repeats what it would hide. There is no daemon, and nothing to restart.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Mapping, Sequence

from cdi_runc.engines import monitors, values
from cdi_runc.engines.ask import ask, binary, version
from cdi_runc.engines.engine import (
    EngineError,
    FilePlan,
    Found,
    Put,
    Runtimes,
    Trial,
    Wish,
    is_root,
    release,
    user_config_home,
)

_SYSTEM = ("/usr/share/containers/containers.conf", "/etc/containers/containers.conf")

# monitors.conf(5), the lists' values where no file sets them, as of containers/common 0.50 to 0.62.
_DEFAULT_LISTS: dict[str, list[str]] = {
    "runtime_supports_json": ["crun", "runc", "kata", "runsc", "youki", "krun"],
    "runtime_supports_nocgroups": ["crun", "krun"],
    "runtime_supports_kvm": ["kata", "runsc", "krun"],
}

PARTING: tuple[Put, ...] = ()


def find(config: str | None) -> Found:
    """Podman on this host; `config` is one monitors.conf to be used in place of all others."""
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
    for _, engine in _tables(found):
        table = engine.get("runtimes")
        for name, paths in table.items() if isinstance(table, Mapping) else ():
            handlers[name] = {"paths": paths, **_tried(found, name)}
    return Runtimes(_used(found)[0], handlers)


def plan(found: Found, wish: Wish, known: Runtimes) -> list[FilePlan]:
    """The runtime's path, the lists that say what it can do (all that the wrapped one can), the default if wished."""
    path = wish.drop_in or (found.config if found.explicit else f"{found.config}.d/50-{wish.runtime}.conf")
    puts = [Put(("engine", "runtimes", wish.runtime), [wish.path])]
    for name, default in _DEFAULT_LISTS.items():
        values = _list(found, name, default, but=path)
        if name == "runtime_supports_json" or os.path.basename(wish.wraps) in values:
            puts.append(Put(("engine", name), [*(value for value in values if value != wish.runtime), wish.runtime]))
    if wish.default:
        puts.append(Put(("engine", "runtime"), wish.runtime))
    return [FilePlan(path, "toml", tuple(puts))]


def reload(found: Found, runtime: str | None) -> None:
    """Nothing runs that could be told; Podman itself must find the runtime."""
    if runtime:
        _used(found, runtime)


def reload_command(found: Found, gone: bool) -> str:
    """Nothing runs."""
    return ""


def advice(found: Found, wish: Wish) -> list[str]:
    """How to ask for a device."""
    runtime = "" if wish.default else f"--runtime {wish.runtime} "
    return [f"ask for a device: podman {runtime}run --annotation cdi.k8s.io/x=vendor.com/class=name ..."]


def mine(command: Sequence[str]) -> bool:
    """conmon, unless CRI-O started it."""
    return os.path.basename(command[0]) == "conmon" and "crio" not in (monitors.option(command, "--exit-dir") or "")


def kept(found: Found, runtime: str) -> list[str]:
    """Nothing."""
    return []


def takes_annotations(found: Found) -> bool:
    """`podman run --annotation` is older than any Podman we meet."""
    return True


def load_image(found: Found, archive: str, image: str) -> None:
    """`podman load`."""
    _podman(found, "load", "--input", archive)


def start(found: Found, trial: Trial) -> int:
    """`podman run --detach` without a network, and with low limits, since not every root may raise them."""
    options = ["--detach", "--name", trial.container, "--network", "none"]
    options += ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]
    options += [f"--annotation={key}={value}" for key, value in trial.annotations.items()]
    options += [f"--volume={source}:{target}" for target, source in trial.mounts.items()]
    options += [f"--env={key}={value}" for key, value in trial.env.items()]
    _podman(found, "--runtime", trial.runtime, "run", *options, trial.image, *trial.command)
    return int(_podman(found, "inspect", "--format", "{{.State.Pid}}", trial.container))


def clean(found: Found, trial: Trial, image: bool) -> None:
    """`podman rm --force`, `podman rmi`."""
    _podman(found, "--runtime", trial.runtime, "rm", "--force", trial.container)  # 3.4 has no --time
    if image:
        _podman(found, "rmi", trial.image)


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


def _tables(found: Found) -> list[tuple[str, Mapping[str, object]]]:
    """Each file with its `[engine]` table."""
    tables = []
    for file in _files(found):
        engine = values.load("toml", file).get("engine")
        if isinstance(engine, Mapping):
            tables.append((file, engine))
    return tables


def _list(found: Found, name: str, default: list[str], but: str) -> list[str]:
    """A list as it stands without the drop-in `but`, which is to set it anew."""
    value: object = default
    for file, engine in _tables(found):
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
    answer = json.loads(_podman(found, *options, "info", "--format", "json"))
    used = answer["host"]["ociRuntime"]
    return str(used["name"]), str(used["path"])


def _podman(found: Found, *arguments: str) -> str:
    return ask([found.binary, *arguments], env={"CONTAINERS_CONF": found.config} if found.explicit else None)
