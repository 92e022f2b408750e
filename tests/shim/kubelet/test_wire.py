"""The bytes of pod-resources, against the package protobuf."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdi_runc.kubernetes.wire import podresources_pb2 as wire
from cdi_runc.shim.kubelet.wire import fields, get_request, of_get, of_list

WORDS = st.text(max_size=200)
NAMES = st.lists(WORDS, max_size=3)
PLUGINS = st.lists(st.tuples(WORDS, NAMES), max_size=3)
CLAIMS = st.lists(st.tuples(WORDS, NAMES), max_size=3)


def pod(name: str, plugins: list[tuple[str, list[str]]], claims: list[tuple[str, list[str]]]) -> wire.PodResources:
    found = wire.PodResources(name=name, namespace="n")
    found.containers.add(name="other", devices=[wire.ContainerDevices(resource_name="other.com/x", device_ids=["0"])])
    container = found.containers.add(name="main")
    for resource, identifiers in plugins:
        container.devices.add(resource_name=resource, device_ids=identifiers)
    for claim, names in claims:
        devices = [wire.CDIDevice(name=each) for each in names]
        resource_of_claim = wire.ClaimResource(cdi_devices=devices, device_name="d")
        container.dynamic_resources.add(claim_name=claim, claim_namespace="n", claim_resources=[resource_of_claim])
    return found


@given(PLUGINS, CLAIMS)
def test_what_the_kubelet_writes_is_read(
    plugins: list[tuple[str, list[str]]], claims: list[tuple[str, list[str]]]
) -> None:
    expected = [(f"resource {resource}", each, ()) for resource, identifiers in plugins for each in identifiers]
    expected += [(f"claim n/{claim}", "d", tuple(names)) for claim, names in claims]  # type: ignore[misc]
    own = pod("p", plugins, claims)
    assert of_get(wire.GetPodResourcesResponse(pod_resources=own).SerializeToString(), "main") == expected
    pods = [pod("q", [("x.com/x", ["0"])], []), own]
    answer = wire.ListPodResourcesResponse(pod_resources=pods).SerializeToString()
    assert of_list(answer, "n", "p", "main") == expected
    assert of_list(answer, "n", "p", "init") == []
    assert of_list(answer, "m", "p", "main") is None


@given(WORDS, WORDS)
def test_what_we_write_is_read(namespace: str, name: str) -> None:
    request = wire.GetPodResourcesRequest.FromString(get_request(namespace, name))
    assert (request.pod_namespace, request.pod_name) == (namespace, name)


def test_fields_of_a_newer_kubernetes_are_passed_over() -> None:
    newer = b"\x48\x01" + b"\x51" + bytes(8) + b"\x5d" + bytes(4) + b"\x62\x01x"  # fields 9 to 12, one of each type
    answer = wire.GetPodResourcesResponse(pod_resources=pod("p", [("v.com/c", ["0"])], [])).SerializeToString()
    assert of_get(newer + answer + newer, "main") == [("resource v.com/c", "0", ())]


@pytest.mark.parametrize("message", [b"\x0a", b"\x0a\x05ab", b"\x80", b"\x0b", b"\x09abc", b"\xff" * 11 + b"\x01"])
def test_what_is_no_message(message: bytes) -> None:
    with pytest.raises(ValueError, match=r"^a (field|number) "):
        list(fields(message))


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_be_wrong(message: bytes) -> None:
    with contextlib.suppress(ValueError):
        of_get(message, "main")
    with contextlib.suppress(ValueError):
        of_list(message, "n", "p", "main")
