"""Docker: `runtimes` and `default-runtime` in daemon.json.

dockerd reads both again on SIGHUP, so nothing has to be restarted. But a setting that is gone from the file stays as
it was (20.10 and 28.5 alike), and 20.10 dies at `docker info` when its default is none of its runtimes any more. It
refuses to start when a setting is given in the file and on its command line.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Literal

from cdi_runc.engines import journal, monitors, values
from cdi_runc.engines.ask import ask, binary, version
from cdi_runc.engines.engine import (
    EngineError,
    FilePlan,
    Found,
    NotInstalled,
    Put,
    Runtimes,
    Trial,
    Value,
    Wish,
    is_root,
    release,
    user_config_home,
)

PARTING = (Put(("runtimes",), {}, "spare"), Put(("default-runtime",), "runc", "spare"))


def find(config: str | None) -> Found:
    """Docker on this host; `config` is another daemon.json than the usual one."""
    path = os.path.abspath(config or _default_config())
    server = _server(path, explicit=config is not None)
    return Found(
        name="docker",
        binary=binary("Docker", "dockerd", "docker"),
        version=version(str(server.get("Version") or ask([binary("Docker", "dockerd", "docker"), "--version"]))),
        config=path,
        running=bool(server),
        cdi=_cdi(path, str(server.get("Version", "")), explicit=config is not None),
        explicit=config is not None,
    )


def runtimes(found: Found) -> Runtimes:
    """What dockerd makes of its file: it checks it itself where it knows how to (since 23.0), else we read it."""
    daemon = _dockerd()
    if daemon and found.release >= (23,) and os.path.exists(found.config):
        ask([daemon, "--validate", "--config-file", found.config])
    settings = values.load("json", found.config)
    handlers: dict[str, Mapping[str, object]] = {"runc": {"path": "runc"}}
    given = settings.get("runtimes")
    for name, how in given.items() if isinstance(given, Mapping) else ():
        if isinstance(how, Mapping):
            handlers[name] = {"path": how.get("path") or how.get("runtimeType") or "", **how}
    default = str(settings.get("default-runtime") or "runc")
    if default not in handlers and not default.startswith("io.containerd."):
        raise EngineError(f"{found.config}: default-runtime {default} is none of its runtimes")
    return Runtimes(default, handlers)


def plan(found: Found, wish: Wish, known: Runtimes) -> list[FilePlan]:
    """A runtime in daemon.json, and the default if that is wished."""
    if wish.drop_in:
        raise EngineError("Docker has no drop-in files: leave --drop-in out")
    _refuse_flags(found)
    handler: dict[str, Value] = {"path": wish.path}
    puts = [Put(("runtimes", wish.runtime), handler)]
    if wish.default:
        puts.append(Put(("default-runtime",), wish.runtime))
    return [FilePlan(found.config, "json", tuple(puts))]


def reload(found: Found, runtime: str | None) -> None:
    """Send dockerd SIGHUP, and wait until `docker info` shows the runtime, or no other runtimes than the file."""
    pid = _pid(found)
    if pid is None:
        raise EngineError("dockerd's pidfile names no dockerd: reload it yourself, and leave --restart out")
    os.kill(pid, signal.SIGHUP)
    deadline = time.monotonic() + 10
    while not _obeys(found, runtime):
        if time.monotonic() > deadline:
            raise EngineError(f"dockerd has not taken {found.config} up: its log says why")
        time.sleep(0.1)


def reload_command(found: Found, gone: bool) -> str:
    """A reload does for what is new; what is gone from the file is forgotten by a restart, or by our `reload`."""
    if not found.running:
        return ""
    if gone:
        return "a restart, not a reload (disable --restart needs neither)"
    return "kill -HUP of dockerd, or --restart" if found.explicit else "systemctl reload docker, or --restart"


def advice(found: Found, wish: Wish) -> list[str]:
    """How to ask for a device."""
    runtime = "" if wish.default else f"--runtime {wish.runtime} "
    if takes_annotations(found):
        return [f"ask for a device: docker run {runtime}--annotation cdi.k8s.io/x=vendor.com/class=name ..."]
    return [
        f"Docker {found.version} has no --annotation (24.0 brought it), so devices are asked for by mounts:",
        "set `requests: {mounts: /var/run/cdi-devices}` in /etc/cdi-runc/config.yaml, then",
        f"docker run {runtime}-v /dev/null:/var/run/cdi-devices/vendor.com/class/name ...",
    ]


def mine(command: Sequence[str]) -> bool:
    """containerd's shim under dockerd's namespace."""
    return (monitors.option(command, "-namespace") or "").endswith("moby")


def kept(found: Found, runtime: str) -> list[str]:
    """Nothing."""
    return []


def takes_annotations(found: Found) -> bool:
    """`docker run --annotation` came with API 1.43, Docker 24.0."""
    return found.release >= (24,)


def load_image(found: Found, archive: str, image: str) -> None:
    """`docker load`."""
    ask([*_docker(found), "load", "--input", archive])


def start(found: Found, trial: Trial) -> int:
    """`docker run --detach` without a network."""
    options = ["--detach", "--name", trial.container, "--runtime", trial.runtime, "--network", "none"]
    options += [f"--annotation={key}={value}" for key, value in trial.annotations.items()]
    options += [f"--volume={source}:{target}" for target, source in trial.mounts.items()]
    options += [f"--env={key}={value}" for key, value in trial.env.items()]
    ask([*_docker(found), "run", *options, trial.image, *trial.command])
    return int(ask([*_docker(found), "inspect", "--format", "{{.State.Pid}}", trial.container]))


def clean(found: Found, trial: Trial, image: bool) -> None:
    """`docker rm --force`, `docker rmi`."""
    ask([*_docker(found), "rm", "--force", trial.container])
    if image:
        ask([*_docker(found), "rmi", trial.image])


def _default_config() -> str:
    return "/etc/docker/daemon.json" if is_root() else os.path.join(user_config_home(), "docker/daemon.json")


def _dockerd() -> str | None:
    try:
        return binary("Docker", "dockerd")
    except NotInstalled:
        return None


def _docker(found: Found) -> list[str]:
    return _client(found.config, found.explicit)


def _client(config: str, explicit: bool) -> list[str]:
    """The docker command for the daemon whose file this is: one that was named may listen elsewhere."""
    client = [binary("Docker's client", "docker")]
    hosts = values.load("json", config).get("hosts") if explicit else None
    if isinstance(hosts, list) and hosts:
        return [*client, "--host", str(hosts[0])]
    if not explicit and not is_root() and "DOCKER_HOST" not in os.environ and os.environ.get("XDG_RUNTIME_DIR"):
        return [*client, "--host", f"unix://{os.environ['XDG_RUNTIME_DIR']}/docker.sock"]
    return client


def _server(config: str, *, explicit: bool) -> dict[str, object]:
    """What the running daemon says of its version; empty if it doesn't answer."""
    try:
        answer = json.loads(ask([*_client(config, explicit), "version", "--format", "{{json .Server}}"], timeout=15))
    except (NotInstalled, ValueError):  # none, or another program that goes by the name of docker
        return {}
    except EngineError as fault:
        if config in str(fault):
            raise
        return {}
    return answer if isinstance(answer, dict) else {}


