"""The container engines that a kubelet can have: how each is set up, started and given an image.

Knows nothing of Kubernetes but where it looks for its images, and nothing of cdi-runc.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from integration.engines.image import FULL_NAME


@dataclass(frozen=True)
class Engine:
    """One engine: its files by path, its daemon, two scripts of sh, and where it listens."""

    settings: Mapping[str, str]
    daemon: Sequence[str]
    ready: str
    # Its $0 is an archive.
    load: str
    socket: str


# In the format of containerd 1, which 2 reads as well. `disable_apparmor` and `restrict_oom_score_adj` are for a machine
# without AppArmor and without the right to lower an OOM score.
CONTAINERD = f"""\
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{FULL_NAME}"
  disable_apparmor = true
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "/etc/cni/net.d"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
"""

ENGINES = {
    "containerd": Engine(
        settings={"/etc/containerd/config.toml": CONTAINERD},
        daemon=["containerd"],
        ready="ctr version",
        load='ctr --namespace k8s.io images import "$0"',
        socket="unix:///run/containerd/containerd.sock",
    ),
}
