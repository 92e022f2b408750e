"""Scalars of YAML and Go's text for them, as the reference has them: goyaml.v2's resolve.go, and Go's strconv.

What a word without quotes is (`y`, `010`, `1e3`, `.inf`), and what text a number or boolean becomes where a text is
needed. Knows neither the text around a scalar nor what it is for.
"""

from __future__ import annotations

import base64
import math
import re
import struct
from typing import TypeAlias

Scalar: TypeAlias = "bool | int | float | str | None"

MAX_INT64 = (1 << 63) - 1
MAX_UINT64 = (1 << 64) - 1

_TAG = "tag:yaml.org,2002:"
_TYPES = {"bool": bool, "int": int, "float": float, "null": type(None)}


def _words() -> dict[str, Scalar]:
    words: dict[str, Scalar] = dict.fromkeys(("", "~", "null", "Null", "NULL"))
    for value, names in ((True, ("true", "yes", "on")), (False, ("false", "no", "off"))):
        words |= {form: value for name in names for form in (name, name.capitalize(), name.upper())}
    words |= {"y": True, "Y": True, "n": False, "N": False}
    words |= dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan)
    for form in (".inf", ".Inf", ".INF"):
        words |= {form: math.inf, "+" + form: math.inf, "-" + form: -math.inf}
    return words


_WORDS = _words()
_INTEGER = re.compile(r"[+-]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)", re.ASCII)
_BINARY = re.compile(r"0b([+-]?[01]+)", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][+-]?[0-9]+)?", re.ASCII)
_POINT_FIRST = re.compile(r"\.[0-9]+(_[0-9]+)*([eE][+-]?[0-9]+(_[0-9]+)*)?", re.ASCII)
_BASES = {"x": 16, "b": 2, "o": 8}


def resolve(text: str) -> Scalar:
    """The value of a scalar without quotes and tag.

    >>> [resolve(text) for text in ("y", "010", "0b11", "1_000", "1e3", "1:30", "2001-01-01", "")]
    [True, 8, 3, 1000, 1000.0, '1:30', '2001-01-01', None]
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] == ".":
        value: Scalar = _float(text.replace("_", "")) if _POINT_FIRST.fullmatch(text) else None
        return text if value is None else value
    if text[0] not in "+-0123456789":
        return text
    plain, value = text.replace("_", ""), None
    if _INTEGER.fullmatch(plain):
        value = _integer(plain)
    elif match := _BINARY.fullmatch(plain):  # 0b-1 is what an oversight in the reference takes for -1
        value = _in_range(int(match[1], 2), signed=match[1][0] in "+-")
    if value is None and _DECIMAL.fullmatch(plain):
        value = _float(plain)
    return text if value is None else value


def _integer(text: str) -> int | None:
    digits = text.lstrip("+-")
    base = _BASES.get(digits[1:2].lower(), 8 if digits[0] == "0" else 10)
    start = 2 if digits[1:2].isalpha() else 0
    value = int(digits[start:], base)
    return _in_range(-value if text[0] == "-" else value, signed=text[0] in "+-")


def _in_range(value: int, signed: bool) -> int | None:
    return value if -MAX_INT64 - 1 <= value <= (MAX_INT64 if signed else MAX_UINT64) else None


def _float(text: str) -> float | None:
    value = float(text)
    return None if math.isinf(value) else value


def tagged(tag: str, text: str) -> Scalar:
    """The value of a scalar with a tag, quoted or not; a tag that YAML does not know leaves the text as it is.

    Raises ValueError where the text is not what the tag says.

    >>> tagged("tag:yaml.org,2002:int", "010"), tagged("tag:yaml.org,2002:str", "010"), tagged("!my", "010")
    (8, '010', '010')
    """
    type_ = tag.removeprefix(_TAG) if tag.startswith(_TAG) else ""
    if type_ == "binary":
        return base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True).decode("utf-8", "replace")
    if type_ not in _TYPES:  # a timestamp is text too: the reference only checks that it is one
        return text
    value = resolve(text)
    if type_ == "float" and type(value) is int and value <= MAX_INT64:
        return float(value)
    if type(value) is not _TYPES[type_]:
        raise ValueError(f"{text!r} is not of the type {type_} that its tag gives")
    return value


def go_text(value: bool | int | float) -> str:
    """What the reference makes of a boolean or number where a text is expected: floats lose all but 32 bits.

    >>> [go_text(value) for value in (True, 8, 1.50, 1e3, 1e6, 1234567.25, 3.5e38, 0.00001)]
    ['true', '8', '1.5', '1000', '1e+06', '1.2345672e+06', '+Inf', '1e-05']
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return _float32_text(value)


def key_text(key: Scalar) -> str:
    """The same for a key of a mapping, which has rules of its own. Raises ValueError for a key that cannot be.

    >>> [key_text(key) for key in ("a", 1, True, math.inf)]
    ['a', '1', 'true', '.inf']
    """
    if isinstance(key, str):
        return key
    if key is None or (isinstance(key, int) and key > MAX_INT64):
        raise ValueError(f"{'null' if key is None else key} cannot be a key")
    text = go_text(key)
    return {"+Inf": ".inf", "-Inf": "-.inf", "NaN": ".nan"}.get(text, text)


def _float32_text(value: float) -> str:
    """Go's strconv.FormatFloat(value, 'g', -1, 32): the shortest digits that give the 32-bit value back."""
    try:
        single = _single(value)
    except OverflowError:
        single = math.copysign(math.inf, value)
    if math.isnan(single):
        return "NaN"
    if math.isinf(single):
        return "+Inf" if single > 0 else "-Inf"
    shortest = next(text for digits in range(9) if _single(float(text := f"{single:.{digits}e}")) == single)
    mantissa, _, exponent = shortest.partition("e")
    if -4 <= int(exponent) < 6:
        return f"{float(shortest):.{max(len(mantissa.partition('.')[2]) - int(exponent), 0)}f}"
    return f"{mantissa}e{int(exponent):+03d}"


def _single(value: float) -> float:
    result: float = struct.unpack("f", struct.pack("f", value))[0]
    return result
