"""What the kubelet of this node gave to the containers of a pod, by its socket pod-resources, which is root's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError

from cdi_runc.host.resources import device_of
from cdi_runc.kubernetes.wire import podresources_pb2 as wire

SOCKET = "/var/lib/kubelet/pod-resources/kubelet.sock"
ANSWER_TIME = 5.0  # seconds
_LISTER = "/v1.PodResourcesLister"


class NoAnswer(Exception):
    """Why the kubelet says nothing; one line."""


@dataclass(frozen=True)
class Gift:
    """A device that a container was given: `way` is the resource or claim, `device` its ID there.

    `names` are its names for the engine, where the kubelet says them, which it does for claims.
    """

    way: str
    device: str
    names: tuple[str, ...] = ()


def given(pod: str, namespace: str, socket: str = SOCKET) -> dict[str, list[Gift]] | None:
    """What the containers of a pod were given, by their names; None if there is no such pod. Raises NoAnswer."""
    return asyncio.run(_given(pod, namespace, socket))


def cdi_names(gift: Gift, kinds: Mapping[str, str]) -> tuple[str, ...]:
    """The qualified names of a gift; `kinds` are the kinds of the resources that this node's specs make.

    >>> cdi_names(Gift("vendor.com/gpu", "0::1"), {"vendor.com/gpu": "vendor.com/gpu"})
    ('vendor.com/gpu=0',)
    """
    if gift.names or gift.way not in kinds:
        return gift.names
    return (f"{kinds[gift.way]}={device_of(gift.device)}",)


async def _given(pod: str, namespace: str, socket: str) -> dict[str, list[Gift]] | None:
    channel = Channel(path=socket)
    try:
        found = await _ask(channel, pod, namespace)
    except (GRPCError, StreamTerminatedError, AttributeError) as error:
        raise NoAnswer(f"{socket}: the kubelet says {getattr(error, 'message', None) or error}") from None
    except asyncio.TimeoutError:
        raise NoAnswer(f"{socket}: the kubelet does not answer in {ANSWER_TIME:.0f} s") from None
    except OSError as error:
        raise NoAnswer(f"{socket}: {error.strerror or error}") from None
    finally:
        channel.close()
    return {each.name: _gifts(each) for each in found.containers} if found else None


async def _ask(channel: Channel, pod: str, namespace: str) -> wire.PodResources | None:
    """The pod, by Get from Kubernetes 1.34 on, else from the list of all."""
    request = wire.GetPodResourcesRequest(pod_name=pod, pod_namespace=namespace)
    try:
        answer: Any = await _call(channel, "Get", request, wire.GetPodResourcesResponse)
        return wire.PodResources.FromString(answer.pod_resources.SerializeToString())
    except GRPCError as error:
        if error.status not in (Status.UNIMPLEMENTED, Status.UNKNOWN, Status.NOT_FOUND):
            raise
    everything: Any = await _call(channel, "List", wire.ListPodResourcesRequest(), wire.ListPodResourcesResponse)
    for each in everything.pod_resources:
        if (each.namespace, each.name) == (namespace, pod):
            return wire.PodResources.FromString(each.SerializeToString())
    return None


async def _call(channel: Channel, method: str, request: Any, answer: type) -> Any:
    return await UnaryUnaryMethod(channel, f"{_LISTER}/{method}", type(request), answer)(request, timeout=ANSWER_TIME)


def _gifts(container: wire.ContainerResources) -> list[Gift]:
    found = [Gift(each.resource_name, identifier) for each in container.devices for identifier in each.device_ids]
    for claim in container.dynamic_resources:
        for resource in claim.claim_resources:
            names = tuple(device.name for device in resource.cdi_devices)
            found.append(Gift(f"claim {claim.claim_namespace}/{claim.claim_name}", resource.device_name, names))
    return found
