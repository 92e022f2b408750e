"""RFC 6902 in the least words: what a JSON patch makes of a document."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any


def patched(document: Any, operations: Iterable[Mapping[str, Any]]) -> Any:
    """The document after add, remove and replace operations; none else occur here."""
    document = {"": copy.deepcopy(document)}
    for operation in operations:
        *outer, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")]
        part = document
        for key in outer:
            part = part[int(key) if isinstance(part, list) else key]
        place: Any = int(last) if isinstance(part, list) else last
        if operation["op"] != "add":
            assert place in part or isinstance(part, list)
            if operation["op"] == "remove" or isinstance(part, list):
                del part[place]
        if operation["op"] != "remove":
            if isinstance(part, list):
                part.insert(place, copy.deepcopy(operation["value"]))
            else:
                part[place] = copy.deepcopy(operation["value"])
    return document[""]
