"""The container engines that a kubelet can have: how each is set up, started and given an image.

Knows nothing of Kubernetes but where it looks for its images, and nothing of cdi-runc.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from integration.engines.image import FULL_NAME, NAME


@dataclass(frozen=True)
class Engine:
    """One engine, whose daemon and whose unit have the name by which ENGINES has it."""

    # Text of each file by its path.
    settings: Mapping[str, str]
    socket: str
    # Scripts of sh: is it up? And one that gives it the image archive $0.
    ready: str
    load: str
    # Programs that the machine may not have.
    programs: Sequence[str] = ()


# In the format of containerd 1, which 2 reads as well. `disable_apparmor` and `restrict_oom_score_adj` are for a
# machine without AppArmor and without the right to lower an OOM score.
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

# In the place of CRI-O's own runc: the machine's, and for a machine without the right to lower an OOM score, as CRI-O
# does for its pause containers, and the kubelet for critical pods.
RUNC = r"""#!/bin/sh
last=
for word do
    [ "$last" != --bundle ] || sed -i 's/"oomScoreAdj": *-[0-9]*/"oomScoreAdj": 0/' "$word/config.json"
    last=$word
done
exec runc "$@"
"""
CRIO = f"""\
[crio.image]
pause_image = "localhost/{NAME}"
pause_command = ""
[crio.runtime]
cgroup_manager = "cgroupfs"
conmon_cgroup = "pod"
default_runtime = "runc"
drop_infra_ctr = true
[crio.runtime.runtimes.runc]
runtime_path = "/usr/libexec/crio/runc"
monitor_cgroup = "pod"
[crio.network]
plugin_dirs = ["/usr/lib/cni"]
"""
STORAGE = """\
[storage]
driver = "overlay"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
"""

ENGINES = {
    "containerd": Engine(
        settings={"/etc/containerd/config.toml": CONTAINERD},
        ready="ctr version",
        load='ctr --namespace k8s.io images import "$0"',
        socket="unix:///run/containerd/containerd.sock",
    ),
    "crio": Engine(
        settings={
            "/etc/crio/crio.conf": CRIO,
            "/usr/libexec/crio/runc": RUNC,
            "/etc/containers/storage.conf": STORAGE,
            "/etc/containers/registries.conf": 'unqualified-search-registries = ["localhost"]',
            "/etc/containers/policy.json": '{"default": [{"type": "insecureAcceptAnything"}]}',
        },
        ready="test -S /run/crio/crio.sock",
        load='podman load --quiet --input "$0"',
        socket="unix:///run/crio/crio.sock",
        programs=["crio", "pinns"],
    ),
}
