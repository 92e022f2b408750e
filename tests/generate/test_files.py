import os
from pathlib import Path

import pytest

from cdi_runc.generate.files import Step, file_name, steps, take
from tests.files import write_of
from tests.generate.fixture_trees import grow, made, plant
from tests.generate.test_specs import a_usb_device

USB = file_name("host.local/usb")


def planned(root: Path, directory: Path, *others: Path, words: tuple[str, ...] = ("usb",)) -> list[Step]:
    return steps(made(root, *words), str(directory), [str(other) for other in others], others_too=not words)


def written(root: Path, directory: Path) -> list[str]:
    done = planned(root, directory)
    for step in done:
        take(step)
    return [step.action for step in done]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host with a USB device."""
    return grow(tmp_path / "root", a_usb_device("1-1", 1))


def test_a_file_is_written_once(root: Path, tmp_path: Path) -> None:
    directory = tmp_path / "not" / "there"
    assert written(root, directory) == ["write"]
    before = write_of(directory / USB)
    assert written(root, directory) == ["equal"]
    assert write_of(directory / USB) == before
    assert [path.name for path in directory.iterdir()] == [USB]


def test_the_file_goes_with_the_last_device(root: Path, tmp_path: Path) -> None:
    written(root, tmp_path / "cdi")
    (root / "dev/bus/usb/001/001").unlink()
    [step] = planned(root, tmp_path / "cdi")
    assert (step.action, step.reason) == ("remove", "no device is left")
    take(step)
    assert list((tmp_path / "cdi").iterdir()) == []


def test_a_recipe_that_is_off_takes_its_file_along(root: Path, tmp_path: Path) -> None:
    written(root, tmp_path / "cdi")
    grow(root, ["/etc/cdi-runc/recipes.d/usb.yaml"])
    [step] = planned(root, tmp_path / "cdi", words=())
    assert (step.action, step.kind, step.reason) == ("remove", "host.local/usb", "no recipe in use makes it")


def test_another_recipes_file_stays_where_one_is_named(root: Path, tmp_path: Path) -> None:
    written(root, tmp_path / "cdi")
    assert planned(root, tmp_path / "cdi", words=("kvm",)) == []


@pytest.mark.parametrize("text", ["kind: host.local/usb", "", "{}"])
def test_a_foreign_file_of_our_name_is_refused(root: Path, tmp_path: Path, text: str) -> None:
    grow(tmp_path, ["/cdi/"])
    (tmp_path / "cdi" / USB).write_text(text)
    [step] = planned(root, tmp_path / "cdi")
    assert step.action == "refuse"
    take(step)
    assert (tmp_path / "cdi" / USB).read_text() == text


def test_a_pipe_of_our_name_is_refused(root: Path, tmp_path: Path) -> None:
    grow(tmp_path, ["/cdi/"])
    os.mkfifo(tmp_path / "cdi" / USB)
    [step] = planned(root, tmp_path / "cdi")
    assert step.action == "refuse"


@pytest.mark.parametrize(
    "text",
    [
        "cdiVersion: 0.5.0\nkind: host.local/usb\ndevices: []\n",
        '{"cdiVersion": "0.5.0", "Kind": "host.local\\/usb"}',
        '{"cdiVersion": "0.5.0", "kind": "host.local\\u002fusb"}',
        "kind: host.local/usb\n---\nkind: host.local/other\n",
        "kind: host.local/usb\n---\n{",
        "\ufeffkind: host.local/usb\n",
    ],
)
def test_another_file_of_the_kind_wins(root: Path, tmp_path: Path, text: str) -> None:
    written(root, tmp_path / "run")
    grow(tmp_path, ["/etc/"])
    (tmp_path / "etc" / "usb.json").write_text(text)
    [step] = planned(root, tmp_path / "run", tmp_path / "etc")
    assert (step.action, step.reason) == ("remove", f"{tmp_path}/etc/usb.json has this kind")
    take(step)
    [step] = planned(root, tmp_path / "run", tmp_path / "etc")
    assert step.action == "leave"


def test_a_file_that_only_mentions_the_kind_does_not(root: Path, tmp_path: Path) -> None:
    grow(tmp_path, ["/etc/"])
    (tmp_path / "etc" / "v.yaml").write_text("# like host.local/usb\nkind: v.com/usb\n")
    [step] = planned(root, tmp_path / "run", tmp_path / "etc")
    assert step.action == "write"


def test_two_kinds_with_one_file_name(tmp_path: Path) -> None:
    """`a-b/c` and `a/b-c`: the second is refused, and the first is not written over."""
    recipe = "recipe: 1\\nkind: {}\\nmatch: {{path: /dev/kvm}}\\nnames: [x]\\nnodes: [/dev/kvm]"
    directory = "/etc/cdi-runc/recipes.d"
    root = grow(
        tmp_path / "root",
        [
            "/dev/kvm",
            *(f"{directory}/{name}.yaml = {recipe.format(kind)}" for name, kind in (("1", "a-b/c"), ("2", "a/b-c"))),
        ],
    )
    found = [step for step in planned(root, tmp_path / "cdi", words=()) if step.kind != "host.local/kvm"]
    assert [(step.kind, step.action) for step in found] == [("a-b/c", "write"), ("a/b-c", "refuse")]


def test_a_directory_that_cannot_be_written_stops_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    [step] = planned(grow(tmp_path / "root", a_usb_device("1-1", 1)), tmp_path / "file")
    with pytest.raises(OSError, match="file"):
        take(step)


def test_a_file_for_an_override_stays(tmp_path: Path) -> None:
    """Who named the recipe once, against the vendor's generator, has it kept up to date."""
    from cdi_runc.generate.collection import recipes
    from cdi_runc.generate.files import has_file_of_ours
    from cdi_runc.generate.specs import chosen
    from cdi_runc.generate.tree import Tree

    root = grow(plant(tmp_path / "root", "nvidia-gpu"), ["/usr/bin/nvidia-ctk"])
    tree, directory = Tree(str(root)), str(tmp_path / "cdi")

    def kept(kind: str) -> bool:
        return has_file_of_ours(kind, directory)

    assert "nvidia-gpu" in chosen(recipes(tree), (), tree, kept)[1]
    for step in steps(made(root, "nvidia-gpu"), directory, []):
        take(step)
    assert "nvidia-gpu" not in chosen(recipes(tree), (), tree, kept)[1]
