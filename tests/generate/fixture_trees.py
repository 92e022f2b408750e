"""Fixture trees: what a host's /sys, /proc and /dev have, one file for each recipe, with the expected specs beside it.

A line is `PATH` (an empty file), `PATH = TEXT` (with \\n for a line break), `PATH -> TARGET` or `PATH/`; `#` begins a
comment, of which the first names the source. `python -m tests.generate.fixture_trees` writes the expected specs anew.
"""

from collections.abc import Iterable
from pathlib import Path

from cdi_runc.generate.collection import recipes
from cdi_runc.generate.specs import Generated, chosen, generated
from cdi_runc.generate.text import document
from cdi_runc.generate.tree import Tree

TREES = Path(__file__).with_name("trees")
NAMES = sorted(path.stem for path in TREES.glob("*.tree"))
EVERYTHING = "everything"  # the name of the expected specs of all trees together


def plant(root: Path, *names: str) -> Path:
    """Make the files of some trees below a root."""
    for name in names:
        grow(root, (TREES / f"{name}.tree").read_text("utf-8").splitlines())
    return root


def grow(root: Path, lines: Iterable[str]) -> Path:
    """Make files below a root, a line each."""
    for line in lines:
        if line and not line.startswith("#"):
            _make(root, line)
    return root


def _make(root: Path, line: str) -> None:
    path, arrow, target = line.partition(" -> ")
    name, _, text = path.partition(" = ")
    place = root / name.strip("/")
    if name.endswith("/"):
        place.mkdir(parents=True, exist_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if arrow:
        place.symlink_to(target)
    else:
        place.write_text(text.replace("\\n", "\n") + "\n" * bool(text), "utf-8")


def made(root: Path, *words: str) -> list[Generated]:
    """What our recipes make of a tree."""
    tree = Tree(str(root))
    return generated(chosen(recipes(tree), words, tree)[0], tree)


def expected_text(root: Path) -> str:
    """The specs of a tree with what is said about it, as the file beside it has them."""
    found = made(root)
    notes = [f"# {note}\n" for one in found for note in one.notes]
    return "".join([*notes, *(document(one.spec) for one in found if one.spec)])


def main() -> None:
    """Write the expected specs of all trees."""
    import tempfile

    for name in (*NAMES, EVERYTHING):
        with tempfile.TemporaryDirectory() as directory:
            root = plant(Path(directory), *(NAMES if name == EVERYTHING else [name]))
            (TREES / f"{name}.yaml").write_text(expected_text(root), "utf-8")


if __name__ == "__main__":
    main()
