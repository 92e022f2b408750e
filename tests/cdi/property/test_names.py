"""What is put together comes apart again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

import cdi_runc as cdi
from tests.cdi.property.strategies import DEVICE, VENDOR

PART = st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True)
NAME = st.builds(cdi.qualified_name, VENDOR, VENDOR, DEVICE)


@given(VENDOR, VENDOR, DEVICE)
def test_names_come_apart(vendor: str, class_: str, name: str) -> None:
    assert cdi.parse_qualified_name(cdi.qualified_name(vendor, class_, name)) == (vendor, class_, name)


@given(st.text("a1/=-_.:é\n "))
def test_what_came_apart_goes_together(text: str) -> None:
    if cdi.is_qualified_name(text):
        assert cdi.qualified_name(*cdi.parse_qualified_name(text)) == text


@given(st.lists(NAME, min_size=1), PART, PART)
def test_requests_are_read_as_they_were_written(devices: list[str], plugin: str, device_id: str) -> None:
    annotations = cdi.update_annotations({"a": "b"}, plugin, device_id, devices)
    assert cdi.parse_annotations(annotations) == ([cdi.annotation_key(plugin, device_id)], devices)
