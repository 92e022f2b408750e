"""The conformance vectors, and what differs between the reference's answer and ours.

Answers are compared as Go's OCI types would have them: null, empty lists and zeros that mean absence are no difference,
nor are fields that the OCI specification does not know (the reference drops them). Zeros that say something count: a
rule's minor, a device's uid, a hook's timeout, an empty intelRdt. The order of lists counts.
"""

from __future__ import annotations

import functools
import json
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

VECTORS = pathlib.Path(__file__).with_name("vectors")
KINDS = ("inject", "validate", "parse_name", "annotations", "update_annotations")
ROOT = "${ROOT}"  # stands in a vector for the directory that its paths are below
HOST = "host:"  # a fileMode of host:PATH is the mode that the host has for it

Case = dict[str, Any]


def cases(kind: str) -> list[Case]:
    """All vectors of a kind, in the order of the files' names."""
    return [case for path in sorted((VECTORS / kind).glob("*.json")) for case in json.loads(path.read_text("utf-8"))]


def prepare(case: Case, root: pathlib.Path) -> Case:
    """Put the files and host entries of an inject vector below an empty directory.

    Returns its config, devices, spec_dirs and expected answer with the directory filled in.
    """
    given, expected = _fill([case["input"], case["expected"]], str(root))
    for name, text in given["files"].items():
        _below(root, name).write_bytes(text.encode())
    for name, entry in sorted(given.get("host", {}).items()):
        _make(_below(root, name), entry)
    return {
        "config": given["config"],
        "devices": given["devices"],
        "spec_dirs": [f"{root}{name}" for name in given["spec_dirs"]],
        "expected": expected | {"errors": [f"{root}{name}" for name in expected["errors"]]},
    }


def differences(kind: str, expected: Case, actual: Case) -> list[str]:
    """What differs between two answers to a vector of the kind, a line each."""
    return list(_DIFFERENCES[kind](expected, actual))


def _make(path: pathlib.Path, entry: Case) -> None:
    mode = int(entry.get("mode", "644"), 8)
    match entry["type"]:
        case "dir":
            path.mkdir(exist_ok=True)
        case "symlink":
            path.symlink_to(entry["target"])
        case "fifo":
            os.mkfifo(path)
            path.chmod(mode)
        case _:
            path.touch()
            path.chmod(mode)


def _below(root: pathlib.Path, name: str) -> pathlib.Path:
    path = pathlib.Path(f"{root}{name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _fill(value: Any, root: str) -> Any:
    if isinstance(value, str):
        return value.replace(ROOT, root)
    if isinstance(value, list):
        return [_fill(item, root) for item in value]
    if isinstance(value, dict):
        return {_fill(key, root): _fill(item, root) for key, item in value.items()}
    return value


def _inject(expected: Case, actual: Case) -> Iterator[str]:
    for key in ("errors", "devices"):
        yield from _differ(key, sorted(expected[key]), sorted(actual[key]))
    for key in ("error", "unresolved"):
        yield from _differ(key, expected.get(key), actual.get(key))
    if "config" in expected:
        yield from _differ("config", canonical(expected["config"]), canonical(actual.get("config")))


def _validate(expected: Case, actual: Case) -> Iterator[str]:
    yield from _differ("valid", expected["valid"], actual["valid"])
    if "min_version" in actual:
        yield from _differ("min_version", expected["min_version"], actual["min_version"])


def _parse_name(expected: Case, actual: Case) -> Iterator[str]:
    for key in ("error", "vendor", "class", "name", "is_qualified_name"):
        yield from _differ(key, expected.get(key), actual.get(key))


def _annotations(expected: Case, actual: Case) -> Iterator[str]:
    yield from _differ("error", expected.get("error"), actual.get("error"))
    if "keys" in expected:
        in_order = list if len(expected["keys"]) < 2 else sorted  # the reference walks a map: no order between keys
        yield from _differ("keys", sorted(expected["keys"]), actual.get("keys"))
        yield from _differ("devices", in_order(expected["devices"]), in_order(actual.get("devices", ())))


def _update_annotations(expected: Case, actual: Case) -> Iterator[str]:
    for key in ("error", "annotations", "key", "value"):
        yield from _differ(key, expected.get(key), actual.get(key))


_DIFFERENCES: dict[str, Callable[[Case, Case], Iterator[str]]] = {
    "inject": _inject,
    "validate": _validate,
    "parse_name": _parse_name,
    "annotations": _annotations,
    "update_annotations": _update_annotations,
}


def canonical(config: Any) -> Any:
    """An OCI config without the fields that the specification does not know, and without what means absence."""
    return _plain(config, "Spec") or {}


@functools.cache
def _objects() -> dict[str, Any]:
    """The objects of the OCI specification: the form of each of their fields."""
    objects: dict[str, Any] = json.loads((VECTORS / "oci_fields.json").read_text("utf-8"))
    return objects


def _plain(value: Any, form: Any) -> Any:
    """The value of a field, or None if it is as good as absent; the form says of what Go type the field is."""
    if isinstance(form, dict):
        ((shape, inner),) = form.items()
        if shape == "pointer" and value is not None:
            return _present(value, inner)
        if shape == "list" and isinstance(value, list):
            return [_present(item, inner) for item in value] or None
        if shape == "map" and isinstance(value, dict):
            return {key: _present(item, inner) for key, item in value.items()} or None
        return value
    if form == "value":
        return value or None
    if not isinstance(value, dict):
        return value
    known = {key: _plain(value[key], inner) for key, inner in _objects()[form].items() if key in value}
    return {key: item for key, item in known.items() if item is not None} or None


def _present(value: Any, form: Any) -> Any:
    plain = _plain(value, form)
    if plain is not None:
        return plain
    return {} if isinstance(value, dict) and form != "value" else value


def _differ(where: str, expected: Any, actual: Any) -> Iterator[str]:
    if isinstance(expected, str) and expected.startswith(HOST) and isinstance(actual, int):
        expected = _mode(expected.removeprefix(HOST), actual)
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in sorted({*expected, *actual}):
            if key in expected and key in actual:
                yield from _differ(f"{where}.{key}", expected[key], actual[key])
            else:
                yield f"{where}.{key}: {'missing' if key in expected else 'not expected'}"
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for place, pair in enumerate(zip(expected, actual, strict=True)):
            yield from _differ(f"{where}[{place}]", *pair)
    elif expected != actual or isinstance(expected, bool) != isinstance(actual, bool):
        yield f"{where}: expected {expected!r}, got {actual!r}"


def _mode(path: str, default: int) -> int:
    try:
        return os.lstat(path).st_mode & 0o7777
    except OSError:
        return default
