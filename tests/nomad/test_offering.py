from __future__ import annotations

from cdi_runc.inventory.inventory import Inventory, Item
from cdi_runc.inventory.topology import Place
from cdi_runc.nomad.offering import attributes, offer
from cdi_runc.nomad.wire import base_pb2 as base
from cdi_runc.nomad.wire import device_pb2 as wire


def item(name: str, **more: object) -> Item:
    return Item("vendor.com/gpu", name, "/etc/cdi/gpu.json", "0.6.0", **more)  # type: ignore[arg-type]


def test_attributes_are_what_all_devices_of_a_kind_have_in_common() -> None:
    first = item("0", place=Place((1,), "0000:01:00.0"), annotations={"vendor.com/model": "x", "only": "here"})
    second = item("1", place=Place((1,), "0000:02:00.0"), annotations={"vendor.com/model": "x"})
    common = {
        "spec_file": "/etc/cdi/gpu.json",
        "cdi_version": "0.6.0",
        "numa_node": 1,
        "annotation_vendor_com_model": "x",
    }
    assert attributes([first, second]) == common
    assert attributes([first]) == {**common, "pci_bus_id": "0000:01:00.0", "annotation_only": "here"}


def test_a_device_that_is_made_of_others_is_not_offered() -> None:
    all_of_them = item("all", parts=("0", "1"))
    inventory = Inventory({"vendor.com/gpu": {each.name: each for each in (item("0"), item("1"), all_of_them)}})
    (group,) = offer(inventory, lambda each: "").device_group
    assert [device.ID for device in group.devices] == ["vendor.com/gpu=0", "vendor.com/gpu=1"]


def test_a_kind_with_nothing_to_offer_is_no_group() -> None:
    inventory = Inventory({"vendor.com/gpu": {"all": item("all", parts=("0",))}})
    assert not offer(inventory, lambda each: "").device_group


def test_the_fields_have_the_numbers_of_nomads_own_messages() -> None:
    """By hand from hashicorp/nomad plugins/base/proto/base.proto and plugins/device/proto/device.proto."""
    info = base.PluginInfoResponse(type=3, plugin_api_versions=["v0.1.0"], plugin_version="1", name="n")
    assert info.SerializeToString() == b"\x08\x03\x12\x06v0.1.0\x1a\x011\x22\x01n"
    spec = base.Spec(object=base.Object(attributes={"m": base.Spec(attr=base.Attr(name="m", type="t"))}))
    assert spec.SerializeToString() == b"\x0a\x0f\x0a\x0d\x0a\x01m\x12\x08\x1a\x06\x0a\x01m\x12\x01t"
    (group,) = offer(Inventory({"v.com/c": {"0": Item("v.com/c", "0", "", "")}}), lambda each: "no").device_group
    group.attributes.clear()
    assert group.SerializeToString() == b"\x0a\x05v.com\x12\x01c\x1a\x03cdi\x22\x0f\x0a\x09v.com/c=0\x1a\x02no"
    mount = wire.Mount(task_path="t", host_path="h", read_only=True)
    node = wire.DeviceSpec(task_path="t", host_path="h", permissions="r")
    reservation = wire.ContainerReservation(envs={"A": "1"}, mounts=[mount], devices=[node])
    assert wire.ReserveResponse(container_res=reservation).SerializeToString() == (
        b"\x0a\x1d\x0a\x06\x0a\x01A\x12\x011\x12\x08\x0a\x01t\x12\x01h\x18\x01\x1a\x09\x0a\x01t\x12\x01h\x1a\x01r"
    )
