"""HOT. JSON to data and back, without loss: what stands in a config.json that we do not know comes out as it went in.

Uses the C scanner and encoder of `_json`, which start 7 ms sooner than the module `json` around them. Numbers keep
every digit: integers are Python's own, and a float, which OCI knows nowhere but which may stand in a field that is not
OCI's, is carried as a whole number that stands for its text.
"""

import _json


class Document:
    """One JSON text, as data.

    value: what `json.loads` would give, but that floats are stand-ins (whole numbers that occur nowhere in the text).
    """

    __slots__ = ("_floats", "_stand_in", "value")

    def __init__(self, text: str) -> None:
        """Read `text`; ValueError says what is wrong with it."""
        self._floats: list[str] = []
        self._stand_in = ""
        if text.startswith("\ufeff"):
            raise ValueError("it starts with a byte order mark (BOM); save the file as UTF-8 without one")
        scan = _json.make_scanner(_Context(self, text))  # type: ignore[arg-type]  # it has what is asked for
        try:
            self.value, end = scan(text, _skip(text, 0))
        except (StopIteration, SystemError):
            # The scanner takes its exception from json.decoder, and SystemError is what it gives without.
            raise ValueError(_what_is_wrong(text)) from None
        except RecursionError:
            raise ValueError("nested too deeply") from None
        if _skip(text, end) != len(text):
            raise ValueError(_what_is_wrong(text))

    def text(self) -> str:
        """The value as JSON, all ASCII, with the floats of the text it was read from."""
        encoder = _json.make_encoder({}, _refuse, _json.encode_basestring_ascii, None, ":", ",", False, False, False)
        text = "".join(encoder(self.value, 0))
        for index, number in enumerate(self._floats):
            text = text.replace(self._stand_in + f"{index:09}", number, 1)
        return text

    def _keep_float(self, source: str, number: str) -> int:
        if not self._floats:
            # A row of nines longer than any in the source can't be part of another number or of a string in it.
            self._stand_in = "9" * 30
            while self._stand_in in source:
                self._stand_in += "9"
        self._floats.append(number)
        return int(f"{self._stand_in}{len(self._floats) - 1:09}")


class _Context:
    """What `_json.make_scanner` wants to find in a JSONDecoder."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_int = int

    def __init__(self, document: Document, source: str) -> None:
        self.parse_float = lambda number: document._keep_float(source, number)
        self.parse_constant = _refuse_constant
        self.memo: dict[str, str] = {}


def _what_is_wrong(text: str) -> str:
    import json  # slow to start, and only wanted for its words

    try:
        json.loads(text)
    except ValueError as error:
        return str(error)
    return "not JSON"


def _skip(text: str, index: int) -> int:
    while text[index : index + 1] in (" ", "\t", "\n", "\r"):
        index += 1
    return index


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _refuse(value: object) -> None:
    raise TypeError(f"{type(value).__name__} is no JSON")
