"""HOT. JSON to data and back, without loss: what is in a config.json that we do not know comes out as it went in.

Uses the C scanner and encoder of `_json`, which start 7 ms sooner than the module `json` around them. Nobody promises
that these stay as they are, so whatever goes wrong with them is left to jsonslow.py, which needs `json` alone.
"""

import _json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Number(str):
    """A number as the text has it, where Python's own would lose digits: each float, and very long integers."""

    __slots__ = ()


class Document:
    """One JSON text, as data.

    value: what `json.loads` would give, but that floats are `Number`s, and that a key that is there twice means what it
    means to the runtimes in Go (see jsonslow.py).
    """

    __slots__ = ("has_numbers", "value")

    value: "Any"

    def __init__(self, text: str) -> None:
        """Read `text`; ValueError says what is wrong with it."""
        context = _Context()
        try:
            scan = _json.make_scanner(context)  # type: ignore[arg-type]  # it has what is asked for
            self.value, end = scan(text, _skip(text, 0))
            done = _skip(text, end) == len(text) and not context.has_doubles
        except RecursionError:
            raise ValueError("nested too deeply") from None
        except Exception:  # the text is at fault, or `_json` has changed
            done = False
        self.has_numbers = context.has_numbers or not done
        if not done:
            from cdi_runc.shim import jsonslow

            self.value = jsonslow.read(text)

    def text(self) -> str:
        """The value as JSON, all ASCII, with the numbers of the text it was read from."""
        encode_text = _encoded if self.has_numbers else _json.encode_basestring_ascii
        try:
            encoder = _json.make_encoder({}, _refuse, encode_text, None, ":", ",", False, False, False)
            return "".join(encoder(self.value, 0))
        except (AttributeError, SystemError, TypeError):
            from cdi_runc.shim import jsonslow

            return jsonslow.written(self.value)


class _Context:
    """What `_json.make_scanner` expects to find in a JSONDecoder, and what was seen on the way."""

    strict = True
    object_hook = None
    array_hook = None  # from Python 3.15 on
    parse_int = int

    def __init__(self) -> None:
        self.memo: dict[str, str] = {}
        self.has_numbers = self.has_doubles = False

    def parse_float(self, text: str) -> Number:
        self.has_numbers = True
        return Number(text)

    def object_pairs_hook(self, pairs: "list[tuple[str, object]]") -> "dict[str, object]":
        made = dict(pairs)
        if len(made) != len(pairs):
            self.has_doubles = True
        return made

    def parse_constant(self, name: str) -> None:
        raise ValueError(f"{name} is not JSON")


def _skip(text: str, index: int) -> int:
    while text[index : index + 1] in (" ", "\t", "\n", "\r"):
        index += 1
    return index


def _encoded(text: str) -> str:
    return str(text) if type(text) is Number else _json.encode_basestring_ascii(text)


def _refuse(value: object) -> None:
    raise TypeError(f"{type(value).__name__} is not JSON")
