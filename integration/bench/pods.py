"""What it costs that the kubelet is asked: for the containers of pods, and for those that are of no pod.

The kubelet is a stand-in in Python, which needs grpclib; the real one is in Go, and faster.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from integration.bench.hosts import SMALL, Host, make_bundle, make_host, small_spec
from integration.bench.measure import Case, run_interleaved
from integration.bundles import oci_config

if TYPE_CHECKING:
    from tests.kubernetes.pod_resources import Kubelet

Call = Callable[..., list[str]]  # the command line of the shim on a host, with the runtime's arguments

PODS = 110  # which the kubelet runs at most
POD = {
    "io.kubernetes.cri.container-type": "container",
    "io.kubernetes.cri.sandbox-namespace": "default",
    "io.kubernetes.cri.sandbox-name": "p",
    "io.kubernetes.cri.container-name": "main",
}


def figures(root: Path, bundles: Path, call: Call, stub: str, rounds: int) -> list[tuple[str, float, float | None]]:
    """Creates on a host whose settings want the kubelet to be asked, in ms over the stub."""
    try:
        from tests.kubernetes.pod_resources import Kubelet
    except ImportError as missing:
        print(f"(what asking the kubelet costs is not measured: {missing})", file=sys.stderr)
        return []
    new, old = Kubelet(root / "new"), Kubelet(root / "old")
    old.has_get = False
    for kubelet in (new, old):
        kubelet.gives("vendor.com/gpu", "0")
        del kubelet.pods[1:]
    old.pods[:0] = [type(old.pods[0])(name=f"pod-{n}", namespace="default") for n in range(PODS - 1)]
    on_new, on_old = _host(root, new), _host(root, old)
    base = Case("stub", [stub, "state", "id"])
    cases = [
        _create(bundles / "nothing", "kubelet: true, no pod: create, nothing asked for", on_new, call, {}),
        _create(bundles / "no-pod", "the same: create with one device", on_new, call, {"cdi.k8s.io/bench": SMALL}),
        _create(bundles / "get", "kubelet: true, a pod: create, one device by Get", on_new, call, POD),
        _create(bundles / "list", f"the same by List, {PODS} pods", on_old, call, POD),
    ]
    with new.serving(), old.serving():
        run_interleaved([base, *cases], rounds)
    return [(case.name, case.median - base.median, None) for case in cases]


def _host(root: Path, kubelet: Kubelet) -> Host:
    host = make_host(root / f"host-{kubelet.directory.name}", {"v.json": small_spec()}, SMALL)
    with host.config.open("a") as config:
        config.write(f"requests: {{kubelet: true, kubelet-dir: {kubelet.directory}}}\n")
    return host


def _create(bundle: Path, name: str, host: Host, call: Call, annotations: dict[str, str]) -> Case:
    """A create of a fresh bundle with these annotations."""
    path, text = make_bundle(bundle, {**oci_config(["sh"]), "annotations": annotations}, None)
    argv = call(host, "create", "--bundle", str(path), "--pid-file", str(path / "pid"), "id")
    return Case(name, argv, lambda: (path / "config.json").write_bytes(text))
