"""RARE. A bundle that is run again: the config as it was before the edits of the run before.

Knows data, and no files.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Object = dict[str, Any]  # a JSON object


class NotOurs(Exception):
    """The config does not come of the run before: what that one put in is not there."""


def without_edits(now: "Object", made: "Object", before: "Object") -> "Object":
    """The config `now` without what an earlier run changed in it: what somebody else changed since then stays.

    made: the config that the earlier run wrote. before: the one that it found. Raises NotOurs where `now` lacks any of
    the changes from `before` to `made`: its author has written it again, and all in it is theirs.
    """
    if now == made:
        return before
    found = _without(now, made, before)
    return found if isinstance(found, dict) else {}


_MISSING = object()


def _without(now: "Any", made: "Any", before: "Any") -> "Any":
    if made == before:
        return now
    if now == made:
        return before
    if isinstance(now, dict) and isinstance(made, dict) and (before is _MISSING or isinstance(before, dict)):
        return _object_without(now, made, before)
    if isinstance(now, list) and isinstance(made, list) and (before is _MISSING or isinstance(before, list)):
        return _list_without(now, made, before)
    raise NotOurs


def _object_without(now: "Object", made: "Object", before: "Any") -> "Any":
    old: Object = {} if before is _MISSING else before
    result: Object = {}
    for key in [*now, *(key for key in old if key not in now)]:
        value = _without(now.get(key, _MISSING), made.get(key, _MISSING), old.get(key, _MISSING))
        if value is not _MISSING:
            result[key] = value
    if any(key not in now and key not in old for key in made):
        raise NotOurs
    return result if result or before is not _MISSING else _MISSING


def _list_without(now: "list[Any]", made: "list[Any]", before: "Any") -> "Any":
    """The list without the items that were added. Each item that one of them replaced is back in its place."""
    old: list[Any] = [] if before is _MISSING else before
    added, taken = _counts(made, old), _counts(old, made)
    lost = [item for item in old if _take(taken, item)]
    result: list[Any] = []
    for item in now:
        if not _take(added, item):
            result.append(item)
            continue
        for other in lost:
            if _name(other) == _name(item):
                result.append(other)
                lost.remove(other)
                break
    if any(added.values()):
        raise NotOurs
    result += lost
    return result if result or before is not _MISSING else _MISSING


def _counts(items: "list[Any]", less: "list[Any]") -> "dict[str, int]":
    """How many of each item there are more than in `less`."""
    counts: dict[str, int] = {}
    for number, group in ((1, items), (-1, less)):
        for item in group:
            counts[_key(item)] = counts.get(_key(item), 0) + number
    return {key: count for key, count in counts.items() if count > 0}


def _take(counts: "dict[str, int]", item: "Any") -> bool:
    key = _key(item)
    if counts.get(key, 0) < 1:
        return False
    counts[key] -= 1
    return True


def _key(item: "Any") -> str:
    """The same text for equal items, whatever the order of their keys."""
    if isinstance(item, dict):
        return "{" + ",".join(f"{key!r}:{_key(item[key])}" for key in sorted(item)) + "}"
    if isinstance(item, list):
        return "[" + ",".join(map(_key, item)) + "]"
    return repr(item)


def _name(item: "Any") -> "Any":
    """What an item of a config's list is about: a variable's name, a device's path, a mount's destination."""
    if isinstance(item, str):
        return item.partition("=")[0]
    return item.get("path") or item.get("destination") if isinstance(item, dict) else item
