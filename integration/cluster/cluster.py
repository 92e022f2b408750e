"""A Kubernetes cluster of one node, in a machine to spoil: the real programs, and pods that really run.

Knows in which order the parts come up; how they are called is in parts.py, and an engine's ways are in engine.py.
There is no kube-proxy and no DNS: the one service that pods can reach is `kubernetes`, by its address.
"""

import json
import os
import shutil
import subprocess
import time
import uuid
from pathlib import Path

from integration.cluster import parts
from integration.cluster.cgroups import make_cgroup, remove_cgroup
from integration.cluster.credentials import Credentials
from integration.cluster.engine import ENGINES
from integration.engines.host import Host
from integration.engines.image import make_image

# No package registry has the first four, so there is a place for them.
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "etcd", "kubectl", "helm")
PLACE = os.environ.get("CDI_RUNC_KUBERNETES", "/var/cache/cdi-runc/kubernetes")

# The kubelet's directory, and where it has the sockets of device plugins, and its own for them.
KUBELET = "/var/lib/kubelet"
DEVICE_PLUGINS = f"{KUBELET}/device-plugins"

# A kubelet sets these sysctls, which are the kernel's and would outlast the machine to spoil; here it sets files. And
# for each size of huge pages it demands a limit, of a cgroup controller that machines without systemd may lack.
PREPARE = r"""
for name in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops \
    kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
    file=$(mktemp)
    cat /proc/sys/$name > "$file"
    mount --bind "$file" /proc/sys/$name
done
[ ! -e /sys/kernel/mm/hugepages ] || mount -t tmpfs tmpfs /sys/kernel/mm/hugepages
"""


def find(program: str) -> str | None:
    """The path of a program that clusters are made of, or None."""
    return shutil.which(program, path=os.pathsep.join((PLACE, os.environ["PATH"])))


