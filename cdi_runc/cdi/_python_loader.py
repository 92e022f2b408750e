"""PyYAML's parser in Python, made to take and to refuse what libyaml's first versions, and so goyaml.v2, do.

It replaces the fast parser where PyYAML has no libyaml, and where libyaml has become stricter.
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
_BREAKS = "\r\n\x85\u2028\u2029"
_DOCUMENT_MARK = re.compile(rf"(---|\.\.\.)[{_BLANK}]")


class PythonLoader(Reader, Scanner, Parser):
    """A stream of events from a text. The methods are PyYAML's, called by it; what is not here is as it has it."""

    ESCAPE_REPLACEMENTS = {**Scanner.ESCAPE_REPLACEMENTS, "'": "'"}  # type: ignore[misc]  # noqa: RUF012

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
        """The text that replaces the blanks and line breaks between two words of a scalar that began at the mark."""
        blanks = self.blanks()
        self.forward(len(blanks))
        if self.peek() not in _BREAKS:
            return blanks
        first, *more = self.scan_breaks(start)
        self.allow_simple_key = True
        if self.column == 0 and _DOCUMENT_MARK.match(self.buffer, self.pointer):
            return ""
        return ("" if first == "\n" and more else " " if first == "\n" else first) + "".join(more)

    def scan_breaks(self, start: Any) -> list[str]:
        """The line breaks here, and the indentation after them, which a tab may not be a part of."""
        breaks = []
        while self.peek() in _BREAKS:
            breaks.append(self.scan_line_break())  # type: ignore[no-untyped-call]
            blanks = self.blanks()
            if "\t" in blanks[: self.indent + 1]:
                self.forward(blanks.index("\t"))
                message = "found a tab character that violates indentation"
                raise ScannerError("while scanning a plain scalar", start, message, self.get_mark())
            self.forward(len(blanks))
        return breaks

    def blanks(self) -> str:
        """The blanks and tabs here, which are not skipped."""
        blanks = _BLANKS.match(self.buffer, self.pointer)
        assert blanks is not None  # it matches nothing too
        return blanks[0]

    def scan_block_scalar_indentation(self) -> Any:
        """The blank lines before a block scalar that does not say how far it is indented."""
        found = super().scan_block_scalar_indentation()
        self.refuse_tab()
        return found

    def scan_block_scalar_breaks(self, indent: int) -> Any:
        """The blank lines before a line of a block scalar."""
        found = super().scan_block_scalar_breaks(indent)
        if self.column < indent:
            self.refuse_tab()
        return found

    def refuse_tab(self) -> None:
        """Raise where a tab is part of a block scalar's indentation."""
        if self.peek() == "\t":
            message = "found a tab character where an indentation space is expected"
            raise ScannerError("while scanning a block scalar", None, message, self.get_mark())
