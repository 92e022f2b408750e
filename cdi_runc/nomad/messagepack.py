"""MessagePack, the form in which Nomad hands over a plugin's configuration (msgpack/msgpack, spec.md)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TypeAlias

Value: TypeAlias = "bool | int | float | str | bytes | list[Value] | dict[str, Value] | None"

MAX_DEPTH = 32

_NUMBERS = {
    0xCA: ">f", 0xCB: ">d",
    0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
    0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
}  # fmt: skip
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_BYTES = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I"}
_TEXTS = {0xD9: ">B", 0xDA: ">H", 0xDB: ">I"}
_LISTS = {0xDC: ">H", 0xDD: ">I"}
_MAPS = {0xDE: ">H", 0xDF: ">I"}


def read(data: bytes) -> Value:
    """The one value in these bytes. Raises ValueError for anything else.

    >>> read(b"\\x81\\xa4mode\\xa4name")
    {'mode': 'name'}
    """
    reader = _Reader(data)
    value = reader.value()
    if reader.place != len(data):
        raise ValueError(f"there are {len(data) - reader.place} bytes behind its end")
    return value


def written(value: object) -> bytes:
    """A text, a list or a mapping of these as MessagePack, in the longest form of each.

    >>> read(written({"mode": "name", "spec_dirs": ["/etc/cdi"]}))
    {'mode': 'name', 'spec_dirs': ['/etc/cdi']}
    """
    if isinstance(value, Mapping):
        inner = b"".join(written(each) for pair in value.items() for each in pair)
        return b"\xdf" + struct.pack(">I", len(value)) + inner
    if isinstance(value, list):
        return b"\xdd" + struct.pack(">I", len(value)) + b"".join(map(written, value))
    if not isinstance(value, str):
        raise TypeError(value)
    text = value.encode()
    return b"\xdb" + struct.pack(">I", len(text)) + text


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0

    def value(self, depth: int = 0) -> Value:
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
        code = self.number(">B")
        if code <= 0x7F:
            return code
        if code >= 0xE0:
            return code - 0x100
        if code in _CONSTANTS:
            return _CONSTANTS[code]
        if code in _NUMBERS:
            return self.number(_NUMBERS[code])
        if code in _BYTES:
            return self.take(self.number(_BYTES[code]))
        if code & 0xE0 == 0xA0 or code in _TEXTS:
            return self.take(code & 0x1F if code <= 0xBF else self.number(_TEXTS[code])).decode()
        if code & 0xF0 == 0x90 or code in _LISTS:
            size = code & 0x0F if code <= 0x9F else self.number(_LISTS[code])
            return [self.value(depth + 1) for _ in range(size)]
        if code & 0xF0 == 0x80 or code in _MAPS:
            size = code & 0x0F if code <= 0x8F else self.number(_MAPS[code])
            return {self.key(depth + 1): self.value(depth + 1) for _ in range(size)}
        raise ValueError(f"the byte {code:#04x} begins no value that a configuration can have")

    def key(self, depth: int) -> str:
        key = self.value(depth)
        if isinstance(key, bytes):
            return key.decode()
        if not isinstance(key, str):
            raise ValueError(f"the key {key!r} is not a text")
        return key

    def number(self, form: str) -> int:  # or a float, where the form says so
        value: int = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return value

    def take(self, size: int) -> bytes:
        if size > len(self.data) - self.place:
            raise ValueError("it ends too early")
        self.place += size
        return self.data[self.place - size : self.place]
