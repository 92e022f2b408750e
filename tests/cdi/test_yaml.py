"""YAML as the reference reads it, by libyaml and by the parser in Python alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cdi_runc.cdi import _yaml
from cdi_runc.cdi._python_loader import PythonLoader
from cdi_runc.cdi._scalars import key_text
from cdi_runc.cdi._yaml import Node, YAMLError

Read = Callable[[str], Any]


@pytest.fixture(params=[_yaml.FastLoader, PythonLoader], ids=["fast", "python"])
def read(request: pytest.FixtureRequest) -> Read:
    return lambda text: plain(_yaml.read(text, request.param))


def plain(node: Node) -> Any:
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    if isinstance(node.value, dict):
        return {key_text(key.value): plain(value) for key, value in node.value.values()}
    return node.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# nothing", None),
        ("---\n", None),
        ("\ufeffa: 1", {"a": 1}),
        ("a: {b: [1, x, 'x', \"\\x41\"]}", {"a": {"b": [1, "x", "x", "A"]}}),
        ("a: 1\n---\n}{", {"a": 1}),
        ("a: 1\n...\n@", {"a": 1}),
        ("%YAML 1.1\n---\na", "a"),
        ("a: |\n  x\n  y\nb: >-\n  x\n  y\n", {"a": "x\ny\n", "b": "x y"}),
        ("[&a x, *a, &a z, *a]", ["x", "x", "z", "z"]),
        ("a: &a {b: 1}\nc: {<<: *a, d: 2}", {"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
        ("a: [&a {b: 1}, &c {d: 2}]\ne: {<<: [*a, *c]}", {"a": [{"b": 1}, {"d": 2}], "e": {"b": 1, "d": 2}}),
        ("<<: {a: 1}", {"a": 1}),
        ("'<<': {a: 1}", {"<<": {"a": 1}}),
        ("1: a\n'1': b\n1.0: c", {"1": "c"}),
        ("y: a\nn: b\n.inf: c", {"true": "a", "false": "b", ".inf": "c"}),
        ("[!!str 1, ! 1, !x 1, !!int '1', !!set {a}, !!binary QQ==]", ["1", "1", "1", 1, {"a": None}, "A"]),
        ('{\n\t"a":\t[\n\t\t1,\n\t]\n}', {"a": [1]}),
        ("a:\tb\t# c\nd: e\tf\n", {"a": "b", "d": "e\tf"}),
        ("[PATH=/a:/b:, a:b, http://x]", ["PATH=/a:/b:", "a:b", "http://x"]),
        ("a: b\n  c\n\n  d", {"a": "b c\nd"}),
        ("a: b \n---\nc", {"a": "b"}),
        ("[a\n\tb]", ["a b"]),
        ("a: [b\n \tc\n \t]", {"a": ["b c"]}),
        ("a: [b,\n\t'c'\n\t]", {"a": ["b", "c"]}),
        ('a: "b\\\'c"', {"a": "b'c"}),
        ("a: b\ufeffc", {"a": "b\ufeffc"}),
        ("a: [1,\n\ufeff2]", {"a": [1, "\ufeff2"]}),
        ("a: 1\n\ufeffb: 2", {"a": 1, "\ufeffb": 2}),
        (r'{"a": "\/x", "b": "\ud83d\ude00"}', {"a": "/x", "b": "\U0001f600"}),
        ('{"a": 1e400, "b": 010}', {"a": "1e400", "b": 8}),
        ('{"a": "\x7f"}', {"a": "\x7f"}),
        ('["a" , 1.50, -0.0]', ["a", 1.5, -0.0]),
    ],
)
def test_read(read: Read, text: str, value: Any) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("a: b: c", "a colon is not allowed here: is a quote missing, or is the line indented wrongly\\?", (1, 5)),
        ("a: 1\nb: [", "while parsing a flow node, .*", (2, 5)),
        ('a: 1\nb: "x\nc: d\n', "the quote that opens here is not closed", (2, 4)),
        ('a: 1\nb: "x\nc: "d"\n', "the quote that opens here ends in line 3, column 4: a quote or .*", (2, 4)),
        ('{"a": "b,\n "c": 1}', "the quote that opens here ends in line 2, column 2: a quote or .*", (1, 7)),
        ("a: [b, 'it's']", "the quote that opens here ends in line 1, column 11: a quote or .*", (1, 8)),
        ('{"a": 1\n "b": 2}', "a comma is missing before this", (2, 2)),
        ('{"a": "b" "c": 2}', "a comma is missing before this", (1, 11)),
        ('{"a": ["b""c"]}', "a comma is missing before this", (1, 11)),
        ("{a: [1, 2}", "before this a comma is missing, or the ] of the bracket in line 1", (1, 10)),
        ('{"a": [1, 2]\n', "the bracket that opens here is not closed", (1, 1)),
        ("a: 1\nb: [c, {d: e f: g}]", "before this a comma is missing, or the } of the bracket in line 2", (2, 15)),
        ("a: 1\nb: [c, {d: e}\n", "the bracket that opens here is not closed", (2, 4)),
        ("a:\n\tb: 1", "a tab is here: YAML is indented with blanks", (2, 1)),
        ("a: 1\na: 2", "the key 'a' is already there, from line 1", (2, 1)),
        ("1: a\n01: b", "the key 1 is already there, from line 1", (2, 1)),
        ("a: &a {b: 1}\nc: {b: 2, <<: *a}", "the key 'b' is already there, from line 2", (2, 11)),
        ("a: &a {b: 1}\nc: {<<: [*a, *a]}", "the key 'b' is already there, from line 1", (2, 5)),
        ("a: *b", "the anchor 'b' is not known", (1, 4)),
        ("a: &a [*a]", "the anchor 'a' contains itself", (1, 8)),
        ("&a {<<: *a}", "the anchor 'a' contains itself", (1, 9)),
        ("<<: 1", r"a merge key \(<<\) needs a mapping or a list of mappings", (1, 5)),
        ("a: &a [{b: 1}]\n<<: *a", r"a merge key \(<<\) needs a mapping or a list of mappings", (2, 5)),
        ("<<: [{a: 1}, [b]]", r"a merge key \(<<\) needs a mapping or a list of mappings", (1, 5)),
        ("{[a]: 1}", "a list or mapping cannot be a key", (1, 2)),
        ("? {a: 1}\n: 1", "a list or mapping cannot be a key", (1, 3)),
        ("%YAML 1.2\n---\na", "only YAML 1.1 is understood", (1, 1)),
        ("%FOO\n---\na", ".*directive.*", (1, 1)),
        ("a: !!int x", "'x' is not of the type int that its tag gives", (1, 4)),
        ("a: b\0c", r"the character '\\x00' is not allowed", (1, 5)),
        ("a: 1\nb: \x7f", r"the character '\\x7f' is not allowed", (2, 4)),
        ("a: '\ud800'", r"the character '\\ud800' is not allowed", (1, 5)),
        (r'a: "\/"', r"the escape \\/ is not allowed in YAML 1.1", (1, 4)),
        (r'a: "\ud83d\ude00"', ".*", (1, 4)),
        (r'{"a": "\ud83d"}', ".*", (1, 7)),
        ('{"a": 1, "a": "\\/"}', ".*", (1, 15)),
        ("[x?y]", ".*", (1, 3)),
        ("[" * 200, "lists and mappings are nested more than 100 deep", (1, 101)),
        ("- " * 200, "lists and mappings are nested more than 100 deep", (1, 201)),
        ("\ta: 1", ".*", (1, 1)),
        ("a: [b\n\tc]", "while scanning a plain scalar, found a tab .*", (2, 1)),
        ("a: [b\n\t]", "while scanning a plain scalar, found a tab .*", (2, 1)),
        ("a: {b: [c\n\n\t, d]}", "while scanning a plain scalar, found a tab .*", (3, 1)),
        ("a:\n  b: [c\n \t]", "while scanning a plain scalar, found a tab .*", (3, 2)),
        ("a: b\n\tc", "while scanning a plain scalar, found a tab .*", (2, 1)),
        ("a: |\n  b\n \tc", "while scanning a block scalar, found a tab .*", (3, 2)),
        ("a: |\n\tb", "while scanning a block scalar, found a tab .*", (2, 1)),
        ("a: 1\n\ufeff# b", ".*", (2, 4)),
    ],
)
def test_what_is_refused(read: Read, text: str, message: str, place: tuple[int, int]) -> None:
    with pytest.raises(YAMLError, match=f"^{message}$") as caught:
        read(text)
    assert (caught.value.line, caught.value.column) == place


def test_deep_json_is_refused(read: Read) -> None:
    with pytest.raises(YAMLError, match=r"100 deep|maximum nesting depth"):
        read("[" * 100_000 + "]" * 100_000)


def test_a_bomb_of_aliases_is_refused(read: Read) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(YAMLError, match="aliases add more than 400000 values"):
        read("\n".join(lines))


def test_too_many_values_are_refused(read: Read) -> None:
    with pytest.raises(YAMLError, match="there are more than 500000 values"):
        read("[" + "a," * (_yaml.MAX_NODES + 1) + "]")


@pytest.mark.parametrize("end", ["]", "a: b: c", "- [", "'", "%"])
def test_a_fault_at_the_end_is_not_looked_for_twice(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_yaml, "PythonLoader", None)  # it takes seconds for a mebibyte
    if _yaml.FastLoader is PythonLoader:
        pytest.skip("PyYAML came without libyaml")
    with pytest.raises(YAMLError):
        _yaml.read("- a\n" * (_yaml.MAX_EXPLAINED // 4) + end)


def test_places() -> None:
    node = _yaml.read("a:\n  - b: 'x'\n    c: *d\n".replace("*d", "[1,\n 2]"))
    ((_, items),) = node.value.values()
    (key, value), (_, two) = items.value[0].value.values()
    assert [(each.line, each.column) for each in (node, items, key, value, two.value[1])] == [
        (1, 1),
        (2, 3),
        (2, 5),
        (2, 8),
        (4, 2),
    ]
