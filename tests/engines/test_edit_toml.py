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
        ("[t]\n  a = 1\n", ("t", "b"), 2, "[t]\n  a = 1\nb = 2\n"),
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
