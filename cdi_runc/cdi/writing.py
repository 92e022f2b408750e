"""Spec files: writing them, and their names (the reference's pkg/cdi/spec.go)."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import yaml

from cdi_runc.cdi._files import replace_file
from cdi_runc.cdi._scalars import resolve
from cdi_runc.cdi.names import split_kind, validate_kind
from cdi_runc.cdi.spec import parse_spec, validate_spec
from cdi_runc.cdi.versions import minimum_required_version

if TYPE_CHECKING:
    from cdi_runc.cdi.types import Spec

# Characters that JSON may hold as they are, but YAML not, or not without taking them for line breaks.
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_LINE_BREAK = re.compile("[\r\x85\u2028\u2029]")  # of the kinds that become others unless they are escaped


def write_spec(
    spec: Spec, path: str | os.PathLike[str], *, overwrite: bool = True, lowest_version: bool = False
) -> str:
    """Write a spec to a file, whole or not at all, and return the file's path.

    JSON where the path ends in `.json`, else YAML; a path without either ending gets `.yaml`, since no other file is
    read. The directory is made if need be. With `lowest_version` the spec is written as of the lowest version that its
    contents allow. Raises InvalidSpec for a spec that could not be read back, FileExistsError where there is a file
    that must not be overwritten, and OSError.
    """
    name = os.fspath(path)
    if not name.endswith((".yaml", ".json")):
        name += ".yaml"
    if lowest_version:
        spec = {**spec, "cdiVersion": minimum_required_version(spec)}
    validate_spec(spec)
    text = json_text(spec, indent=2) + "\n" if name.endswith(".json") else _yaml(spec)
    parse_spec(text)  # since there are characters that neither format can hold
    write_file(name, text.encode(), overwrite)
    return name


def spec_file_name(kind: str, transient_id: str | None = None) -> str:
    """The name, without directory and ending, that the reference gives to the spec file of a kind.

    There is one such file for a kind, or one for each `transient_id`: the id of what the spec is made for and goes
    with, say a container. Raises InvalidName.

    >>> spec_file_name("vendor.com/gpu"), spec_file_name("vendor.com/gpu", "pod/1")
    ('vendor.com-gpu', 'vendor.com-gpu_pod_1')
    """
    validate_kind(kind)
    name = "-".join(split_kind(kind))
    return name if transient_id is None else f"{name}_{transient_id.replace('/', '_')}"


def json_text(data: Any, indent: int | None = None) -> str:
    """The data as JSON that is YAML as well."""
    text = json.dumps(data, indent=indent, ensure_ascii=False)
    return _NOT_IN_YAML.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _yaml(spec: Any) -> str:
    text: str = yaml.dump(
        spec, Dumper=_Dumper, explicit_start=True, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return text


class _Dumper(yaml.SafeDumper):
    """Quotes what our own reading would not take for text, and writes out what is there twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _LINE_BREAK.search(text) else None if resolve(text) == text else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _quoted)


def write_file(path: str, text: bytes, overwrite: bool) -> None:
    """Write a file, whole or not at all. Raises OSError, and FileExistsError for a file that must not be overwritten.

    A new file can be read by all, so that every engine and every user sees which devices there are. A file that is
    there keeps its mode, its owner and its ACLs.
    """
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    replace_file(path, text, overwrite=overwrite)
