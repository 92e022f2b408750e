"""The administrator's policy, policy.yaml: read, checked by policy.schema.json, compiled for the shim.

Slow (YAML, JSON schema), so the shim sees it through its snapshot. Knows nothing of containers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from importlib.resources import files
from itertools import chain, product
from typing import Any

import yaml

from cdi_runc.cdi.errors import InvalidSpec
from cdi_runc.cdi.names import is_qualified_name
from cdi_runc.cdi.spec import read_file
from cdi_runc.host import trust
from cdi_runc.host.errors import SettingsError
from cdi_runc.host.settings import UniqueKeys, check

Policy = dict[str, Any]  # `rules` and `fault`

NONE: Policy = {"rules": [], "fault": ""}
ENGINES = ("docker", "podman", "containerd", "crio", "lxc", "incus")  # that shim/policy.py can tell
_NAME, _MOST_STARS = "a/b=c", 3
_GLOBS = ("device", "namespace", "pod", "container", "image", "runtime", "engine")
_GUARDS = ("namespace", "pod", "container", "image", "engine", "runtime")  # the one that tells most first
_WORDS = ("through", "command", "uid")
_PATHS = ("hooks", "mount-sources", "mount-targets")


def path_beside(config: str) -> str:
    """The policy that goes with a config.yaml: it is in the same directory."""
    return os.path.join(os.path.dirname(config), "policy.yaml")


def schema() -> dict[str, Any]:
    """The JSON schema (draft-07) of policy.yaml."""
    return json.loads(files("cdi_runc.host").joinpath("policy.schema.json").read_text("utf-8"))  # type: ignore[no-any-return]


def read(path: str) -> Policy:
    """The policy in a file, compiled; no rules where there is no file.

    `fault` says in one line what is wrong with the file, '' for nothing. With a fault no container may have a device.
    """
    try:
        data, lines = _parsed(path)
        check(data, schema(), path)
        rules = data.get("rules", [])
        return {
            "rules": [_compiled(rule, f"{path}:{line}") for rule, line in zip(rules, lines, strict=True)],
            "fault": "",
        }
    except FileNotFoundError:
        return NONE
    except SettingsError as fault:
        return {"rules": [], "fault": str(fault)}


def counted(policy: Policy) -> Policy:
    """The policy as the settings of host/known.py have it: the number of its rules in place of the rules."""
    return {**policy, "rules": len(policy["rules"])}


def device_beginnings(rule: dict[str, Any]) -> tuple[str, ...]:
    """How a device must begin for the rule to be about it."""
    return tuple(glob[0] for glob in rule["match"].get("device", [("",)]))


def guard(rule: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """What is to be looked at of a container (shim/policy.py, `text`) before the rule is read, and how it must begin.

    So a container need not read the rules about other containers. ('', ()) for a rule that is always read.
    """
    match = rule["match"]
    for what in _GUARDS:
        if what in match:
            return what, tuple(glob[0] for glob in match[what])
    if "uid" in match:
        return "uid", tuple(map(str, match["uid"]))
    for name, [glob] in match.get("labels", ()):
        return f"label {name}", (glob[0],)
    return "", ()


def numbers_by_device(rules: Sequence[dict[str, Any]], names: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """For each of the devices, the numbers of the rules that may be about it, in their order.

    So a container pays only for these. There are many devices of few kinds: most rules are ruled out for a whole kind.
    """
    beginnings = list(map(device_beginnings, rules))
    of_kind: dict[str, list[int]] = {}
    found = {}
    for name in names:
        kind = name[: name.find("=") + 1]
        if kind not in of_kind:
            of_kind[kind] = [
                number
                for number, begins in enumerate(beginnings)
                if kind.startswith(begins) or any(each.startswith(kind) for each in begins)
            ]
        found[name] = tuple(number for number in of_kind[kind] if name.startswith(beginnings[number]))
    return found


def idle_rules(rules: list[dict[str, Any]]) -> Iterator[str]:
    """One line for each rule that can never decide: nothing is as it says, or an earlier rule always decides."""
    for number, rule in enumerate(rules):
        nothing = _matches_nothing(rule["match"])
        if nothing:
            yield f"{rule['place']}: this rule never decides: {nothing}"
            continue
        for earlier in rules[:number]:
            if earlier["action"] != "audit" and _covers(earlier["match"], rule["match"]):
                yield f"{rule['place']}: this rule never decides: {earlier['place']} matches all that it matches"
                break


def _matches_nothing(match: dict[str, Any]) -> str:
    """Why no request can be as a rule says; '' where one can, or where that can't be told."""
    for what, can_be, example in (("device", _can_be_device, "vendor.com/class=name"), ("engine", _can_be_engine, "")):
        globs = match.get(what, [("",)])
        if what in match and not any(map(can_be, globs)):
            said = " or ".join("*".join(glob) for glob in globs)
            return f"no {what} is called {said}; expected {example or ', '.join(ENGINES)}"
    return ""


