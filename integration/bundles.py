"""Bundles of busybox, the CDI device they ask for, and what a container of theirs says about it.

Knows the OCI bundle and the form of a CDI spec; knows no runtime, no engine and nothing of cdi_runc.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

WIDGET = "example.com/widget=one"
REQUEST = {"cdi.k8s.io/test": WIDGET}

APPLETS = ("cat", "id", "ls", "mknod", "sh", "sleep", "stat")

# What a container prints about itself, a `key: value` on each line. The widget's node is the host's /dev/kmsg, c 1:11,
# which every Linux has, which no runtime allows unasked, and which may be opened for writing without any harm.
# c 1:12 has no driver: where the cgroup forbids it, that is said first ("Operation not permitted").
# The client of Docker and of containerd may lose what a container prints just before its end, on a busy machine.
PROBE = """
try() {
    if [ ! -e "$1" ]; then echo absent
    elif said=$( (: > "$1") 2>&1 ); then echo opens
    else echo "${said##*: }"
    fi
}
mknod /dev/same c 1 11
mknod /dev/unasked c 1 12
echo "node: $(stat -c '%F %t:%T %a' /dev/widget 2> /dev/null)"
echo "widget: $(try /dev/widget)"
echo "same numbers: $(try /dev/same)"
echo "unasked: $(try /dev/unasked)"
echo "mount: $(cat /widget/data 2> /dev/null)"
echo "env: $WIDGET"
echo "groups: $(id -G)"
sleep 0.1
"""

WITHOUT = {
    "node": "",
    "widget": "absent",
    "same numbers": "Operation not permitted",
    "unasked": "Operation not permitted",
    "mount": "",
    "env": "",
    "groups": "0",
}
WITH = {
    "node": "character special file 1:b 640",
    "widget": "opens",
    "same numbers": "opens",
    "unasked": "Operation not permitted",
    "mount": "from the host",
    "env": "yes",
    "groups": "0 4711",
}


def static_busybox() -> str | None:
    """Path of a busybox, or None; what the distribution's busybox-static installs needs no library in the rootfs."""
    return shutil.which("busybox")


def make_rootfs(directory: Path) -> Path:
    """Fills `directory` with the file system of a container that has a shell, and gives it back."""
    for name in ("bin", "dev", "proc", "tmp"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    busybox = static_busybox()
    if busybox is None:
        raise FileNotFoundError("busybox: install busybox-static")
    shutil.copy2(busybox, directory / "bin/busybox")
    for applet in APPLETS:
        (directory / "bin" / applet).symlink_to("busybox")
    return directory


def oci_config(args: Sequence[str], annotations: Mapping[str, str] | None = None) -> dict[str, object]:
    """An OCI config that runs `args` as root, with no device but those that a runtime gives to all."""
    # CAP_MKNOD lets the probe make a node it was not given; every runtime allows that, and forbids to open it.
    capabilities = ["CAP_KILL", "CAP_MKNOD"]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": list(args),
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities),
        },
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
        ],
        "annotations": dict(annotations or {}),
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "network")],
        },
    }


def make_bundle(directory: Path, config: Mapping[str, object]) -> Path:
    """Makes an OCI bundle of `config` and the busybox rootfs, and gives its directory back."""
    make_rootfs(directory / "rootfs")
    (directory / "config.json").write_text(json.dumps(config, indent=2))
    return directory


def widget_spec(state: Path) -> dict[str, object]:
    """The CDI spec of WIDGET: one edit of every kind. Its mount and its hook's output lie in `state`.

    The hook copies the container's state, as the runtime hands it over, to `state`/hook-ran.
    """
    (state / "data").write_text("from the host\n")
    return {
        "cdiVersion": "0.7.0",
        "kind": "example.com/widget",
        "containerEdits": {"env": ["WIDGET=yes"]},
        "devices": [
            {
                "name": "one",
                "containerEdits": {
                    "deviceNodes": [{"path": "/dev/widget", "hostPath": "/dev/kmsg", "fileMode": 0o640}],
                    "mounts": [
                        {"hostPath": str(state), "containerPath": "/widget", "options": ["ro", "bind", "nosuid"]}
                    ],
                    "hooks": [
                        {
                            "hookName": "createRuntime",
                            "path": "/bin/sh",
                            "args": ["sh", "-c", f"cat > '{state}/hook-ran'"],
                        }
                    ],
                    "additionalGids": [4711],
                },
            }
        ],
    }


def report(output: str) -> dict[str, str]:
    """What PROBE printed, by key."""
    return {key: value.strip() for key, _, value in (line.partition(":") for line in output.splitlines())}
