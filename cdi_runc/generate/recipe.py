"""Recipes: reading and checking one (recipe.schema.json, docs/generate.md). Knows the format, and no host."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cdi_runc.cdi.errors import CDIError, InvalidName, InvalidSpec
from cdi_runc.cdi.names import split_kind, validate_class, validate_vendor
from cdi_runc.cdi.spec import field_text, locator

SOURCES = ("read", "link", "name", "number", "up", "find")  # where a value can come from, one of them

_PLACE = re.compile(r"\{([^{}]*)\}")  # {NAME} in a text


class InvalidRecipe(CDIError):
    """A recipe that cannot be used. The text says in one line where and why."""


@dataclass(frozen=True)
class Edits:
    """What a device, or a kind, changes in a container, as the recipe says it: one form for each thing."""

    nodes: Sequence[Mapping[str, Any]] = ()
    net_devices: Sequence[str] = ()
    mounts: Sequence[Mapping[str, Any]] = ()
    libraries: Sequence[str] = ()
    env: Sequence[str] = ()
    hooks: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Match:
    """Which paths are devices."""

    globs: Sequence[str]
    attr: Mapping[str, Sequence[str]] = field(default_factory=dict)
    have: Sequence[str] = ()
    only: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unless: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """A recipe; `name` and `path` are those of its file, `digest` tells it from other versions of itself."""

    name: str
    path: str
    digest: str
    kind: str
    summary: str
    match: Match
    values: Mapping[str, Mapping[str, Any]]
    order: Sequence[str]
    names: Sequence[str]
    edits: Edits
    shared: Edits
    gids: bool
    all: bool
    generator: Sequence[str]
    subsystems: Sequence[str]


def schema() -> dict[str, Any]:
    """The JSON schema (draft 7) of a recipe, a new copy at each call."""
    form: dict[str, Any] = json.loads(Path(__file__).with_name("recipe.schema.json").read_text("utf-8"))
    return form


def parse(text: str, name: str, path: str, *, trusted: bool = False) -> Recipe:
    """The recipe in a YAML text. Raises InvalidRecipe.

    Our own recipes are `trusted`: our tests have checked them. To check them again at every start would take 0.1 s.
    """
    data = _loaded(text, path, trusted)
    if not trusted:
        _check(data, text, path)
    return _recipe(data, name, path, hashlib.sha256(text.encode()).hexdigest()[:12])


def places(text: str) -> list[str]:
    """The names of the values in a text.

    >>> places("/dev/{a}/{b}")
    ['a', 'b']
    """
    return _PLACE.findall(text)


def filled(text: str, values: Mapping[str, str]) -> str | None:
    """A text with the values in it; None where one of them is empty or missing.

    >>> filled("{a}-x", {"a": "1"}), filled("{b}", {"b": ""})
    ('1-x', None)
    """
    if "{" not in text:
        return text
    if not all(values.get(name) for name in places(text)):
        return None
    return _PLACE.sub(lambda match: values[match[1]], text)


def _loaded(text: str, path: str, trusted: bool) -> Any:
    import yaml

    try:
        loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        node = loader.get_single_node()
        if not trusted:
            _refuse_second_keys(node, path)
        return None if node is None else loader.construct_document(node)
    except InvalidRecipe:
        raise
    except yaml.MarkedYAMLError as fault:
        line = f":{fault.problem_mark.line + 1}" if fault.problem_mark else ""
        raise InvalidRecipe(f"{path}{line}: {fault.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as fault:
        raise InvalidRecipe(f"{path}: not YAML: {' '.join(str(fault).split())}") from None


def _refuse_second_keys(node: Any, path: str) -> None:
    """Raise InvalidRecipe for a key that is twice in a mapping, where PyYAML takes the last one."""
    import yaml

    waiting, seen = [node], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue  # an alias
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                waiting.append(value)
                if not isinstance(key.value, str):
                    continue  # which no mapping takes
                if key.value in keys:
                    raise InvalidRecipe(f"{path}:{key.start_mark.line + 1}: {key.value} is given twice")
                keys.add(key.value)
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def _recipe(data: Any, name: str, path: str, digest: str) -> Recipe:
    match, shared = data["match"], data.get("shared", {})
    return Recipe(
        name=name,
        path=path,
        digest=digest,
        kind=data["kind"],
        summary=data.get("summary", ""),
        match=Match(
            globs=[*_list(match.get("sysfs")), *_list(match.get("path"))],
            attr={file: _list(patterns) for file, patterns in match.get("attr", {}).items()},
            have=_list(match.get("have")),
            only={link: _list(patterns) for link, patterns in match.get("only", {}).items()},
            unless={link: _list(patterns) for link, patterns in match.get("unless", {}).items()},
        ),
        values=data.get("values", {}),
        order=_list(data.get("order")),
        names=_list(data["names"]),
        edits=_edits(data),
        shared=_edits(shared),
        gids=data.get("gids", "auto") == "auto",
        all=data.get("all", True),
        generator=_list(data.get("generator")),
        subsystems=_list(data.get("subsystems")),
    )


def _edits(data: Any) -> Edits:
    return Edits(
        nodes=[_node(node) if isinstance(node, str) else node for node in data.get("nodes", ())],
        net_devices=_list(data.get("netDevices")),
        mounts=[{"path": mount} if isinstance(mount, str) else mount for mount in data.get("mounts", ())],
        libraries=_list(data.get("libraries")),
        env=data.get("env", ()),
        hooks=data.get("hooks", ()),
    )


def _node(glob: str) -> dict[str, str]:
    return {"path" if glob.startswith("/dev/") else "sysfs": glob}


def _list(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _check(data: Any, text: str, path: str) -> None:
    """Raise InvalidRecipe for the first fault."""
    for where, message in itertools.chain(_schema_faults(data), _faults(data)):
        try:
            line = locator(text)(where)[0]
        except (InvalidSpec, ValueError, LookupError, TypeError):
            line = None
        place = f"{path}:{line}" if line else path
        raise InvalidRecipe(f"{place}: {field_text(where)}: {message}" if where else f"{place}: {message}")


def _schema_faults(data: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    import difflib

    errors = sorted(_validator().iter_errors(data), key=lambda error: list(map(str, error.absolute_path)))
    for error in map(_deepest, errors):
        where = tuple(error.absolute_path)
        if error.validator == "required":
            missing = next(name for name in error.validator_value if name not in error.instance)
            yield where, f"{missing} is missing"
        elif error.validator == "additionalProperties":
            known = list(error.schema["properties"])
            unknown = next(key for key in error.instance if key not in known)
            near = difflib.get_close_matches(str(unknown), known, 1)
            hint = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(known)}"
            yield (*where, str(unknown)), f"is not a known key ({hint})"
        else:
            found = repr(error.instance)
            wanted = error.schema.get("description", error.message) if isinstance(error.schema, dict) else ""
            yield where, f"is {found if len(found) < 60 else found[:57] + '...'}, not {wanted}"


def _deepest(error: Any) -> Any:
    """If a value may have several forms, the error in the form that was meant: the one of the same type."""
    meant = [inner for inner in error.context or () if inner.validator != "type" or len(inner.path)]
    return _deepest(meant[0]) if error.validator == "anyOf" and meant else error


@functools.cache
def _validator() -> Any:
    import jsonschema

    return jsonschema.Draft7Validator(schema())


def _faults(data: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What a schema cannot say."""
    yield from _kind_faults(data["kind"])
    if not {"sysfs", "path"} & set(data["match"]):
        yield ("match",), "needs sysfs or path"
    if "nodes" not in data and "netDevices" not in data:
        yield (), "nodes or netDevices is missing: a device needs one of them"
    for place, node in enumerate(data.get("nodes", ())):
        if isinstance(node, dict) and len({"sysfs", "path"} & set(node)) != 1:
            yield ("nodes", place), "needs sysfs or path, and not both"
    yield from _place_faults(data)