def _can_be_engine(glob: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, "*".join(glob)) for name in ("", *ENGINES))


def _can_be_device(glob: tuple[str, ...]) -> bool:
    """Whether a qualified name fits: whether there is one with a part of `a/b=c` in the place of each star."""
    parts = sorted({_NAME[start:end] for start in range(len(_NAME)) for end in range(start, len(_NAME) + 1)})
    if len(glob) > _MOST_STARS + 1:
        return True
    return any(
        is_qualified_name("".join(chain(*zip(glob, (*stars, ""), strict=True))))
        for stars in product(parts, repeat=len(glob) - 1)
    )


def _covers(wide: dict[str, Any], narrow: dict[str, Any]) -> bool:
    """Whether the first conditions hold wherever the second ones do, as far as their form tells."""
    return all(
        all(any(fnmatchcase("*".join(text), "*".join(glob)) for glob in wanted) for text in narrow.get(what, [("\0",)]))
        if what in _GLOBS
        else what in narrow and (set(narrow[what]) <= set(wanted) if what in _WORDS else narrow[what] == wanted)
        for what, wanted in wide.items()
    )


def _parsed(path: str) -> tuple[dict[str, Any], list[int]]:
    """What is in the file, and the line of each rule. Raises FileNotFoundError and SettingsError."""
    reason = trust.why_not(path)
    if reason:  # who can write a policy can give devices away
        raise SettingsError(f"{path}: {reason}")
    try:
        text = read_file(path).decode()
        loader = UniqueKeys(text)
        try:
            node = loader.get_single_node()
            data = loader.construct_document(node) if node else {}
        finally:
            loader.dispose()
    except FileNotFoundError:
        raise
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not UTF-8 at byte {error.start}") from None
    except (OSError, InvalidSpec) as error:
        raise SettingsError(f"{path}: {error.strerror if isinstance(error, OSError) else error}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SettingsError(f"{path}:{line}: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    lines = [
        item.start_mark.line + 1
        for key, value in (node.value if isinstance(node, yaml.MappingNode) else [])
        if key.value == "rules" and isinstance(value, yaml.SequenceNode)
        for item in value.value
    ]
    return data, lines


def _compiled(rule: dict[str, Any], place: str) -> dict[str, Any]:
    match = dict(rule.get("match") or {})
    for key in _GLOBS:
        if key in match:
            match[key] = [_glob(text, place) for text in _listed(match[key])]
    for key in _WORDS:
        if key in match:
            match[key] = _listed(match[key])
    if "labels" in match:
        match["labels"] = [(name, [_glob(text, place)]) for name, text in match["labels"].items()]
    limits = dict(rule.get("limits") or {})
    for key in _PATHS:
        if key in limits:
            limits[key] = [_glob(text, place) for text in limits[key]]
    return {
        "place": place,
        "action": rule["action"],
        "message": rule.get("message", ""),
        "match": match,
        "limits": limits,
    }


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _glob(text: str, place: str) -> tuple[str, ...]:
    bad = next((char for char in text if char in "?[]{}" or char.isspace()), "")
    if bad:
        raise SettingsError(f"{place}: {text!r} is not a pattern: {bad!r} can't be in it; * means any characters")
    return tuple(text.split("*"))