class Cluster:
    """The cluster, from when it is made until `close`. Its pods can have the images that were loaded, and probe:1."""

    node = parts.NODE

    def __init__(self, host: Host, engine: str = "containerd") -> None:
        """Starts everything, in a host with parts.ADDRESSES; raises RuntimeError with the ends of the logs if in vain.

        `engine` is a key of ENGINES, and the name of the unit that `systemctl restart` takes in the host.
        """
        self.host = host
        self.engine = engine
        self._engine = ENGINES[engine]
        self._directory = host.shared / "cluster"
        self._directory.mkdir()
        # Where the programs are, for the host and for a pod that mounts it.
        self.programs = self._directory / "bin"
        # A kubelet removes what it doesn't know below its cgroup, such as the pods of another.
        self._machine_id = uuid.uuid4().hex
        self._cgroup = f"cdi-runc-cluster-{self._machine_id}"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._credentials = Credentials(self._directory / "credentials")
        self._environment = {"KUBECONFIG": self.kubeconfig("admin")}
        try:
            self._bring_up()
        except BaseException:
            self.close()
            raise

    def kubectl(self, *args: str, stdin: str = "") -> str:
        """What a command of kubectl's prints, which must succeed."""
        return self._must("kubectl", *args, stdin=stdin)

    def helm(self, *args: str) -> str:
        """What a command of helm's prints, which must succeed."""
        return self._must("helm", *args)

    def wait(self, *args: str) -> str:
        """What `kubectl wait` prints; the thing waited for must come about within a minute."""
        return self.kubectl("wait", "--timeout=60s", *args)

    def load(self, archive: Path) -> None:
        """Gives the engine an image's archive, which the host must see at this path."""
        done = self.host.run("sh", "-c", self._engine.load, str(archive), timeout=120)
        if done.returncode != 0:
            raise RuntimeError(f"{archive} can't be loaded: {done.stderr}")

    def kubeconfig(self, client: str) -> str:
        """The path of the kubeconfig of `admin` or of a part of the cluster."""
        return self._credentials.kubeconfig(client)

    def close(self) -> None:
        """Ends the machine with all that runs in it, and removes the cgroups that its pods had."""
        self.host.close()
        remove_cgroup(self._cgroup)

    def _bring_up(self) -> None:
        credentials = self._credentials
        parts.issue_credentials(credentials)
        self.programs.mkdir()
        for program in PROGRAMS:
            self._bring(program)
        self._start(*parts.etcd())
        self._start(*parts.api_server(credentials))
        self._start_engine()
        self._until("get", "--raw=/readyz")
        self._start(*parts.controller_manager(credentials))
        self._start(*parts.scheduler(credentials))
        self._start_kubelet()
        self._until("get", f"node/{self.node}", "serviceaccount/default")
        self._until("wait", "--timeout=1s", "--for=condition=Ready", f"node/{self.node}")

    def _bring(self, program: str) -> None:
        """Puts a program where the host sees it, under the name by which one that is several knows its part."""
        found = find(program)
        if found is None:
            raise RuntimeError(f"no {program} in {PLACE} or on PATH")
        source = os.path.realpath(found)
        try:
            os.link(source, self._path(program))
        except OSError:  # on another file system
            shutil.copy2(source, self._path(program))

    def _start_engine(self) -> None:
        engine = self._engine
        # As systemd has it. The chart's cdi-node sees by this what is mounted on the host later.
        self.host.run("mount", "--make-rshared", "/")
        for program in engine.programs:
            self._bring(program)
            self.host.path(f"/usr/local/bin/{program}").symlink_to(self._path(program))
        for path, text in engine.settings.items():
            self.host.write(path, text)
        self.host.write("/etc/cni/net.d/10-pods.conflist", parts.POD_NETWORK)
        self.host.run_unit(self.engine, self.engine, ready=engine.ready, log=self._log(self.engine))
        self.load(make_image(self._directory))

    def _start_kubelet(self) -> None:
        make_cgroup(self._cgroup)
        prepared = self.host.run("sh", "-ec", PREPARE)
        if prepared.returncode != 0:
            raise RuntimeError(f"the kernel can't be kept from the kubelet: {prepared.stderr}")
        self.host.write("/etc/machine-id", f"{self._machine_id}\n")
        path = "/var/lib/kubelet/config.yaml"
        config = parts.kubelet_config(self._credentials, self._engine.socket, f"/{self._cgroup}")
        self.host.write(path, json.dumps(config))
        version = self.host.version(self._path("kubelet"), "--version")
        program, *options = parts.kubelet(self._credentials, path, self._engine.socket, version)
        # A unit, since it is restarted when it is killed, as on a node with systemd.
        ready = f"test -S {DEVICE_PLUGINS}/kubelet.sock"
        self.host.run_unit(program, self._path(program), *options, ready=ready, log=self._log(program))

    def _start(self, program: str, *args: str) -> None:
        self._daemons[program] = self.host.start(self._path(program), *args, log=self._log(program))

    def _until(self, *args: str, seconds: float = 60) -> None:
        """Waits until a command of kubectl's succeeds."""
        deadline = time.monotonic() + seconds
        while (said := self._run("kubectl", *args)).returncode != 0:
            ended = [name for name, daemon in self._daemons.items() if daemon.poll() is not None]
            if ended or time.monotonic() > deadline:
                logs = "\n".join(self._end_of(name) for name in ended or self._logs())
                raise RuntimeError(f"the cluster does not come up: {said.stderr}{logs}")
            time.sleep(0.1)

    def _must(self, program: str, *args: str, stdin: str = "") -> str:
        done = self._run(program, *args, stdin=stdin)
        if done.returncode != 0:
            raise RuntimeError(f"{program} {' '.join(args)}: {done.stderr}")
        return done.stdout

    def _run(self, program: str, *args: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        return self.host.run(self._path(program), *args, env=self._environment, stdin=stdin, timeout=300)

    def _path(self, program: str) -> str:
        return str(self.programs / program)

    def _log(self, name: str) -> Path:
        return self._directory / f"{name}.log"

    def _logs(self) -> list[str]:
        return sorted(path.stem for path in self._directory.glob("*.log"))

    def _end_of(self, name: str) -> str:
        return "\n".join([f"{name} says last:", *self._log(name).read_text().splitlines()[-10:]])