def _kind_faults(kind: str) -> Iterator[tuple[tuple[str | int, ...], str]]:
    try:
        vendor, class_ = split_kind(kind)
        if not vendor:
            raise InvalidName(f"is {kind!r}, not VENDOR/CLASS")
        validate_vendor(vendor)
        validate_class(class_)
    except InvalidName as fault:
        yield ("kind",), str(fault)


def _place_faults(data: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What is wrong with values, and with the places where they are used."""
    known: set[str] = {"index"}
    for name, value in data.get("values", {}).items():
        yield from _value_faults(name, value, known - {"index"})
        known.add(name)
    for name in _list(data.get("order")):
        if name not in known - {"index"}:
            yield ("order",), f"there is no value {name!r}"
    for key in ("names", "nodes", "netDevices", "mounts", "libraries", "env", "shared"):
        unknown = [name for text in _texts(data.get(key)) for name in places(text) if name not in known]
        if unknown:
            yield (key,), f"there is no value {unknown[0]!r}; there are {', '.join(sorted(known))}"


def _value_faults(name: str, value: Any, known: set[str]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    sources = [source for source in SOURCES if source in value]
    if len(sources) != 1 and sources != ["name", "up"]:
        yield ("values", name), f"needs one of {', '.join(SOURCES)}"
    if (value.get("name") is True) != (sources == ["name", "up"]):
        yield ("values", name), "`name: true` goes with up, and only with it"
    if "find" in value and not {"where", "field"} <= set(value):
        yield ("values", name), "find needs where and field"
    for place in (place for text in _texts(value) for place in places(text)):
        if place not in known:
            yield ("values", name), f"there is no value {place!r} before it"


def _texts(data: Any) -> Iterable[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, (list, dict)):
        for item in data.values() if isinstance(data, dict) else data:
            yield from _texts(item)
