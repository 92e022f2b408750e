"""A spec file that is edited as a text: what the edit does not touch stays as its author wrote it, comments too.

The edit is made twice, to the spec and to the text's own tree, and only when the new text reads as the edited spec is
it kept; so no peculiarity of YAML is lost without a word. Knows files and forms, not what the edits mean.
"""

from __future__ import annotations

import difflib
import io
import json
import os
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from cdi_runc import InvalidSpec, Problem, parse_spec
from cdi_runc.cdi.spec import read_file
from cdi_runc.cdi.writing import write_file

if TYPE_CHECKING:
    from ruamel.yaml import YAML

Edit = Callable[[Any], object]  # changes a spec, a dict, in place

# Texts that YAML 1.1 and 1.2 alike take for texts without quotes: paths, NAME=VALUE, words; but not its booleans.
_PLAIN = re.compile(r"[A-Za-z/](?:[\w./=:@+-]*[\w./=@+-])?", re.ASCII)
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))


class SpecFile:
    """A spec file, `text` as it is and `spec` what it says. Raises InvalidSpec for one that can't be used."""

    def __init__(self, path: str) -> None:
        self.path = os.path.realpath(path)  # a link stays one
        try:
            self.text = read_file(path).decode()
            self.spec: Any = parse_spec(self.text)
        except InvalidSpec as fault:
            raise InvalidSpec(fault.problems, path) from None
        except (OSError, UnicodeDecodeError) as fault:
            reason = fault.strerror if isinstance(fault, OSError) else "not UTF-8"
            raise InvalidSpec([Problem("", f"cannot be read: {reason}")], path) from None

    def edited(self, edit: Edit) -> str:
        """The text after an edit. Raises InvalidSpec where that would be no spec, or can't be done in this text."""
        wanted = parse_spec(json.dumps(self.spec))
        edit(wanted)
        text = edited_json(self.spec, edit) if self.path.endswith(".json") else edited_yaml(self.text, edit)
        if parse_spec(text) != wanted:
            message = "is YAML of a kind that can't be edited as it stands; cdictl spec convert writes it anew"
            raise InvalidSpec([Problem("", message)], self.path)
        return text

    def diff(self, text: str) -> str:
        """What changes in the file, as a unified diff."""
        before, after = (each.splitlines(keepends=True) for each in (self.text, text))
        return "".join(difflib.unified_diff(before, after, self.path, self.path))

    def write(self, text: str) -> None:
        """Put the text in the file's place, whole."""
        write_file(self.path, text.encode(), overwrite=True)


def spec_text(spec: Any, form: str) -> str:
    """A new spec as a text in `json` or `yaml`."""
    if form == "json":
        return json.dumps(spec, indent=2, ensure_ascii=False) + "\n"
    return _dumped(_yaml(offset=2), _quoted(spec))


def formatted(file: SpecFile) -> str:
    """The text with two columns to every level, and lists indented, comments kept."""
    if file.path.endswith(".json"):
        return spec_text(file.spec, "json")
    yaml = _yaml(offset=2)
    return _dumped(yaml, _loaded(yaml, file.text))


def edited_json(spec: Any, edit: Edit) -> str:
    """JSON after an edit; it has no comments to lose."""
    copy = json.loads(json.dumps(spec))
    edit(copy)
    return spec_text(copy, "json")


def edited_yaml(text: str, edit: Edit) -> str:
    """YAML after an edit, with its comments, quotes and order, lists indented as they are.

    >>> edited_yaml("kind: v.com/gpu  # ours\\n", lambda spec: spec.update(cdiVersion="0.6.0"))
    'kind: v.com/gpu  # ours\\ncdiVersion: "0.6.0"\\n'
    """
    indented = re.search(r"^[\w\"']+:[^\n]*\n(?: *#[^\n]*\n)*( *)- ", text, re.MULTILINE)
    yaml = _yaml(offset=len(indented[1]) if indented else 2)
    tree = _loaded(yaml, text)
    old = list(_texts(tree))
    edit(tree)
    return _dumped(yaml, _quoted(tree, frozenset(map(id, old))))


def _yaml(offset: int) -> YAML:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10_000
    yaml.indent(mapping=2, sequence=offset + 2, offset=offset)
    return yaml


def _loaded(yaml: YAML, text: str) -> Any:
    from ruamel.yaml.error import YAMLError

    try:
        yaml.explicit_start = text.startswith("---")
        return yaml.load(text)
    except (YAMLError, RecursionError) as fault:
        problem = getattr(fault, "problem", None) or "too deep"
        raise InvalidSpec([Problem("", f"can't be edited with its comments kept: {problem}")]) from None


def _dumped(yaml: YAML, tree: Any) -> str:
    stream = io.StringIO()
    yaml.dump(tree, stream)
    return stream.getvalue()


def _texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, (list, dict)):
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from _texts(item)


def _quoted(tree: Any, old: frozenset[int] = frozenset()) -> Any:
    """The tree with quotes around texts that could be taken for something else; `old` ones, by id, stay as written."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if type(tree) is str:
        plain = id(tree) in old or (_PLAIN.fullmatch(tree) and tree.lower() not in _WORDS)
        return tree if plain else DoubleQuotedScalarString(tree)
    if isinstance(tree, (list, dict)):
        for place, item in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
            tree[place] = _quoted(item, old)
    return tree