def _cdi(config: str, running: str, *, explicit: bool) -> Literal["on", "off", "no"]:
    """Docker injects CDI devices itself since 25.0, where the feature is on; `docker info` then lists its spec dirs."""
    if not running:
        return "no"
    info = json.loads(ask([*_client(config, explicit), "info", "--format", "{{json .}}"], timeout=15))
    if info.get("CDISpecDirs"):
        return "on"
    return "off" if release(running) >= (25,) else "no"


def _obeys(found: Found, runtime: str | None) -> bool:
    info = json.loads(ask([*_docker(found), "info", "--format", "{{json .}}"]))
    if runtime:
        return runtime in info["Runtimes"]
    wanted = runtimes(found)
    live = {name for name in info["Runtimes"] if not name.startswith("io.containerd.")}
    return live == set(wanted.handlers) and info["DefaultRuntime"] == wanted.default


def _pid(found: Found) -> int | None:
    default = "/var/run/docker.pid" if is_root() else os.path.join(os.environ.get("XDG_RUNTIME_DIR", ""), "docker.pid")
    text = journal.read(str(values.load("json", found.config).get("pidfile") or default)) or ""
    pid = int(text) if text.strip().isdigit() else 0
    argv = monitors.argv_of(pid) if pid else []
    return pid if argv and os.path.basename(argv[0]) == "dockerd" else None


def _refuse_flags(found: Found) -> None:
    """dockerd does not start when `runtimes` stands in its file and on its command line."""
    pid = _pid(found)
    for flag in ("--add-runtime", "--default-runtime"):
        if pid and any(word.split("=")[0] == flag for word in monitors.argv_of(pid)):
            raise EngineError(
                f"dockerd was started with {flag}, and takes it from one place only: move it to daemon.json"
            )
