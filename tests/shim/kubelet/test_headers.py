"""The headers of HTTP/2, against the package hpack: what it writes is read, what we write it reads."""

from __future__ import annotations

import pytest
from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from cdi_runc.shim.kubelet.headers import decoded, encoded

NAMES = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=200)
TEXTS = st.text(st.characters(min_codepoint=1, max_codepoint=0x2FF), max_size=300)


@given(st.dictionaries(NAMES, TEXTS), st.booleans())
def test_what_a_server_writes_is_read(headers: dict[str, str], huffman: bool) -> None:
    encoder = Encoder()
    encoder.header_table_size = 0  # as our settings say
    block = encoder.encode([(":status", "200"), *headers.items()], huffman=huffman)
    read = decoded(block)
    assert read[":status"] == "200"
    # A name of the table that all share has no text in the block, and gRPC reads none of these.
    table = {name.decode() for name, _ in encoder.header_table.STATIC_TABLE}
    assert {name: text for name, text in headers.items() if name not in table}.items() <= read.items()


@given(st.lists(st.tuples(NAMES, TEXTS)))
def test_what_we_write_is_read(headers: list[tuple[str, str]]) -> None:
    found = Decoder(max_header_list_size=1 << 24).decode(encoded(headers), raw=True)
    assert [(name.decode(), text.decode()) for name, text in found] == headers


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # entry 0
        b"\xbe",  # entry 62, of the table that there is none of
        b"\x7f\x00\x01a",  # entry 63 as a name
        b"\x00",
        b"\x00\x05a",
        b"\x00\x01a",
        b"\x00\x01a\xff",
        b"\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x00\x01a\x81\x00",  # the beginning of a letter's code
        b"\x00\x01a\x82\xff\xff",  # more padding than 7 bits
        b"\x00\x01a\x84\xff\xff\xff\xff",  # the end within a text
    ],
)
def test_what_is_no_block_of_headers(block: bytes) -> None:
    with pytest.raises(ValueError, match=r"^a header "):
        decoded(block)


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_be_wrong(block: bytes) -> None:
    try:
        decoded(block)
    except ValueError:
        pass
