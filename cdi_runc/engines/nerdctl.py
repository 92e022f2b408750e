"""nerdctl: takes any executable as `--runtime`, so there is nothing to register."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from cdi_runc.engines import launcher, monitors
from cdi_runc.engines.ask import ask, binary, version
from cdi_runc.engines.engine import DEVICE, EngineError, FilePlan, Found, Native, NewRuntime, Put, Runtimes, release

TO_FORGET: tuple[Put, ...] = ()
NATIVE = Native(request=f"nerdctl run --device {DEVICE} ...", since="2.1")


def find(config: str | None) -> Found:
    """nerdctl on this host; it has a config file, but none that names runtimes."""
    path = binary("nerdctl", "nerdctl")
    number = version(ask([path, "--version"]))
    cdi: Literal["on", "no"] = "on" if release(number) >= (2, 1) else "no"
    return Found("nerdctl", path, number, config or "", None, cdi, config is not None)


def runtimes(found: Found) -> Runtimes:
    """Every executable is one; ours is named by its path."""
    path = launcher.installed("cdi-runc")
    return Runtimes("runc", {path: {"path": path}, "cdi-runc": {"path": path}})


def plan(found: Found, new: NewRuntime, known: Runtimes) -> list[FilePlan]:
    """Nothing, and no default can be set."""
    if new.default:
        raise EngineError("nerdctl has no setting for a default runtime: name it with --runtime each time")
    raise EngineError(f"nerdctl needs no registration, it takes a path: nerdctl run --runtime {new.path} ...")


def live(found: Found) -> Runtimes | None:
    """Nothing runs that would have to learn of it."""
    return runtimes(found)


def reload(found: Found, runtime: str | None) -> None:
    """Nothing runs."""


def reload_command(found: Found, gone: bool) -> str:
    """Nothing runs."""
    return ""


def advice(found: Found, new: NewRuntime) -> list[str]:
    """How to ask for a device."""
    return [f"ask for a device: nerdctl run --runtime {new.path} --annotation cdi.k8s.io/x=vendor.com/class=name ..."]


def owns_monitor(command: Sequence[str]) -> bool:
    """containerd's shim, in nerdctl's usual namespace."""
    return monitors.option(command, "-namespace") == "default"


def pods_of(found: Found, runtime: str) -> list[str]:
    """Nothing."""
    return []


def takes_annotations(found: Found) -> bool:
    """`nerdctl run --annotation` came with 1.6."""
    return found.release >= (1, 6)
