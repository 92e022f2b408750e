"""Specs as text: YAML that reads the same everywhere, with quotes where they could matter and without aliases.

Not by PyYAML, whose dumper takes a second for the specs of a large host.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cdi_runc.generate.recipe import Recipe

MARK = "# Made by cdictl generate"

_PLAIN = re.compile(r"/[A-Za-z0-9_./-]*[A-Za-z0-9_/-]|[A-Za-z]{2,}")  # paths and words that no YAML takes for others
_WORDS = frozenset(("no", "on", "yes", "off", "true", "false", "null"))
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def spec_text(spec: Any, recipes: Sequence[Recipe]) -> str:
    """A spec as the text of its file; the first lines say which recipes it was made from."""
    made_from = ", ".join(f"{recipe.name} ({recipe.digest})" for recipe in recipes)
    head = f"{MARK}, from {'the recipe' if len(recipes) == 1 else 'the recipes'} {made_from}.\n"
    return head + "# Do not change this file: cdictl generate --write replaces it.\n" + document(spec)


def document(spec: Any) -> str:
    """A spec as a YAML document.

    >>> print(document({"cdiVersion": "0.5.0", "devices": [{"name": "0", "containerEdits": {"env": ["A=1"]}}]}), end="")
    ---
    cdiVersion: "0.5.0"
    devices:
      - name: "0"
        containerEdits:
          env:
            - "A=1"
    """
    return "\n".join(["---", *_mapping(spec, ""), ""])


def is_ours(text: str) -> bool:
    """Whether a file was made by `spec_text`."""
    return text.startswith(MARK)


def _mapping(data: dict[str, Any], indent: str) -> Iterator[str]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _mapping(value, indent + "  ")
        elif isinstance(value, list) and key == "options":
            yield f"{indent}{key}: [{', '.join(map(_scalar, value))}]"
        elif isinstance(value, list):
            yield f"{indent}{key}:"
            yield from _list(value, indent + "  ")
        else:
            yield f"{indent}{key}: {_scalar(value, always=key in ('name', 'cdiVersion'))}"


def _list(items: list[Any], indent: str) -> Iterator[str]:
    for item in items:
        if isinstance(item, dict):
            first, *rest = _mapping(item, indent + "  ")
            yield f"{indent}- {first.lstrip()}"
            yield from rest
        else:
            yield f"{indent}- {_scalar(item)}"


def _scalar(value: Any, *, always: bool = False) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    if not always and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    text = json.dumps(value, ensure_ascii=False)
    return _NOT_IN_YAML.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def device_nodes(several: Iterable[Any]) -> list[str]:
    """The host's device nodes in some container edits, each once."""
    found = (node.get("hostPath", node["path"]) for edits in several for node in edits.get("deviceNodes", ()))
    return list(dict.fromkeys(found))
