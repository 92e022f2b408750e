"""The settings of the shim, config.yaml: read, checked by settings.schema.json, filled up with the defaults.

Slow (YAML, JSON schema), so the shim sees them through its snapshot. Knows nothing of what they are used for.
"""

import difflib
import json
from importlib.resources import files
from typing import Any

import yaml

from cdi_runc.cdi.errors import InvalidSpec
from cdi_runc.cdi.spec import read_file  # which waits for no pipe
from cdi_runc.host.errors import SettingsError
from cdi_runc.host.places import SYSTEM_CONFIG

Settings = dict[str, Any]


def schema() -> dict[str, Any]:
    """The JSON schema (draft-07) of config.yaml, which holds the defaults too."""
    text = files("cdi_runc.host").joinpath("settings.schema.json").read_text("utf-8")
    return json.loads(text)  # type: ignore[no-any-return]


def read(path: str) -> Settings:
    """The settings in a file, or the defaults where it is empty, or is the system's and missing; every key is there.

    `fault` says in one line what is wrong with the file, '' for nothing. With a fault, all is at its default but
    `runtimes` and `requests`: a container must be stopped by the runtime that started it, and one that asks for no
    device must start.
    """
    data: object = None
    try:
        data = _parse(path)
        if data != {}:  # which is fine, and jsonschema takes longer to import than most commands of cdictl run
            check(data, schema(), path)
    except SettingsError as fault:
        return {**_filled(_usable(data), schema()), "fault": str(fault)}
    return {**_filled(data, schema()), "fault": ""}


def _usable(data: object) -> dict[str, Any]:
    """Of settings with a fault: the runtimes that can be used, and `requests` if nothing is wrong with it."""
    usable: dict[str, Any] = {}
    if isinstance(data, dict):
        if isinstance(data.get("runtimes"), dict):
            mapped = data["runtimes"].items()
            usable["runtimes"] = {name: path for name, path in mapped if isinstance(path, str)}
        try:
            check({"requests": data.get("requests", {})}, schema(), "")
        except SettingsError:
            pass
        else:
            usable["requests"] = data.get("requests")
    return usable


def _parse(path: str) -> object:
    try:
        text = read_file(path).decode()
    except FileNotFoundError:
        if path == SYSTEM_CONFIG:
            return {}
        raise SettingsError(f"{path}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not UTF-8 at byte {error.start}") from None
    except (OSError, InvalidSpec) as error:
        raise SettingsError(f"{path}: {error.strerror if isinstance(error, OSError) else error}") from None
    try:
        data = yaml.load(text, UniqueKeys)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SettingsError(f"{path}:{line}: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if isinstance(data, dict):
        return {key: value for key, value in data.items() if value is not None}  # as `requests:` with comments below
    return {} if data is None else data


def check(data: object, form: dict[str, Any], path: str) -> None:
    """Raise SettingsError, with the first fault by its place, unless the data are as the JSON schema `form` says.

    path: the file that they are of."""
    from jsonschema import Draft7Validator

    for error in sorted(Draft7Validator(form).iter_errors(data), key=lambda error: list(map(str, error.path))):
        where = ".".join(map(str, error.path))
        if error.validator == "additionalProperties":
            known = list(error.schema["properties"])
            unknown = next(key for key in error.instance if key not in known)
            near = difflib.get_close_matches(str(unknown), known, 1, 0.4) or known
            hint = f"{where and f' in {where}'}, did you mean {near[0]!r}?"
            raise SettingsError(f"{path}: unknown key {shortened(unknown)}{hint}")
        allowed = error.schema.get("description", "an object")
        raise SettingsError(f"{path}: {where and f'{where}: '}found {shortened(error.instance)}, expected {allowed}")


def shortened(value: object) -> str:
    """A value as an error quotes it. A long one is cut: the file may be somebody else's."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:76]} ..."


def _filled(data: Any, form: dict[str, Any]) -> Any:
    """The data with what is missing or null taken from the defaults of the schema."""
    if "properties" not in form:
        return form["default"] if data is None else data
    data = data or {}
    return {key: _filled(data.get(key), inner) for key, inner in form["properties"].items()}


class UniqueKeys(yaml.SafeLoader):
    """YAML as ever, but a key given twice is an error, since one of the two would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping as a dict; ConstructorError for a key that is there twice, or that is not a text."""
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key is not a text", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} is given twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)
