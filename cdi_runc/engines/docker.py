"""Docker: `runtimes` and `default-runtime` in daemon.json.

dockerd reads both again on SIGHUP, so no restart is needed. But a setting that is removed from the file keeps its old
value (in 20.10 and in 28.5). Docker 20.10 crashes at `docker info` if its default is no longer one of its runtimes.
dockerd refuses to start if a setting is both in the file and on its command line.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from cdi_runc.engines import journal, monitors, processes, values
from cdi_runc.engines.ask import ask, binary, version
from cdi_runc.engines.engine import (
    ANNOTATION,
    DEVICE,
    MARKER_MOUNTS,
    EngineError,
    FilePlan,
    Found,
    Native,
    NewRuntime,
    NotInstalled,
    Put,
    Runtimes,
    Value,
    is_root,
    user_config_home,
)
from cdi_runc.engines.processes import Process

TO_FORGET = (Put(("runtimes",), {}, "if-absent"), Put(("default-runtime",), "runc", "if-absent"))

_CDI_SINCE, _CDI_ON_SINCE = (25,), (28, 2)  # with `features: {cdi: true}`; without any setting
_ANNOTATIONS_SINCE = (24,)  # API 1.43


def find(config: str | None) -> Found:
    """Docker on this host; `config` is another daemon.json than the one that dockerd uses."""
    usual = _default_config()
    running = _daemons()
    path = os.path.abspath(config or _config_in_use(running, usual))
    daemon = next((process for process in running if _config_of(process, usual) == path), None)
    explicit = config is not None or path != usual
    server = _server(path, explicit)
    number = str(server.get("Version") or "") or version(ask([binary("Docker", "dockerd", "docker"), "--version"]))
    found = Found(
        name="docker",
        binary=binary("Docker", "dockerd", "docker"),
        version=version(number),
        config=path,
        running=bool(server) or daemon is not None,
        cdi="no",
        explicit=explicit,
        pid=daemon.pid if daemon else None,
    )
    return replace(found, cdi=_cdi(found, bool(server)))


def runtimes(found: Found) -> Runtimes:
    """What dockerd reads from its file: it checks the file itself since 23.0; for older versions we read it."""
    daemon = _dockerd()
    if daemon and found.release >= (23,) and os.path.exists(found.config):
        ask([daemon, "--validate", "--config-file", found.config])
    elif found.release < (23,) and (journal.read(found.config) or "").startswith("\ufeff"):
        raise EngineError(f"{found.config} starts with a byte order mark, which Docker reads since 23.0: remove it")
    settings = values.load("json", found.config)
    handlers: dict[str, Mapping[str, object]] = {"runc": {"path": "runc"}}
    given = settings.get("runtimes")
    for name, how in given.items() if isinstance(given, Mapping) else ():
        if isinstance(how, Mapping):
            handlers[name] = {"path": how.get("path") or how.get("runtimeType") or "", **how}
    default = str(settings.get("default-runtime") or "runc")
    if default not in handlers and not default.startswith("io.containerd."):
        raise EngineError(
            f"{found.config}: default-runtime {default} is not one of its runtimes: name another one there"
        )
    return Runtimes(default, handlers)


def live(found: Found) -> Runtimes | None:
    """What `docker info` shows."""
    try:
        info = _info(found)
    except EngineError:
        return None
    known = info.get("Runtimes")
    handlers = {name: {"path": "", **how} for name, how in known.items()} if isinstance(known, Mapping) else {}
    return Runtimes(str(info.get("DefaultRuntime") or ""), handlers)


def plan(found: Found, new: NewRuntime, known: Runtimes) -> list[FilePlan]:
    """A runtime in daemon.json, and the default if that is wished."""
    if new.drop_in:
        raise EngineError("Docker has no drop-in files: leave --drop-in out")
    if new.name == "runc" or new.name.startswith("io.containerd."):
        raise EngineError(f"Docker keeps the name {new.name} for itself: use another --runtime-name")
    _refuse_flags(found)
    handler: dict[str, Value] = {"path": new.path}
    puts = [Put(("runtimes", new.name), handler)]
    if new.default:
        puts.append(Put(("default-runtime",), new.name))
    return [FilePlan(found.config, "json", tuple(puts))]


def reload(found: Found, runtime: str | None) -> None:
    """Send dockerd SIGHUP, and wait until `docker info` shows what the file says."""
    pid = _pid(found)
    if pid is None:
        raise EngineError("no dockerd uses this file: start it, or leave --restart out")
    client(found)  # without it nobody can tell whether dockerd has obeyed
    os.kill(pid, signal.SIGHUP)
    deadline = time.monotonic() + 10
    while not _obeys(found, runtime):
        if time.monotonic() > deadline:
            raise EngineError(f"dockerd has not loaded {found.config}: its log says why")
        time.sleep(0.1)


def reload_command(found: Found, gone: bool) -> str:
    """A reload is enough for new settings. Removed settings need a restart, or our `reload`."""
    if not found.running:
        return ""
    if gone:
        return "a restart, not a reload (disable --restart needs neither)"
    return "kill -HUP of dockerd, or --restart" if found.explicit else "systemctl reload docker, or --restart"


def advice(found: Found, new: NewRuntime) -> list[str]:
    """How to ask for a device."""
    runtime = "" if new.default else f"--runtime {new.name} "
    if takes_annotations(found):
        return [f"ask for a device: docker run {runtime}--annotation {ANNOTATION}={DEVICE} ..."]
    target = f"{MARKER_MOUNTS}/vendor.com/class/name"
    return [
        f"Docker {found.version} has no --annotation (24.0 has it), so devices are asked for by mounts.",
        "First put these two lines into /etc/cdi-runc/config.yaml, written so:",
        "requests:",
        f"  mounts: {MARKER_MOUNTS}",
        f"then ask for a device: docker run {runtime}-v /dev/null:{target} ...",
        "or, if its name has a colon (GPU slices, PCI addresses):",
        f"docker run {runtime}--mount type=bind,source=/dev/null,target={target} ...",
    ]


def owns_monitor(command: Sequence[str]) -> bool:
    """containerd's shim under dockerd's namespace."""
    return (monitors.option(command, "-namespace") or "").endswith("moby")


def pods_of(found: Found, runtime: str) -> list[str]:
    """Nothing."""
    return []


def takes_annotations(found: Found) -> bool:
    """`docker run --annotation` came with API 1.43, Docker 24.0."""
    return found.release >= _ANNOTATIONS_SINCE


def client(found: Found) -> list[str]:
    """The docker command for the daemon whose file this is."""
    return _client(found.config, found.explicit)


def _default_config() -> str:
    return "/etc/docker/daemon.json" if is_root() else os.path.join(user_config_home(), "docker/daemon.json")


def _dockerd() -> str | None:
    try:
        return binary("Docker", "dockerd")
    except NotInstalled:
        return None


def _client(config: str, explicit: bool) -> list[str]:
    """The docker command for the daemon whose file this is: one that was named may listen elsewhere."""
    client = [binary("Docker's client", "docker")]
    hosts = values.load("json", config).get("hosts") if explicit else None
    if isinstance(hosts, list) and hosts:
        return [*client, "--host", str(hosts[0])]
    if not explicit and not is_root() and "DOCKER_HOST" not in os.environ and os.environ.get("XDG_RUNTIME_DIR"):
        return [*client, "--host", f"unix://{os.environ['XDG_RUNTIME_DIR']}/docker.sock"]
    return client


def _server(config: str, explicit: bool) -> dict[str, object]:
    """What the running daemon says of its version; empty if it doesn't answer."""
    try:
        return _json_of([*_client(config, explicit), "version", "--format", "{{json .Server}}"])
    except NotInstalled:
        return {}
    except EngineError as fault:
        if config in str(fault):
            raise
        return {}


