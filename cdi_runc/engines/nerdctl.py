"""nerdctl: takes any executable as `--runtime`, so there is nothing to register."""

from __future__ import annotations

import json
from collections.abc import Sequence

from cdi_runc.engines import launcher, monitors
from cdi_runc.engines.ask import ask, binary, version
from cdi_runc.engines.engine import EngineError, FilePlan, Found, Put, Runtimes, Trial, Wish

PARTING: tuple[Put, ...] = ()


def find(config: str | None) -> Found:
    """nerdctl on this host; it has a config file, but none that names runtimes."""
    path = binary("nerdctl", "nerdctl")
    return Found("nerdctl", path, version(ask([path, "--version"])), config or "", None, "no", config is not None)


def runtimes(found: Found) -> Runtimes:
    """Every executable is one; ours is named by its path."""
    path = launcher.installed("cdi-runc")
    return Runtimes("runc", {path: {"path": path}, "cdi-runc": {"path": path}})


def plan(found: Found, wish: Wish, known: Runtimes) -> list[FilePlan]:
    """Nothing, and no default can be set."""
    if wish.default:
        raise EngineError("nerdctl has no setting for a default runtime: name it with --runtime each time")
    raise EngineError(f"nerdctl needs no registration, it takes a path: nerdctl run --runtime {wish.path} ...")


def reload(found: Found, runtime: str | None) -> None:
    """Nothing runs."""


def reload_command(found: Found, gone: bool) -> str:
    """Nothing runs."""
    return ""


def advice(found: Found, wish: Wish) -> list[str]:
    """How to ask for a device."""
    return [f"ask for a device: nerdctl run --runtime {wish.path} --annotation cdi.k8s.io/x=vendor.com/class=name ..."]


def mine(command: Sequence[str]) -> bool:
    """containerd's shim, in nerdctl's usual namespace."""
    return monitors.option(command, "-namespace") == "default"


def kept(found: Found, runtime: str) -> list[str]:
    """Nothing."""
    return []


def takes_annotations(found: Found) -> bool:
    """`nerdctl run --annotation` came with 1.6."""
    return found.release >= (1, 6)


def load_image(found: Found, archive: str, image: str) -> None:
    """`nerdctl load`."""
    ask([found.binary, "load", "--input", archive])


def start(found: Found, trial: Trial) -> int:
    """`nerdctl run --detach` without a network."""
    path = str(runtimes(found).handlers[trial.runtime]["path"])
    options = ["--detach", "--name", trial.container, "--runtime", path, "--network", "none"]
    options += [f"--annotation={key}={value}" for key, value in trial.annotations.items()]
    options += [f"--volume={source}:{target}" for target, source in trial.mounts.items()]
    options += [f"--env={key}={value}" for key, value in trial.env.items()]
    ask([found.binary, "run", *options, trial.image, *trial.command])
    return int(json.loads(ask([found.binary, "inspect", trial.container]))[0]["State"]["Pid"])


def clean(found: Found, trial: Trial, image: bool) -> None:
    """`nerdctl rm --force`, `nerdctl rmi`."""
    ask([found.binary, "rm", "--force", trial.container])
    if image:
        ask([found.binary, "rmi", trial.image])
