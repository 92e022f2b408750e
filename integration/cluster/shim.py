"""cdi-runc on a cluster's node as packaging/kubernetes has it, without the chart: its handler and its runtime class.

Knows which file an engine's handlers come into; knows no device.
"""

from pathlib import Path

from integration.cluster.cluster import Cluster
from integration.engines.conftest import install_shim

KUBERNETES = Path(__file__).resolve().parents[2] / "packaging/kubernetes"

# By engine: the file that its handler for cdi-runc comes into, after what stands there, and how it is written.
HANDLERS = {
    "containerd": ("/etc/containerd/config.toml", (KUBERNETES / "containerd.toml").read_text()),
    "crio": ("/etc/crio/crio.conf", '[crio.runtime.runtimes.cdi-runc]\nruntime_path = "/usr/local/bin/cdi-runc"\n'),
}


def install(cluster: Cluster) -> None:
    """Puts cdi-runc there, and tells the engine and the cluster of it."""
    host = cluster.host
    install_shim(host, newer=True)
    path, handler = HANDLERS[cluster.engine]
    configure(cluster, host.path(path).read_text() + handler)
    cluster.kubectl("apply", f"--filename={KUBERNETES}/runtimeclass.yaml")


def configure(cluster: Cluster, text: str) -> None:
    """Gives the engine another file for its handlers, and restarts it."""
    cluster.host.write(HANDLERS[cluster.engine][0], text)
    assert cluster.host.run("systemctl", "restart", cluster.engine).returncode == 0
