"""What is read of HCL and of JSON, and what is said of text that is neither."""

from __future__ import annotations

from textwrap import dedent

import pytest

from cdi_runc.engines.engine import EngineError
from cdi_runc.engines.hcl_text import Block, Item, parse


def plain(value: object) -> object:
    """Blocks as lists of pairs."""
    if isinstance(value, Block):
        return [(" ".join(item.keys), plain(item.value)) for item in value.items]
    return [plain(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", []),
        ("# a\n// b\n/* c\n} */", []),
        ('a = "b"\nc = 1\nd = true\ne = 0.5', [("a", "b"), ("c", 1), ("d", True), ("e", 0.5)]),
        ('a = "x # y" # z', [("a", "x # y")]),
        (r'a = "\"\\\n\u00e9\q"', [("a", '"\\\n\u00e9q')]),
        ('a = "${b ? "c" : d}"', [("a", '${b ? "c" : d}')]),
        ('a = "$b"', [("a", "$b")]),
        ('a = [1, "]", [true],]', [("a", [1, "]", [True]])]),
        ('a "b" { c { d = 1 } }', [("a b", [("c", [("d", 1)])])]),
        ('"a" "b" = { "c" = 1, d = 2 }', [("a b", [("c", 1), ("d", 2)])]),
        ("a = <<EOF\n b }\nEOF\nc = 1", [("a", " b }\n"), ("c", 1)]),
        ("a = <<-EOF\n  b\n  EOF\nc = 1", [("a", "  b\n"), ("c", 1)]),
        ("a-b.c = 1\r\nd = 2\r\n", [("a-b.c", 1), ("d", 2)]),
        ("\ufeffa = 1", [("a", 1)]),
        ('{"a": {"b": [1]}, "c": [{"d": 1}, {"d": 2}]}', [("a", [("b", [1])]), ("c", [("d", 1)]), ("c", [("d", 2)])]),
        ('{"a": 1, "a": null}', [("a", 1), ("a", None)]),
    ],
)
def test_what_is_read(text: str, said: object) -> None:
    assert plain(parse(text)) == said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = 1\nb {", "line 2: a brace is not closed"),
        ("a = 1\n}", "line 2: a brace closes nothing"),
        ("a = [1", "line 1: a bracket is not closed"),
        ('\n\na = "b\n"', "line 3: a text is not closed"),
        ("= 1", "line 1: a name is missing"),
        ("a = $", "line 1: '\\$' is not expected here"),
        ("a", "line 1: '' is not expected here"),
        ("a { " * 100, "nested more than 64 levels deep"),
        ("a = " + "[" * 100, "nested more than 64 levels deep"),
        ('{"a": }', "line 1: Expecting value"),
        ('{"a": ' + "[" * 100_000, "this JSON can't be read"),
    ],
)
def test_what_is_broken(text: str, words: str) -> None:
    with pytest.raises(EngineError, match=words):
        parse(text)


def test_names_are_the_same_in_any_case_and_labels_are_not() -> None:
    body = parse('Plugin "Docker" { CONFIG { x = 1 } }\nPLUGIN_DIR = "/x"')
    [(label, plugin)] = body.labelled("plugin")
    assert (label, len(list(plugin.blocks("config"))), body.text("plugin_dir")) == ("Docker", 1, "/x")


@pytest.mark.parametrize(
    "text",
    [
        'plugin "a" { args = [] }\nplugin "b" {}',
        "plugin { a { args = [] }\n b {} }",
        '{"plugin": {"a": {"args": []}, "b": {}}}',
        '{"plugin": [{"a": {"args": []}}, {"b": [{}]}]}',
    ],
)
def test_labels_can_be_written_in_several_ways(text: str) -> None:
    assert [label for label, _ in parse(dedent(text)).labelled("plugin")] == ["a", "b"]


def test_what_has_no_label_is_no_plugin() -> None:
    assert list(Block((Item(("plugin",), "text"),)).labelled("plugin")) == []
