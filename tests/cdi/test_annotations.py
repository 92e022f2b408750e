"""Requests in annotations; the vectors have many more."""

from __future__ import annotations

from typing import Any

import pytest

from cdi_runc.cdi.annotations import annotation_key, annotation_value, parse_annotations, update_annotations
from cdi_runc.cdi.errors import CDIError, InvalidName


def test_keys_are_sorted_and_repeats_kept() -> None:
    given = {"cdi.k8s.io/b": "v.com/c=1,v.com/c=1", "cdi.k8s.io/a": "v.com/c=2", "cdi.k8s.iox": "no", "a": "no"}
    assert parse_annotations(given) == (["cdi.k8s.io/a", "cdi.k8s.io/b"], ["v.com/c=2", "v.com/c=1", "v.com/c=1"])


def test_other_prefixes() -> None:
    given = {"cdi.k8s.io/a": "v.com/c=1", "my.org/a": "v.com/c=2"}
    assert parse_annotations(given, ("my.org/",)) == (["my.org/a"], ["v.com/c=2"])
    assert parse_annotations(given, ()) == ([], [])


@pytest.mark.parametrize("value", ["", "v.com/c=1,", "v.com/c=1, v.com/c=2", "gpu0", 5, None, ["v.com/c=1"]])
def test_bad_values(value: Any) -> None:
    with pytest.raises(CDIError, match=r"annotation 'cdi\.k8s\.io/x'"):
        parse_annotations({"cdi.k8s.io/x": value})


@pytest.mark.parametrize(
    ("plugin", "device_id", "message"),
    [
        ("", "0", "the plugin name of an annotation key is empty"),
        ("p", "", "the device id of an annotation key is empty"),
        ("a/b", "0", "'/' in annotation name"),
        ("é", "0", "'é' in annotation name"),
        ("-p", "0", "does not begin and end"),
        ("p", "0-", "does not begin and end"),
        ("p" * 62, "0", "longer than 63 bytes"),
    ],
)
def test_bad_keys(plugin: str, device_id: str, message: str) -> None:
    with pytest.raises(InvalidName, match=message):
        annotation_key(plugin, device_id)


def test_the_longest_key() -> None:
    assert annotation_key("p" * 61, "0") == f"cdi.k8s.io/{'p' * 61}_0"


def test_values_are_of_qualified_names() -> None:
    assert annotation_value([]) == ""
    with pytest.raises(InvalidName):
        annotation_value(["v.com/c=1", "c=2"])


def test_update_leaves_the_given_annotations_alone() -> None:
    given = {"a": "b"}
    assert update_annotations(given, "p", "0", ["v.com/c=1"]) == {"a": "b", "cdi.k8s.io/p_0": "v.com/c=1"}
    assert given == {"a": "b"}


def test_update_never_overwrites() -> None:
    with pytest.raises(InvalidName, match="already there"):
        update_annotations({"cdi.k8s.io/p_0": "v.com/c=1"}, "p", "0", ["v.com/c=2"])