def _info(found: Found) -> dict[str, object]:
    return _json_of([*client(found), "info", "--format", "{{json .}}"])


def _json_of(command: list[str]) -> dict[str, object]:
    """The object that a docker command prints, perhaps after other lines; raises EngineError where there is none."""
    lines = ask(command, timeout=15).splitlines() or [""]
    try:
        answer = json.loads(lines[-1])
    except ValueError:
        raise EngineError(f"{command[0]} prints no JSON, so it may be another program: {lines[-1][:80]}") from None
    return answer if isinstance(answer, dict) else {}


def _cdi(found: Found, answers: bool) -> Literal["on", "off", "no"]:
    """Does Docker inject CDI devices itself? `docker info` lists its spec directories then; else the file decides."""
    if found.release < _CDI_SINCE:
        return "no"
    if answers:
        return "on" if _info(found).get("CDISpecDirs") else "off"
    return "on" if _has_feature(found) else "off"


def _has_feature(found: Found) -> bool:
    """Will dockerd have its own CDI on, by its file?"""
    features = values.load("json", found.config).get("features")
    given = features.get("cdi") if isinstance(features, Mapping) else None
    return found.release >= _CDI_ON_SINCE if given is None else given is True


def _native_plan(found: Found) -> list[FilePlan]:
    if (pid := _pid(found)) and monitors.option(processes.argv_of(pid), "--feature"):
        raise EngineError(
            "dockerd was started with --feature, and accepts it in one place only: move it to daemon.json"
        )
    return [FilePlan(found.config, "json", (Put(("features", "cdi"), True),))]


