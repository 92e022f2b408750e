"""A spec file that is edited as text: the rest of the file stays as its author wrote it, with comments.

The edit is made to the spec. Then the text is changed until it says the edited spec, and read again to check this. So
nothing is lost silently. Knows files and forms, not what the edits mean.
"""

from __future__ import annotations

import difflib
import io
import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cdi_runc import InvalidSpec, Problem, parse_spec
from cdi_runc.cdi.spec import MAX_SIZE, parse_file_text, read_file
from cdi_runc.cdi.writing import json_text, write_file
from cdi_runc.ctl.specs.emit import yaml_text
from cdi_runc.ctl.specs.patch import Unfit, is_json, patched

if TYPE_CHECKING:
    from ruamel.yaml import YAML

Edit = Callable[[Any], object]  # changes a spec, a dict, in place

STANDARD = "-"  # means standard input, or standard output


class SpecFile:
    """A spec file, `text` as it is and `spec` what it says. Raises InvalidSpec for one that can't be used.

    `path` is as it was given; `-` is the standard input.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            data = sys.stdin.buffer.read(MAX_SIZE + 1) if path == STANDARD else read_file(path)
        except InvalidSpec as fault:
            raise InvalidSpec(fault.problems, path) from None
        except OSError as fault:
            raise InvalidSpec([Problem("", f"cannot be read: {fault.strerror}")], path) from None
        if len(data) > MAX_SIZE:
            raise InvalidSpec([Problem("", f"is larger than {MAX_SIZE >> 20} MiB")], path)
        self.spec: Any = parse_file_text(data, path)
        self.text = data.decode()

    def edited(self, edit: Edit) -> str:
        """The text after an edit. Raises InvalidSpec where that would be no spec, or can't be done in this text."""
        wanted = json.loads(json.dumps(self.spec))
        edit(wanted)
        parse_file_text(json_text(wanted), self.path)
        return self.saying(wanted)

    def saying(self, wanted: Any) -> str:
        """The text, changed so that it says this."""
        if wanted == self.spec:
            return self.text
        try:
            text = patched(self.text, self.spec, wanted)
            if parse_spec(text) == wanted:
                return text
        except (Unfit, InvalidSpec):
            pass
        if is_json(self.text):  # it has no comments to lose
            return spec_text(wanted, "json")
        message = "is YAML that can't be changed without losing what is in it; cdictl spec convert writes it anew"
        raise InvalidSpec([Problem("", message)], self.path)

    def diff(self, text: str) -> str:
        """What changes in the file, as a unified diff."""
        before, after = (each.splitlines(keepends=True) for each in (self.text, text))
        return "".join(difflib.unified_diff(before, after, self.path, self.path))

    def write(self, text: str) -> None:
        """Put the text in the file's place, whole. A link stays one."""
        write_file(os.path.realpath(self.path), text.encode(), overwrite=True)


def spec_text(spec: Any, form: str) -> str:
    """A new spec as a text in `json` or `yaml`."""
    return json_text(spec, indent=2) + "\n" if form == "json" else yaml_text(spec)


def formatted(file: SpecFile) -> str:
    """The text with two columns to every level, and lists indented, comments kept."""
    if file.path.endswith(".json") or is_json(file.text):
        return spec_text(file.spec, "json")
    text = _reindented(file)
    return text.replace("\n", "\r\n") if "\r\n" in file.text else text


def _reindented(file: SpecFile) -> str:
    from ruamel.yaml.error import YAMLError

    yaml = _yaml()
    stream = io.StringIO()
    try:
        yaml.explicit_start = file.text.startswith("---")
        yaml.dump(yaml.load(file.text.replace("\r\n", "\n")), stream)
    except (YAMLError, RecursionError) as fault:
        reason = getattr(fault, "problem", None) or "it is too deep"
        message = f"can't be formatted with its comments kept: {reason}"
        raise InvalidSpec([Problem("", message)], file.path) from None
    return stream.getvalue()


def _yaml() -> YAML:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml
