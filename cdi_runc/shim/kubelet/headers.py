"""RARE. The headers of HTTP/2 in their compressed form (RFC 7541), as far as one call of gRPC needs them.

Only names that gRPC reads are of interest: `:status` of the table that all share, and those that the server spells out.
We tell the server to keep no table of its own (SETTINGS_HEADER_TABLE_SIZE 0), so there is none here.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# Appendix A: the entries that have a status, and its last entry.
_STATUSES = {8: "200", 9: "204", 10: "206", 11: "304", 12: "400", 13: "404", 14: "500"}
_LAST_ENTRY = 61

# Appendix B: how many bits the code of each byte has, and that of the end, from 5 ("a") to 30 ("z"). The codes follow
# from that: those of one length are numbered in the order of the bytes, and shorter ones come first.
_LENGTHS = (
    "isxxxxxxxtzxxzxxxxxxxxzxxxxxxxxxbffhibdgffdgdbbbaaabbbbbbbcdkbhfibccccccccccccccccccccccdcdioijbkaba"
    "babbbaccbbbabcbaabccccckgjixprpprrrsrssssststtrstssssqrsrsstrqprrssqsrrtqrssqqrqsrssprrrsrrsvvporsru"
    "vvvwwvtuoqvwwvwtqqvvxwwwptpqrqqsrruuttvsvwvvwwwwwxwwwwwvz"
)
_END = 256
_MAX_PADDING = 7  # bits


def encoded(headers: "Iterable[tuple[str, str]]") -> bytes:
    """A block of headers that no table is needed for: "Literal Header Field without Indexing", section 6.2.2.

    >>> encoded([("te", "trailers")])
    b'\\x00\\x02te\\x08trailers'
    """
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in headers)


def decoded(block: bytes) -> dict[str, str]:
    """The headers in a block, by name; those that gRPC does not read are under ''. Raises ValueError.

    >>> decoded(b"\\x88\\x00\\x0bgrpc-status\\x010")[":status"]
    '200'
    """
    headers: dict[str, str] = {}
    place = 0
    while place < len(block):
        first = block[place]
        if first & 0x80:  # an entry of the table
            index, place = _number(block, place, 7)
            headers[_name_of(index)] = _STATUSES.get(index, "")
        elif first & 0xE0 == 0x20:  # the size of the table that there is none of
            _, place = _number(block, place, 5)
        else:
            index, place = _number(block, place, 6 if first & 0x40 else 4)
            name, place = (_name_of(index), place) if index else _string(block, place)
            headers[name], place = _string(block, place)
    return headers


def _text(text: str) -> bytes:
    data = text.encode()
    size = len(data)
    if size < 127:
        return bytes((size,)) + data
    size -= 127
    start = b"\x7f"
    while size >= 128:
        start += bytes((size & 127 | 128,))
        size >>= 7
    return start + bytes((size,)) + data


def _name_of(index: int) -> str:
    if not 0 < index <= _LAST_ENTRY:
        raise ValueError("a header is of a table that there is not")
    return ":status" if index in _STATUSES else ""


def _number(block: bytes, place: int, bits: int) -> tuple[int, int]:
    """The number that begins in the last bits of a byte, and the place after it (section 5.1)."""
    most = (1 << bits) - 1
    number = block[place] & most
    place += 1
    if number < most:
        return number, place
    for shift in range(0, 28, 7):  # more would be a text of more than 256 MiB
        if place == len(block):
            raise ValueError("a header ends in a number")
        number += (block[place] & 127) << shift
        place += 1
        if not block[place - 1] & 128:
            return number, place
    raise ValueError("a header has too large a number")


def _string(block: bytes, place: int) -> tuple[str, int]:
    """The text that begins at a place, and the place after it (section 5.2)."""
    if place == len(block):
        raise ValueError("a header ends before its text")
    is_coded = block[place] & 128
    size, place = _number(block, place, 7)
    if size > len(block) - place:
        raise ValueError("a header ends in a text")
    data = block[place : place + size]
    return (_decompressed(data) if is_coded else data).decode("utf-8", "backslashreplace"), place + size


def _decompressed(data: bytes) -> bytes:
    codes = _codes()
    text = bytearray()
    code = length = 0
    for byte in data:
        for shift in range(7, -1, -1):
            code, length = code << 1 | byte >> shift & 1, length + 1
            symbol = codes.get((length, code))
            if symbol == _END:
                raise ValueError("a header has a text with an end in it")
            if symbol is not None:
                text.append(symbol)
                code = length = 0
    if length > _MAX_PADDING or code != (1 << length) - 1:
        raise ValueError("a header has a text that ends in the middle of a letter")
    return bytes(text)


def _codes() -> dict[tuple[int, int], int]:
    """The byte of each code, by the code's length and number."""
    codes: dict[tuple[int, int], int] = {}
    code = before = 0
    for length, symbol in sorted((ord(letter) - ord("a") + 5, symbol) for symbol, letter in enumerate(_LENGTHS)):
        code <<= length - before
        codes[length, code] = symbol
        code, before = code + 1, length
    return codes
