"""What a kubelet says to a container engine over the CRI, to run a container in a pod and to read what it printed.

Knows the CRI's calls; knows neither containerd nor anything of CDI but the field that the CRI has for it.
"""

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
        self._logs = logs
        self._logs.mkdir()
        self._names = (f"name-{number}" for number in count())
        self._pods: dict[str, Any] = {}

    def run_pod(self, annotations: Mapping[str, str] | None = None, handler: str = "cdi-runc") -> str:
        """Starts a pod in the node's own network, so that no network plugin is asked, and gives its id."""
        name = next(self._names)
        node_network = messages.NamespaceOption(network=messages.NODE)
        config = messages.PodSandboxConfig(
            metadata=messages.PodSandboxMetadata(name=name, uid=name, namespace="default"),
            log_directory=str(self._logs),
            annotations=annotations or {},
            linux=messages.LinuxPodSandboxConfig(
                security_context=messages.LinuxSandboxSecurityContext(namespace_options=node_network)
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
    ) -> str:
        """Runs a container of the pod to its end and gives what it printed; raises Error with the engine's words.

        `devices` are those of the CRI's own field, which came with Kubernetes 1.27.
        """
        name = next(self._names)
        node_network = messages.NamespaceOption(network=messages.NODE)
        config = messages.ContainerConfig(
            metadata=messages.ContainerMetadata(name=name),
            image=messages.ImageSpec(image=self._image),
            command=command,
            annotations=annotations or {},
            log_path=name,
            CDI_devices=[messages.CDIDevice(name=device) for device in devices],
            linux=messages.LinuxContainerConfig(
                security_context=messages.LinuxContainerSecurityContext(namespace_options=node_network)
            ),
        )
        request = messages.CreateContainerRequest(pod_sandbox_id=pod, config=config, sandbox_config=self._pods[pod])
        container = messages.ContainerRequest(container_id=self._engine.CreateContainer(request).container_id)
        try:
            self._engine.StartContainer(container)
            while self._engine.ContainerStatus(container).status.state != messages.CONTAINER_EXITED:
                time.sleep(0.05)
        finally:
            self._engine.RemoveContainer(container)
        # Each line is a time, a stream, F for a full line, and what was printed (the CRI's log format).
        lines = (self._logs / name).read_text().splitlines(keepends=True)
        return "".join(line.split(" ", 3)[3] for line in lines)

    def close(self) -> None:
        """Ends all pods."""
        for pod in self._pods:
            request = messages.PodSandboxRequest(pod_sandbox_id=pod)
            self._engine.StopPodSandbox(request)
            self._engine.RemovePodSandbox(request)
        self._channel.close()
