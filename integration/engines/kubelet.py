"""What a kubelet says to a container engine over the CRI, to run a container in a pod and to read what it printed.

Knows the CRI's calls; knows neither containerd nor anything of CDI but the field that the CRI has for it.
"""

import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import grpc

messages: Any
services: Any
messages, services = grpc.protos_and_services("integration/engines/cri.proto")

Error = grpc.RpcError


class Kubelet:
    """One connection to an engine's CRI socket; `logs` is a directory for what the containers print."""

    def __init__(self, socket: Path, image: str, logs: Path) -> None:
        """Runs nothing yet."""
        self._channel = grpc.insecure_channel(f"unix:{socket}")
        self._engine = services.RuntimeServiceStub(self._channel)
        self._image = image
        logs.mkdir(exist_ok=True)  # another connection may have used it
        self._logs = Path(tempfile.mkdtemp(dir=logs))
        self._names = (f"name-{number}" for number in count())
        self._pods: dict[str, Any] = {}
        self._said: dict[str, Path] = {}

    def run_pod(
        self,
        annotations: Mapping[str, str] | None = None,
        handler: str = "cdi-runc",
        share_processes: bool = True,
        name: str = "",
    ) -> str:
        """Starts a pod in the node's own network, so that no network plugin is asked, and gives its id.

        `share_processes` is a pod's shareProcessNamespace; without it, CRI-O makes no pause container.
        """
        name = name or next(self._names)
        processes = messages.POD if share_processes else messages.CONTAINER
        namespaces = messages.NamespaceOption(network=messages.NODE, pid=processes)
        config = messages.PodSandboxConfig(
            metadata=messages.PodSandboxMetadata(name=name, uid=name, namespace="default"),
            log_directory=str(self._logs),
            labels=_labels(name),
            annotations=annotations or {},
            linux=messages.LinuxPodSandboxConfig(
                security_context=messages.LinuxSandboxSecurityContext(namespace_options=namespaces)
            ),
        )
        request = messages.RunPodSandboxRequest(config=config, runtime_handler=handler)
        pod: str = self._engine.RunPodSandbox(request).pod_sandbox_id
        self._pods[pod] = config
        return pod

    def run_container(
        self,
        pod: str,
        command: Sequence[str],
        annotations: Mapping[str, str] | None = None,
        devices: Iterable[str] = (),
        name: str = "",
    ) -> str:
        """Runs a container of the pod to its end and gives what it printed; takes and raises what `start` does."""
        container = self.start(pod, command, annotations, devices, name)
        request = messages.ContainerRequest(container_id=container)
        while self._engine.ContainerStatus(request).status.state != messages.CONTAINER_EXITED:
            time.sleep(0.05)
        self._engine.RemoveContainer(request)
        # Each line is a time, a stream, F for a full line, and what was printed (the CRI's log format).
        lines = self._said[container].read_text().splitlines(keepends=True)
        return "".join(line.split(" ", 3)[3] for line in lines)

    def start(
        self,
        pod: str,
        command: Sequence[str],
        annotations: Mapping[str, str] | None = None,
        devices: Iterable[str] = (),
        name: str = "",
    ) -> str:
        """Starts a container of the pod and gives its id; raises Error with the engine's words.

        `devices` are those of the CRI's own field, which came with Kubernetes 1.27.
        """
        name = name or next(self._names)
        sandbox = self._pods[pod]
        namespaces = sandbox.linux.security_context.namespace_options
        config = messages.ContainerConfig(
            metadata=messages.ContainerMetadata(name=name),
            image=messages.ImageSpec(image=self._image),
            command=command,
            labels={**_labels(sandbox.metadata.name), "io.kubernetes.container.name": name},
            annotations=annotations or {},
            log_path=name,
            CDI_devices=[messages.CDIDevice(name=device) for device in devices],
            linux=messages.LinuxContainerConfig(
                security_context=messages.LinuxContainerSecurityContext(namespace_options=namespaces)
            ),
        )
        request = messages.CreateContainerRequest(pod_sandbox_id=pod, config=config, sandbox_config=sandbox)
        container: str = self._engine.CreateContainer(request).container_id
        try:
            self._engine.StartContainer(messages.ContainerRequest(container_id=container))
        except Error:
            self._engine.RemoveContainer(messages.ContainerRequest(container_id=container))
            raise
        self._said[container] = self._logs / name
        return container

    def stop_pod(self, pod: str) -> None:
        """Ends a pod, and the containers in it."""
        request = messages.PodSandboxRequest(pod_sandbox_id=pod)
        self._engine.StopPodSandbox(request)
        self._engine.RemovePodSandbox(request)
        del self._pods[pod]

    def close(self) -> None:
        """Ends all pods."""
        for pod in list(self._pods):
            self.stop_pod(pod)
        self._channel.close()


def _labels(pod: str) -> dict[str, str]:
    """What a kubelet says of a pod, and CRI-O hands on as annotations."""
    return {"io.kubernetes.pod.name": pod, "io.kubernetes.pod.namespace": "default", "io.kubernetes.pod.uid": pod}
