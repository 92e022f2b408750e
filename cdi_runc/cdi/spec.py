"""Spec files: reading and checking (CDI SPEC.md, "CDI JSON Specification").

A spec is a plain dict (see types.py). What JSON schema can say about it is in schema.json; the other rules are
here. Knows one spec at a time; directories of them are the registry's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

from cdi_runc.cdi import _files
from cdi_runc.cdi._fast import plain_json, spec_check
from cdi_runc.cdi._fields import fields, has_no_value, locate
from cdi_runc.cdi._yaml import Node, YAMLError, read
from cdi_runc.cdi.errors import InvalidName, InvalidSpec, Problem
from cdi_runc.cdi.names import validate_device_name, validate_kind
from cdi_runc.cdi.schema import MISSING, schema_errors
from cdi_runc.cdi.versions import KNOWN_VERSIONS, Path, enforced_requirement

if TYPE_CHECKING:
    from cdi_runc.cdi.types import Spec

    Fault = tuple[Path, str]

NO_DEVICES = "has no value: a spec lists its devices there, at least one, each with a name and containerEdits"
MAX_SIZE = 16 << 20  # bytes; large real specs have some 100 kB


def parse_spec(text: str | bytes) -> Spec:
    """The spec in a YAML or JSON text (bytes: in UTF-8), normalised: fields in their canonical spelling, none null.

    Which of the two it is shows in the text alone; JSON is read as YAML, as the reference does. Raises InvalidSpec with
    all that is wrong, each with its line and column.

    >>> parse_spec("{cdiVersion: 0.6.0, kind: v.com/gpu, devices: [{name: a, containeredits: {env: [A=1]}}]}")
    {'cdiVersion': '0.6.0', 'kind': 'v.com/gpu', 'devices': [{'name': 'a', 'containerEdits': {'env': ['A=1']}}]}
    """
    try:
        whole = text if isinstance(text, str) else text.decode()
    except UnicodeDecodeError as error:
        found = f"{error.object[error.start]:#04x}"
        raise InvalidSpec([Problem("", f"the text is not UTF-8: byte {error.start} is {found}")]) from None
    fast = _of_plain_json(whole)
    if fast is not None:
        return fast
    try:
        node = read(whole)
    except YAMLError as error:
        raise InvalidSpec([Problem("", str(error), error.line, error.column)]) from None
    if node.value is None:
        raise InvalidSpec([Problem("", "the text is empty, not an object with cdiVersion, kind and devices", 1, 1)])
    spec, faults = fields(node)
    for path, message in (*_rule_errors(spec), *_schema_errors(spec)):
        if message == MISSING and has_no_value(node, path):
            message = NO_DEVICES if path == ("devices",) else "has no value"
        faults.append((path, message, locate(node, path)))
    _raise(faults)
    return cast("Spec", spec)


def _of_plain_json(text: str) -> Spec | None:
    """The spec in a JSON text that needs nothing to be changed; None for all else, of which there may be one too."""
    try:
        data = plain_json(text)
    except (ValueError, RecursionError):
        return None
    valid = spec_check()(data) and not any(_rule_errors(data))
    return cast("Spec", data) if valid else None


def load_spec(path: str | os.PathLike[str], read: Callable[[str], bytes] | None = None) -> Spec:
    """The spec in a file. Raises InvalidSpec, also for what is no file, cannot be read, or has more than 16 MiB.

    It never waits: a pipe or device in a spec's place is an error at once. A link that leads out of its directory can
    lead to a secret, so the error shows nothing of such a file. read: gives what the file holds, in place of the file
    itself, and raises what `read_file` raises.
    """
    name = os.fspath(path)
    try:
        text = (read or read_file)(name)
    except OSError as error:
        raise InvalidSpec([Problem("", f"cannot be read: {error.strerror or error}")], name) from None
    except InvalidSpec as error:
        raise InvalidSpec(error.problems, name) from None
    return parse_file_text(text, name)


def parse_file_text(text: str | bytes, path: str) -> Spec:
    """The spec in what a file held. The error names the file, and shows nothing that is not to be seen."""
    try:
        return parse_spec(text)
    except InvalidSpec as error:
        target = foreign_target(path)
        raise InvalidSpec([hidden_problem(target)] if target else error.problems, path) from None


def foreign_target(path: str) -> str | None:
    """Where a link leads, if it leads out of the directory that it is in; None for all else."""
    target, directory = os.path.realpath(path), os.path.realpath(os.path.dirname(path) or ".")
    return None if target.startswith(os.path.join(directory, "")) else target


def hidden_problem(target: str) -> Problem:
    """What is said of a bad spec that is a link to a file elsewhere, instead of anything that is in the file."""
    return Problem("", f"is a link to {target}, which is not a valid spec: see cdictl validate {target}")


def validate_spec(data: object) -> None:
    """Raise InvalidSpec unless the data is a spec just as `parse_spec` gives it: canonical spelling, nothing null.

    >>> validate_spec({"cdiVersion": "1.1.0", "kind": "vendor.com/gpu", "devices": []})
    Traceback (most recent call last):
        ...
    cdi_runc.cdi.errors.InvalidSpec: devices: is empty, not a list of the devices that can be asked for, at least one
    """
    faults = list(_schema_errors(data)) or _rule_errors(data)
    _raise((path, message, Node(None)) for path, message in faults)


def field_text(path: Path) -> str:
    """A path as people write it.

    >>> field_text(("devices", 0, "containerEdits", "env", 1))
    'devices[0].containerEdits.env[1]'
    >>> field_text(("devices", 0, "a\\nb"))
    'devices[0].a\\\\nb'
    """
    return "".join(f"[{step}]" if isinstance(step, int) else f".{_in_one_line(step)}" for step in path).removeprefix(
        "."
    )


def _in_one_line(name: str) -> str:
    return name if name.isprintable() else ascii(name)[1:-1]


def read_file(path: str) -> bytes:
    """What a spec file holds, unparsed. Raises OSError, and InvalidSpec for what is no file or larger than 16 MiB."""
    try:
        return _files.read_file(path, MAX_SIZE)
    except _files.UnfitFile as fault:
        raise InvalidSpec([Problem("", str(fault.strerror))]) from None


def locator(text: str | bytes) -> Callable[[Path], tuple[int | None, int | None]]:
    """Tells the line and column, from 1, of a field in a text that `parse_spec` takes; None where it was read as JSON.

    >>> locator("cdiVersion: 0.6.0\\nkind: v.com/gpu")(("kind",))
    (2, 7)
    """
    document = read(text if isinstance(text, str) else text.decode())

    def place(path: Path) -> tuple[int | None, int | None]:
        node = locate(document, path)
        return node.line, node.column

    return place


def _raise(faults: Iterable[tuple[Path, str, Node]]) -> None:
    """Raise InvalidSpec if there are faults: of several about one thing or what is in it the first, by their places."""
    told: set[Path] = set()
    problems = []
    for path, message, at in faults:
        if not any(path[:length] in told for length in range(len(path) + 1)):
            told.add(path)
            problems.append(Problem(field_text(path), message, at.line, at.column))
    if problems:
        raise InvalidSpec(sorted(problems, key=lambda problem: (problem.line or 0, problem.column or 0)))


def _schema_errors(data: object) -> Iterable[tuple[Path, str]]:
    return () if spec_check()(data) else schema_errors(data)


def _rule_errors(spec: Any) -> Iterator[Fault]:
    """What is wrong with a spec of the right types beyond what JSON schema can say, or says well."""
    if "cdiVersion" in spec:
        yield from _version_errors(spec)
    if "kind" in spec:
        try:
            validate_kind(spec["kind"])
        except InvalidName as error:
            yield ("kind",), str(error)
    yield from _edits_errors(spec.get("containerEdits", {}), ("containerEdits",))
    first: dict[str, int] = {}
    for place, device in enumerate(spec.get("devices", ())):
        path: Path = ("devices", place)
        if "name" in device:
            name = device["name"]
            try:
                validate_device_name(name)
            except InvalidName as error:
                yield (*path, "name"), str(error)
            if first.setdefault(name, place) != place:
                yield (*path, "name"), f"is {name!r}, which is the name of devices[{first[name]}] already"
        yield from _edits_errors(device.get("containerEdits", {}), (*path, "containerEdits"))


def _version_errors(spec: Any) -> Iterator[Fault]:
    version = spec["cdiVersion"].removeprefix("v")  # the reference takes one, SPEC.md does not
    needed, field = enforced_requirement(spec)
    if version in KNOWN_VERSIONS and KNOWN_VERSIONS.index(version) < KNOWN_VERSIONS.index(needed):
        reason = f"{field_text(field)} needs {needed}" if field else f"the lowest supported version is {needed}"
        yield ("cdiVersion",), f"{version} is too low: {reason}"


def _edits_errors(edits: Any, path: Path) -> Iterator[Fault]:
    for field in ("hostInterfaceName", "name"):
        first: dict[str, int] = {}
        for place, device in enumerate(edits.get("netDevices", ())):
            name = device.get(field)
            if name and first.setdefault(name, place) != place:
                yield (*path, "netDevices", place, field), f"is {name!r}, as in netDevices[{first[name]}] already"
    clos = edits.get("intelRdt", {}).get("closID", "")
    if len(clos.encode("utf-8", "surrogatepass")) > 4095:  # of bytes a schema cannot speak
        yield (*path, "intelRdt", "closID"), "is longer than 4095 bytes"
