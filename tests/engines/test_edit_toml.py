import pytest

from cdi_runc.engines import edit_toml
from cdi_runc.engines.engine import EngineError, Value

CRI = ("plugins", "io.containerd.grpc.v1.cri", "containerd")
HANDLER: dict[str, Value] = {"runtime_type": "io.containerd.runc.v2", "options": {"SystemdCgroup": True}}


@pytest.mark.parametrize(
    "before",
    [
        "",
        "# only a comment\n",
        "version = 2 # two\n\n[grpc]\n  address = '/run/x'\n",
        '[plugins]\n  [plugins."io.containerd.grpc.v1.cri"]\n    sandbox_image = "x" # keep\n\n[grpc]\n',
        '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]\n  runtime_type = "x"\n\n[z]\na = 1_000\n',
        'plugins."io.containerd.grpc.v1.cri".containerd.snapshotter = "native"\n',
        '[plugins]\n"io.containerd.grpc.v1.cri" = {containerd = {runtimes = {}}}\n',
    ],
)
def test_a_table_is_put_and_all_else_stays(before: str) -> None:
    after = edit_toml.put(before, (*CRI, "runtimes", "cdi-runc"), HANDLER)
    was, now = edit_toml.parse(before), edit_toml.parse(after)
    at: object = now
    for key in (*CRI, "runtimes"):
        assert isinstance(at, dict)
        at = at[key]
    assert isinstance(at, dict)
    assert at["cdi-runc"] == HANDLER
    assert {key: now[key] for key in was if key != "plugins"} == {key: was[key] for key in was if key != "plugins"}
    kept = [line for line in before.splitlines() if "{}" not in line]
    assert [line for line in after.splitlines() if line in kept and line] == [line for line in kept if line]


@pytest.mark.parametrize(
    ("before", "keys", "value", "after"),
    [
        ('a = "x" # why\n', ("a",), "y", 'a = "y" # why\n'),
        ("[t]\n  a = 1\n", ("t", "b"), 2, "[t]\n  a = 1\n  b = 2\n"),
        ("[t]\n", ("u", "b"), [1], "[t]\n\n[u]\nb = [1]\n"),
    ],
)
def test_a_plain_value_is_put(before: str, keys: tuple[str, ...], value: Value, after: str) -> None:
    assert edit_toml.put(before, keys, value) == after


@pytest.mark.parametrize(
    ("before", "keys", "after"),
    [
        ("a = 1\nb = 2 # two\n", ("a",), "b = 2 # two\n"),
        ("[t]\na = 1\n[t.u]\nb = 1\n", ("t", "u"), "[t]\na = 1\n"),
        ("a = 1\n", ("b",), "a = 1\n"),
        ("a = 1\n", ("a", "b"), "a = 1\n"),
    ],
)
def test_a_value_is_taken_out(before: str, keys: tuple[str, ...], after: str) -> None:
    assert edit_toml.remove(before, keys) == after


@pytest.mark.parametrize("text", ["a = \n", "[a\n", "a = 1\na = 2\n"])
def test_what_is_broken_is_named_with_its_line(text: str) -> None:
    with pytest.raises(EngineError, match=r"^line \d+, column \d+: |^Key"):
        edit_toml.parse(text)


def test_a_value_in_the_way_is_named() -> None:
    with pytest.raises(EngineError, match="'engine' must be a table"):
        edit_toml.put("engine = 1\n", ("engine", "runtimes", "x"), ["/x"])


KIND = "[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.kata]\n  runtime_type = \"io.containerd.kata.v2\"\n"

