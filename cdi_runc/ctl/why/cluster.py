"""Checks of a node of Kubernetes: does the kubelet know the devices, and do they reach the containers."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator

from cdi_runc.ctl.output import counted
from cdi_runc.ctl.why.host import Host
from cdi_runc.ctl.why.result import Result
from cdi_runc.engines import engine as engine_of
from cdi_runc.engines.engine import EngineError
from cdi_runc.inventory.inventory import DEVICE_PLUGIN, DRA, SERVE

KUBELET = "/var/lib/kubelet"
_ENGINES = ("containerd", "crio")


def devices_reach_pods(host: Host) -> Iterator[Result]:
    """The kubelet gets the devices from one side only, and the engine does what the kubelet says."""
    from cdi_runc.ctl.why.result import Result

    asks = host.files.settings["requests"]["kubelet"]
    if asks:
        yield _kubelet_answers(host.files.settings["requests"]["kubelet-dir"])
    if not os.path.exists(f"{KUBELET}/device-plugins/kubelet.sock"):
        return
    plugins = len(glob.glob(f"{KUBELET}/device-plugins/cdi-*.sock"))
    driver = glob.glob(f"{KUBELET}/plugins_registry/cdi-runc-*-reg.sock")
    if not plugins and not driver:
        yield Result("ok", "kubernetes", "a kubelet is here, and cdi-node offers it nothing", "docs/kubernetes.md")
        return
    ways = [counted(plugins, "device plugin")] * bool(plugins) + ["the driver for claims"] * bool(driver)
    yield Result("ok", "kubernetes", f"cdi-node offers the devices by {' and '.join(ways)}")
    if plugins and driver:
        for kind in sorted(set(_offered_twice(host))):
            text = f"{kind} is offered by a device plugin and to claims: one device can go to two pods"
            mend = f"set the annotation {SERVE} of its specs to {DEVICE_PLUGIN} or {DRA}"
            yield Result("warning", "kubernetes", text, mend)
    for name in _ENGINES:
        try:
            found = engine_of(name).find(None)
        except EngineError:
            continue  # not here, or another check tells of it
        if found.cdi != "on" and asks:
            text = f"{name} {found.version} drops the names of CDI devices, and cdi-runc asks the kubelet for them"
            yield Result("ok", "kubernetes", text, "for pods of the runtime class cdi-runc")
        elif found.cdi != "on":
            text = f"{name} {found.version} drops the names of CDI devices without a word: claims have no effect"
            mend = "switch CDI on in it, or set 'requests: {kubelet: true}' for pods of the runtime class cdi-runc"
            yield Result("warning", "kubernetes", text, mend)


def _kubelet_answers(directory: str) -> Result:
    """Whether the shim can ask the kubelet, as the settings want."""
    from cdi_runc.shim.kubelet.call import NoAnswer, check

    socket = f"{directory.rstrip('/')}/pod-resources/kubelet.sock"
    try:
        check(socket)
    except NoAnswer as fault:
        text = f"{socket}: {fault}, so that no container of a pod can start with cdi-runc"
        return Result("warning", "kubernetes", text, "start the kubelet, or set 'requests: {kubelet: false}'")
    return Result("ok", "kubernetes", f"the kubelet can be asked for the devices of pods, at {socket}")


def _offered_twice(host: Host) -> Iterator[str]:
    for spec in host.files.registry.specs.values():
        for device in spec["devices"]:
            annotations = {**spec.get("annotations", {}), **device.get("annotations", {})}
            if annotations.get(SERVE, "true") == "true":
                yield spec["kind"]
                break
