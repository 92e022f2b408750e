"""Recipes that are broken: each gives one line with the file, the line and the key."""

import jsonschema
import pytest

from cdi_runc.generate.collection import shipped
from cdi_runc.generate.recipe import InvalidRecipe, parse, schema

GOOD = """recipe: 1
kind: v.com/x
match: {sysfs: /sys/class/x/*}
values: {a: {name: .}}
names: ["{a}"]
nodes: [.]
"""


def test_a_good_one_is_read() -> None:
    found = parse(GOOD, "x", "x.yaml")
    assert (found.kind, found.names, found.match.globs) == ("v.com/x", ["{a}"], ["/sys/class/x/*"])


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(schema())


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_ours_are_good(path: object) -> None:
    """Which is why they are not checked again at each start."""
    from pathlib import Path

    assert isinstance(path, Path)
    found = parse(path.read_text("utf-8"), path.stem, str(path))
    assert found.summary


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("nodes:", "node:", "x.yaml:6: node: is not a known key (did you mean nodes?)"),
        (
            "{sysfs: /sys/class/x/*}",
            "{sysfs: /sys/x, atr: {}}",
            "x.yaml:3: match.atr: is not a known key (did you mean attr?)",
        ),
        ("{name: .}", "{name: ., unless: x}", "x.yaml:4: values.a.unless: is not a known key"),
        ("recipe: 1", "recipe: 2", "x.yaml:1: recipe: is 2, not the version of this format: 1"),
        ("recipe: 1\n", "", "x.yaml:1: recipe is missing"),
        ("v.com/x", "vcom", "x.yaml:2: kind: is 'vcom', not VENDOR/CLASS"),
        ("v.com/x", "1v/x", "x.yaml:2: kind: vendor '1v' does not begin with a letter"),
        ("{sysfs: /sys/class/x/*}", "{have: x}", "x.yaml:3: match: needs sysfs or path"),
        ("/sys/class/x/*", "class/x/*", "x.yaml:3: match.sysfs: is 'class/x/*', not an absolute path"),
        ("nodes: [.]\n", "", "x.yaml:1: nodes or netDevices is missing: a device needs one of them"),
        ("nodes: [.]", "nodes: [{also: /dev/x}]", "x.yaml:6: nodes[0]: needs sysfs or path, and not both"),
        (
            "nodes: [.]",
            "nodes: [{path: /dev/x, permissions: rx}]",
            "x.yaml:6: nodes[0].permissions: is 'rx', not r, w and m",
        ),
        ('["{a}"]', '["{b}"]', "x.yaml:5: names: there is no value 'b'; there are a, index"),
        ("nodes: [.]", 'nodes: ["/dev/{c}"]', "x.yaml:6: nodes: there is no value 'c'; there are a, index"),
        ("{name: .}", "{name: ., read: x}", "x.yaml:4: values.a: needs one of read, link, name, number, up, find"),
        ("{name: .}", "{find: /x, where: y z}", "x.yaml:4: values.a: find needs where and field"),
        ("{name: .}", '{read: "{z}"}', "x.yaml:4: values.a: there is no value 'z' before it"),
        ("{name: .}", "{name: true}", "x.yaml:4: values.a: `name: true` goes with up, and only with it"),
        ("a: {", "Index: {", "x.yaml:4: values: is 'Index', not a word of small letters"),
        ("kind: v.com/x", "kind: [v", "x.yaml:3: "),
        ("recipe: 1", "recipe: 1\nenv: [A]", "x.yaml:2: env[0]: is 'A', not NAME=VALUE"),
        ("recipe: 1", "recipe: 1\nrecipe: 1", "x.yaml:2: recipe is given twice"),
        ("{name: .}", "{name: ., name: ..}", "x.yaml:4: name is given twice"),
        ("recipe: 1", "recipe: 1\norder: &a [*a]", "x.yaml: order[0]: is [[...]], not a text"),
        ("recipe: 1", "recipe: 1\n? [a]\n: b", "x.yaml"),
        ("recipe: 1", "recipe: 1\norder: [b]", "x.yaml:2: order: there is no value 'b'"),
    ],
)
def test_a_broken_one_is_one_line(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(InvalidRecipe) as fault:
        parse(GOOD.replace(old, new), "x", "x.yaml")
    assert str(fault.value).startswith(message)
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize("text", ["", "x", "[]", "a: 1\n---\nb: 2"])
def test_what_is_no_mapping_is_no_recipe(text: str) -> None:
    with pytest.raises(InvalidRecipe):
        parse(text, "x", "x.yaml")


def kind_or_fault(text: str) -> str:
    try:
        return parse(text, "x", "x.yaml").kind
    except InvalidRecipe as fault:
        return str(fault)


def test_a_text_that_only_one_parser_of_yaml_takes_is_no_traceback() -> None:
    """libyaml skips a byte order mark, wherever it is; the parser in Python takes it for a letter."""
    assert "\n" not in kind_or_fault(GOOD + "\ufeff")