# What people and tools write: comments anywhere, tables in any order, dotted keys, arrays of tables, odd values.
LAYOUTS = {
    "comments": "# top\nversion = 2 # two\n\n# about grpc\n[grpc]\n  address = '/x' # there\n\n# the end\n",
    "a child before its parent": f"version = 2\n{KIND}\n[plugins]\n# after\n[grpc]\n",
    "tables apart": f"{KIND}[grpc]\na = 1\n[plugins.'io.containerd.grpc.v1.cri']\nb = 2 # b\n[debug]\n",
    "dotted": "plugins.'io.containerd.grpc.v1.cri'.containerd.snapshotter = 'native'\nversion = 2\n\n[grpc]\na = 1\n",
    "dotted in a table": "[plugins]\n  'io.containerd.grpc.v1.cri'.containerd.snapshotter = 'x'\n  # end\n[grpc]\n",
    "arrays of tables": "[[stream]]\na = 1\n[stream.b]\nc = 2\n[[stream]]\na = 3\n",
    "values on many lines": 'a = [\n  "x", # one\n  "]",\n]\nb = """\n[c]\nd = 1 # no\n"""\n'
    "e = '''\n[f]'''\n[g]\nh = {i = \"}\", j = [1]}\n",
    "no end of line": "version = 2\n[grpc]\na = 1",
    "nothing": "",
}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("before", LAYOUTS.values(), ids=LAYOUTS)
def test_a_table_comes_and_goes_and_every_byte_is_as_before(before: str, end: str) -> None:
    before = before.replace("\n", end)
    keys = (*CRI, "runtimes", "cdi-runc")
    after = edit_toml.put(before, keys, HANDLER)
    assert after != before
    assert "\n" not in after.replace("\r\n", "") or end not in before or end == "\n"
    rest = edit_toml.remove(after, keys)
    assert rest.removesuffix(end) == before.removesuffix(end)


@pytest.mark.parametrize("before", LAYOUTS.values(), ids=LAYOUTS)
def test_comments_that_come_later_stay_wherever_they_are(before: str) -> None:
    keys = (*CRI, "runtimes", "cdi-runc")
    after = edit_toml.put(before, keys, HANDLER)
    lines = after.splitlines(keepends=True)
    for place in range(len(lines) + 1):
        head = "".join(lines[:place])
        commented = (head if head.endswith("\n") or not head else head + "\n") + "# mine\n" + "".join(lines[place:])
        if edit_toml.parse(commented) != edit_toml.parse(after):
            continue  # inside of a text
        rest = edit_toml.remove(commented, keys)
        assert "# mine\n" in rest
        left = [line for line in rest.splitlines() if line not in ("# mine", "")]
        assert left == [line for line in before.splitlines() if line]


def test_a_new_value_is_put_beside_dotted_keys() -> None:
    before = "[plugins]\n  a.b.c = 1\n[z]\n"
    after = '[plugins]\n  a.b.c = 1\n  a.b.d = {x = 1, y = ["z"]}\n[z]\n'
    assert edit_toml.put(before, ("plugins", "a", "b", "d"), {"x": 1, "y": ["z"]}) == after
    assert edit_toml.remove(after, ("plugins", "a", "b", "d")) == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('imports = ["/a"]\n', 'imports = ["/a", "/x"]\n'),
        ('imports = [\n  "/a", # a\n  "/b" # b\n]\n', 'imports = [\n  "/a", # a\n  "/b", "/x" # b\n]\n'),
        ("imports = []\n", 'imports = ["/x"]\n'),
    ],
)
def test_an_item_is_put_and_taken_out_and_the_rest_of_the_list_stays(before: str, after: str) -> None:
    old = edit_toml.parse(before)["imports"]
    assert isinstance(old, list)
    assert edit_toml.put(before, ("imports",), [*old, "/x"]) == after
    assert edit_toml.put(after, ("imports",), old) == before


@pytest.mark.parametrize(
    ("item", "after"),
    [
        ("/a", 'imports = [\n  "/b", # b\n  "/c",\n]\n'),
        ("/b", 'imports = [\n  "/a", # a\n  # b\n  "/c",\n]\n'),
        ("/c", 'imports = [\n  "/a", # a\n  "/b", # b\n  \n]\n'),
    ],
)
def test_an_item_leaves_the_comments_of_others(item: str, after: str) -> None:
    before = 'imports = [\n  "/a", # a\n  "/b", # b\n  "/c",\n]\n'
    rest = edit_toml.put(before, ("imports",), [path for path in ("/a", "/b", "/c") if path != item])
    assert edit_toml.parse(rest) == edit_toml.parse(after)
    assert all(comment in rest for comment in ("# b",))