def _restart(found: Found) -> None:
    """dockerd sets its CDI up only when it starts."""
    if found.explicit or not is_root() or not os.path.isdir("/run/systemd/system"):
        raise EngineError("no systemd unit runs this dockerd: restart it yourself, and leave --restart out")
    ask(["systemctl", "restart", "docker"], timeout=120)


NATIVE = Native(
    request=f"docker run --device {DEVICE} ...",
    since="25.0",
    plan=_native_plan,
    written=_has_feature,
    restart=_restart,
    restart_command="systemctl restart docker, or --restart (running containers stop, unless live-restore is set)",
)


def _obeys(found: Found, runtime: str | None) -> bool:
    """Has dockerd everything from the file? And if nothing was added, does it have nothing else?"""
    wanted, now = runtimes(found), live(found)
    if now is None:
        return False
    names = {name for name in now.handlers if not name.startswith("io.containerd.")}
    if runtime and now.handlers.get(runtime, {}).get("path") != wanted.handlers[runtime]["path"]:
        return False
    return now.default == wanted.default and (runtime is not None or names == set(wanted.handlers))


def _daemons() -> list[Process]:
    """Root's for root, else our own."""
    return [each for each in processes.daemons("dockerd") if is_root() or each.uid == os.getuid()]


def _config_of(process: Process, usual: str) -> str:
    return os.path.abspath(monitors.option(process.argv, "--config-file") or usual)


def _config_in_use(running: Sequence[Process], usual: str) -> str:
    """The file of the dockerd that runs; the usual one if none runs, or one with that."""
    files = {_config_of(process, usual) for process in running} or {usual}
    if usual not in files and len(files) > 1:
        raise EngineError(f"several dockerd run, with {' and '.join(sorted(files))}: --config says which")
    return usual if usual in files else files.pop()


def _pid(found: Found) -> int | None:
    """dockerd's number: of the one that was found, else as its pidfile says."""
    if found.pid:
        return found.pid
    default = "/var/run/docker.pid" if is_root() else os.path.join(os.environ.get("XDG_RUNTIME_DIR", ""), "docker.pid")
    text = journal.read(str(values.load("json", found.config).get("pidfile") or default)) or ""
    pid = int(text) if text.strip().isdigit() else 0
    argv = processes.argv_of(pid) if pid else []
    return pid if argv and os.path.basename(argv[0]) == "dockerd" else None


def _refuse_flags(found: Found) -> None:
    """dockerd does not start if `runtimes` is both in its file and on its command line."""
    pid = _pid(found)
    for flag in ("--add-runtime", "--default-runtime"):
        if pid and any(word.split("=")[0] == flag for word in processes.argv_of(pid)):
            raise EngineError(
                f"dockerd was started with {flag}, and accepts it in one place only: move it to daemon.json"
            )
