"""JSON to data and back by public functions alone: for what jsontext.py can't read, and where it can't be used.

Says what is wrong with a text. Reads a key that is there twice as Go's encoding/json reads it into the structs of the
runtime-spec, since that is what runc does: https://pkg.go.dev/encoding/json#Unmarshal and its decode.go.
"""

import json
from typing import Any

from cdi_runc.shim.jsontext import Number

# Go's maps, of which a later value takes the place of an earlier one. All other objects are structs, whose fields are
# set one by one (runtime-spec, specs-go/config.go; maps of texts make no difference).
_MAPS = frozenset({"netDevices", "rdma", "timeOffsets"})

# Python makes no longer ones out of text, or takes very long for them (sys.get_int_max_str_digits).
_MAX_DIGITS = 4300


class _Pairs(list[tuple[str, Any]]):
    """An object as it was written."""


def read(text: str) -> Any:
    """The data in a JSON text, as jsontext.Document has them. ValueError says what is wrong with it."""
    if text.startswith("\ufeff"):
        raise ValueError("it starts with a byte order mark (BOM); save the file as UTF-8 without one")
    try:
        raw = json.loads(
            text, parse_float=Number, parse_int=_integer, parse_constant=_refuse_constant, object_pairs_hook=_Pairs
        )
        return _read_into(None, raw, "")
    except RecursionError:
        raise ValueError("nested too deeply") from None


def written(value: Any, indent: int = 0) -> str:
    """The data as JSON, all ASCII: in one line, or with each level indented by so many blanks."""
    return _written(value, indent, "\n" if indent else "")


def _written(value: Any, indent: int, line: str) -> str:
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        colon = ": " if indent else ":"
        inner = [json.dumps(key) + colon + _written(entry, indent, line + " " * indent) for key, entry in value.items()]
        return _enclosed("{", inner, "}", indent, line)
    if isinstance(value, list | tuple):
        return _enclosed("[", [_written(entry, indent, line + " " * indent) for entry in value], "]", indent, line)
    return json.dumps(value, allow_nan=False)


def _enclosed(start: str, inner: list[str], end: str, indent: int, line: str) -> str:
    if not inner:
        return start + end
    deeper = line + " " * indent if indent else ""
    return start + deeper + f",{deeper}".join(inner) + (line if indent else "") + end


def _read_into(old: Any, new: Any, name: str) -> Any:
    """What Go has where it has read `new` (objects as _Pairs) into a field called `name` that holds `old`.

    The elements of an array are read into the elements that were there, and there are as many as the new one has.
    """
    if isinstance(new, _Pairs):
        made = dict(old) if isinstance(old, dict) else {}
        for key, value in new:
            made[key] = _read_into(None if name in _MAPS else made.get(key), value, key)
        return made
    if isinstance(new, list):
        there = old if isinstance(old, list) else []
        return [_read_into(there[at] if at < len(there) else None, value, "") for at, value in enumerate(new)]
    return new


def _integer(text: str) -> int | Number:
    return int(text) if len(text) <= _MAX_DIGITS else Number(text)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
