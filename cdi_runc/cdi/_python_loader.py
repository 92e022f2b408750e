"""PyYAML's parser in Python, made to take and to refuse what libyaml's first versions, and so goyaml.v2, do.

It stands in for the fast parser where PyYAML came without libyaml, and where libyaml has since become stricter.
"""

from __future__ import annotations

import re
from typing import Any

from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner, ScannerError
from yaml.tokens import ScalarToken

_BLANK = "\\0 \\t\\r\\n\x85\u2028\u2029"
_WORD = re.compile(rf"(?:[^{_BLANK}:]|:(?![{_BLANK}]))+")
_WORD_IN_FLOW = re.compile(rf"(?:[^{_BLANK}:,?\[\]{{}}]|:(?![{_BLANK}]))+")
_BLANKS = re.compile(r"[ \t]*")


class PythonLoader(Reader, Scanner, Parser):
    """A stream of events from a text. The methods are PyYAML's, called by it; what is not here is as it has it."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)

    def scan_to_next_token(self) -> None:
        """Skip blanks, comments and line breaks, and tabs wherever no indentation is to be counted."""
        super().scan_to_next_token()
        while self.peek() == "\t" and (self.flow_level or not self.allow_simple_key):
            self.forward()
            super().scan_to_next_token()

    def scan_directive_name(self, start_mark: Any) -> Any:
        """The directive's name, which must be a known one."""
        name = super().scan_directive_name(start_mark)  # type: ignore[no-untyped-call]
        if name not in ("YAML", "TAG"):
            raise ScannerError(None, None, f"found the unknown directive {name!r}", start_mark)
        return name

    def scan_plain(self) -> Any:
        """A scalar without quotes: a colon ends it before a blank only, in lists and mappings in brackets too."""
        text, gap = "", ""
        start = end = self.get_mark()
        while self.peek() != "#":
            match = (_WORD_IN_FLOW if self.flow_level else _WORD).match(self.buffer, self.pointer)
            if match is None:
                break
            text += gap + match[0]
            self.forward(len(match[0]))
            self.allow_simple_key = False
            end = self.get_mark()
            gap = self.scan_gap(start)
            if not gap or (not self.flow_level and self.column <= self.indent):
                break
        return ScalarToken(text, True, start, end)

    def scan_gap(self, start: Any) -> str:
        """What stands for the blanks and line breaks between two words of a scalar that began at the mark."""
        blanks = _BLANKS.match(self.buffer, self.pointer)
        assert blanks is not None  # it matches nothing too
        self.forward(len(blanks[0]))
        return "".join(self.scan_plain_spaces(self.indent + 1, start) or [blanks[0]])
