"""What words are, and what text they become: as in Go. The values were had from the reference."""

from __future__ import annotations

import math

import pytest

from cdi_runc.cdi._scalars import Scalar, go_text, key_text, resolve, tagged

TAG = "tag:yaml.org,2002:"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(word, True) for word in ("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON")],
        *[(word, False) for word in ("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF")],
        *[(word, None) for word in ("", "~", "null", "Null", "NULL")],
        *[(word, word) for word in ("yEs", "tRUE", "oN", "nULL", "none", "<<", "=", "a", " ")],
        *[("12", 12), ("-12", -12), ("+12", 12), ("1_000", 1000), ("1__0_", 10), ("0", 0), ("-0", 0)],
        *[("010", 8), ("0o10", 8), ("0O7", 7), ("0o_1", 1), ("00", 0), ("0x1F", 31), ("-0x_f", -15), ("0XfF", 255)],
        *[("0b11", 3), ("-0b11", -3), ("0B1", 1), ("0b-1", -1), ("0b+1", 1), ("-0b-1", "-0b-1")],
        *[("08", 8.0), ("09.5", 9.5), ("08x", "08x"), ("0x", "0x"), ("0b2", "0b2"), ("0xg", "0xg")],
        *[("1e3", 1000.0), ("1.50", 1.5), ("5.", 5.0), ("-.5", -0.5), (".5", 0.5), ("+1E+2", 100.0)],
        *[(".", "."), ("-", "-"), ("+", "+"), ("1.2.3", "1.2.3"), ("1,000", "1,000"), ("1e", "1e"), (".e3", ".e3")],
        *[
            ("1:30", "1:30"),
            ("2001-01-01", "2001-01-01"),
            ("1e400", "1e400"),
            ("-1e400", "-1e400"),
            ("\u0661", "\u0661"),
        ],
        *[("1e4_00", "1e4_00"), (".5_5", 0.55), (".5_", ".5_"), ("._5", "._5"), ("1_.5", 1.5)],
        *[("18446744073709551615", 18446744073709551615), ("18446744073709551616", 18446744073709551616.0)],
        *[("-9223372036854775808", -9223372036854775808), ("-9223372036854775809", -9223372036854775809.0)],
        *[("+9223372036854775808", 9223372036854775808.0), ("0b" + "1" * 64, 18446744073709551615)],
        *[
            (".inf", math.inf),
            ("+.Inf", math.inf),
            ("-.INF", -math.inf),
            (".iNF", ".iNF"),
            ("inf", "inf"),
            ("nan", "nan"),
        ],
    ],
)
def test_resolve(text: str, value: Scalar) -> None:
    found = resolve(text)
    assert (type(found), found) == (type(value), value)


def test_nan() -> None:
    assert all(resolve(text) != resolve(text) for text in (".nan", ".NaN", ".NAN"))


@pytest.mark.parametrize(
    ("tag", "text", "value"),
    [
        (TAG + "str", "12", "12"),
        (TAG + "int", "0x10", 16),
        (TAG + "float", "5", 5.0),
        (TAG + "bool", "y", True),
        (TAG + "null", "~", None),
        (TAG + "binary", "QQ\n==", "A"),
        (TAG + "timestamp", "2001-01-01", "2001-01-01"),
        (TAG + "unknown", "12", "12"),
        ("!mine", "12", "12"),
        ("!", "12", "12"),
    ],
)
def test_tagged(tag: str, text: str, value: Scalar) -> None:
    found = tagged(tag, text)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        ("int", "1.5"),
        ("int", "x"),
        ("float", "x"),
        ("float", "18446744073709551615"),
        ("bool", "1"),
        ("null", "x"),
        ("binary", "Q"),
    ],
)
def test_tags_must_fit(type_: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"that its tag gives|base64|padding"):
        tagged(TAG + type_, text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[(True, "true"), (False, "false"), (0, "0"), (18446744073709551615, "18446744073709551615")],
        *[
            (0.0, "0"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (1000.0, "1000"),
            (999999.0, "999999"),
            (1e6, "1e+06"),
            (100000.0, "100000"),
        ],
        *[(1234567.25, "1.2345672e+06"), (3.14159265358979, "3.1415927"), (0.0001, "0.0001"), (0.00001, "1e-05")],
        *[(3.4028235e38, "3.4028235e+38"), (3.5e38, "+Inf"), (-3.5e38, "-Inf"), (1e-46, "0"), (1e-45, "1e-45")],
        *[(16777217.0, "1.6777216e+07"), (123456.7, "123456.7"), (12.0, "12"), (math.inf, "+Inf"), (math.nan, "NaN")],
    ],
)
def test_go_text(value: bool | int | float, text: str) -> None:
    assert go_text(value) == text


@pytest.mark.parametrize(
    ("key", "text"),
    [("a", "a"), (1, "1"), (1.5, "1.5"), (True, "true"), (math.inf, ".inf"), (-math.inf, "-.inf"), (math.nan, ".nan")],
)
def test_key_text(key: Scalar, text: str) -> None:
    assert key_text(key) == text


@pytest.mark.parametrize("key", [None, 9223372036854775808])
def test_what_cannot_be_a_key(key: Scalar) -> None:
    with pytest.raises(ValueError, match="cannot be a key"):
        key_text(key)
