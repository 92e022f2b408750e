"""A field of a spec by its name, as `validate` names it and as people type it: set, and removed.

`deviceNodes[/dev/gpu0].fileMode`, `hooks[0].timeout`, `env[PATH]`, `intelRdt`, `annotations[model]`. In brackets is the
place in the list, from 0, or the name that the item has there. Knows the schema, and no files.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

from cdi_runc.cdi._fields import decoded, folded
from cdi_runc.cdi._scalars import resolve
from cdi_runc.cdi._yaml import Node, YAMLError, read
from cdi_runc.cdi.schema import Form, follow, shared_schema

_STEP = re.compile(r"(?:^|\.)([A-Za-z0-9]+)|\[([^\]]*)\]")
_SETTING = re.compile(r"((?:[^=\[\]]|\[[^\]]*\])+)=(.*)", re.DOTALL)
_NAMES: dict[str, Callable[[Any], object]] = {
    "devices": lambda device: device["name"],
    "env": lambda entry: entry.partition("=")[0],
    "deviceNodes": lambda node: node["path"],
    "mounts": lambda mount: mount["containerPath"],
    "netDevices": lambda device: device["hostInterfaceName"],
    "hooks": lambda hook: hook["path"],
    "additionalGids": str,
}


def setting(text: str) -> tuple[str, str]:
    """The field and the value of FIELD=VALUE. Raises UsageError.

    >>> setting("mounts[/a].type=tmpfs")
    ('mounts[/a].type', 'tmpfs')
    """
    match = _SETTING.fullmatch(text)
    if match is None:
        raise click.UsageError(f"{text!r} is not of the form FIELD=VALUE")
    return match[1], match[2]


def set_field(owner: Any, field: str, text: str) -> None:
    """Set a field of a device or of a spec. Raises ClickException."""
    parent, form, last = _walk(owner, field, make=True)
    if isinstance(parent, list):
        place = _place(parent, last, field, _list_name(field))
        parent[place] = _value(follow(form["items"]), text, field)
    else:
        parent[last] = _value(_form_of(form, last), text, field)


def remove_field(owner: Any, field: str) -> None:
    """Take a field away. Raises ClickException where it isn't there."""
    parent, _, last = _walk(owner, field, make=False)
    if isinstance(parent, list):
        del parent[_place(parent, last, field, _list_name(field))]
    elif last in parent:
        del parent[last]
    else:
        raise _missing(field)


def pruned(spec: Any) -> None:
    """Remove the lists of edits, the edits and the annotations that have nothing left in them."""
    for owner in (spec, *spec["devices"]):
        edits = owner.get("containerEdits", {})
        for kind in [kind for kind, value in edits.items() if value == []]:
            del edits[kind]
        for field in [field for field in ("containerEdits", "annotations") if owner.get(field) == {}]:
            del owner[field]


def _walk(owner: Any, field: str, make: bool) -> tuple[Any, Form, Any]:
    """The object or list that holds the field, its form in the schema, and the last step."""
    steps = _steps(field)
    form = shared_schema() if "devices" in owner else follow(shared_schema()["definitions"]["device"])
    if _known(form, steps[0]) is None and _known(_form_of(form, "containerEdits"), steps[0]):
        steps.insert(0, "containerEdits")
    at, name = owner, ""
    for step in steps[:-1]:
        if isinstance(at, list):
            at, form = at[_place(at, step, field, name)], follow(form["items"])
        else:
            name = _own_name(form, step, field)
            form = _form_of(form, name)
            at = _inner(at, name, field, make and form["type"] == "object")
    return at, form, steps[-1] if isinstance(at, list) else _own_name(form, steps[-1], field)


def _inner(at: Any, name: str, field: str, make: bool) -> Any:
    if name not in at and make:
        at[name] = {}
    if not isinstance(at.get(name), (list, dict)):
        raise _missing(field)
    return at[name]


def _own_name(form: Form, step: str, field: str) -> str:
    """The field of this form that the step names, in any case."""
    if "properties" not in form:
        return step
    known = _known(form, step)
    if known is None:
        raise click.ClickException(f"{field}: there is no field {step}; there are {', '.join(form['properties'])}")
    return known


def _steps(field: str) -> list[str]:
    steps = [name or place for name, place in _STEP.findall(field)]
    if not steps or _STEP.sub("", field):
        raise click.UsageError(f"{field!r} is not the name of a field, such as deviceNodes[/dev/a].fileMode")
    return steps


def _list_name(field: str) -> str:
    return re.split(r"[.\]]", field[: field.rindex("[")])[-1]


def _place(items: list[Any], step: str, field: str, kind: str) -> int:
    """Where in the list the item is that brackets name. A group is always named by its number."""
    kind = next((name for name in _NAMES if folded(name) == folded(kind)), kind)
    if step.isdecimal() and kind != "additionalGids" and int(step) < len(items):
        return int(step)
    names = [str(_NAMES.get(kind, str)(item)) for item in items]
    if step in names:
        return names.index(step)
    raise click.ClickException(f"there is no {field}; there are {', '.join(names) or 'none'}")


def _known(form: Form, step: str) -> str | None:
    return next((name for name in form.get("properties", ()) if folded(name) == folded(step)), None)


def _form_of(form: Form, step: str) -> Form:
    return follow(form["properties"][step] if "properties" in form else form["additionalProperties"])


def _value(form: Form, text: str, field: str) -> Any:
    """What the text says, for a field of this form."""
    node = Node(text if form["type"] == "string" else resolve(text) if text else None)
    if form["type"] in ("array", "object"):
        try:
            node = read(text)
        except YAMLError as fault:
            raise click.ClickException(f"{field}: {text!r} is no YAML: {fault}") from None
    value, faults = decoded(form, node)
    if faults:
        raise click.ClickException(f"{field}: {faults[0][1]}")
    return value


def _missing(field: str) -> click.ClickException:
    return click.ClickException(f"there is no {field}")
