import json
from pathlib import Path

from click.testing import CliRunner, Result

from cdi_runc.ctl import main
from cdi_runc.generate.collection import shipped
from tests.generate.fixture_trees import grow
from tests.generate.test_recipe import GOOD


def recipes(*args: str | Path) -> Result:
    return CliRunner().invoke(main, ["recipes", *map(str, args)], catch_exceptions=False)


def test_all_are_listed() -> None:
    done = recipes()
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == len(shipped()) + 1
    assert "kvm              host.local/kvm           Virtual machines by KVM\n" in done.stdout


def test_what_is_not_used_is_said(tmp_path: Path) -> None:
    root = grow(
        tmp_path, ["/usr/bin/amd-ctk", "/etc/cdi-runc/recipes.d/kvm.yaml", "/etc/cdi-runc/recipes.d/x.yaml = a"]
    )
    rows = {row["name"]: row for row in json.loads(recipes("list", "--root", root, "-o", "json").stdout)["recipes"]}
    assert rows["amd-gpu"]["unused"] == "the vendor's own generator is installed: /usr/bin/amd-ctk"
    assert rows["kvm"]["unused"] == f"{root}/etc/cdi-runc/recipes.d/kvm.yaml is empty, which turns it off"
    assert rows["x"]["unused"].endswith("x.yaml:1: is 'a', not a mapping of keys (docs/generate.md)")
    assert rows["tun"]["unused"] == ""


def test_one_is_shown() -> None:
    [path] = [path for path in shipped() if path.stem == "kvm"]
    assert recipes("show", "kvm").stdout == f"# {path}\n{path.read_text()}"
    message = "there is no recipe 'watchdoc'; did you mean watchdog? (cdictl recipes lists them)"
    assert recipes("show", "watchdoc").stderr == f"cdictl: {message}\n"


def test_one_that_is_off_says_where(tmp_path: Path) -> None:
    root = grow(tmp_path, ["/etc/cdi-runc/recipes.d/kvm.yaml"])
    done = recipes("show", "kvm", "--root", root)
    assert done.stderr == f"cdictl: the recipe kvm is off: {root}/etc/cdi-runc/recipes.d/kvm.yaml is empty\n"


def test_a_root_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = recipes("list", "--root", tmp_path / "x")
    assert (done.exit_code, done.stderr) == (1, f"cdictl: {tmp_path}/x: there is no such directory\n")


def test_files_are_checked(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(GOOD.replace("nodes", "node"))
    done = recipes("check", tmp_path / "good.yaml", tmp_path / "bad.yaml")
    assert done.exit_code == 1
    assert done.stdout == f"{tmp_path}/good.yaml: a recipe for v.com/x\n"
    assert done.stderr == f"cdictl: {tmp_path}/bad.yaml:6: node: is not a known key (did you mean nodes?)\n"
    assert recipes("check", tmp_path / "good.yaml").exit_code == 0


def test_all_files_are_checked_whatever_they_are(tmp_path: Path) -> None:
    (tmp_path / "off.yaml").write_text("# not here\n")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff")
    (tmp_path / "list.yaml").write_text("[]")
    names = ["none.yaml", ".", "bytes.yaml", "list.yaml", "off.yaml"]
    done = recipes("check", *(tmp_path / name for name in names))
    assert done.exit_code == 1
    assert done.stdout == f"{tmp_path}/off.yaml: empty, so the recipe off is off\n"
    assert done.stderr.replace(str(tmp_path), "DIR").splitlines() == [
        "cdictl: DIR/none.yaml: No such file or directory",
        "cdictl: DIR: Is a directory",
        "cdictl: DIR/bytes.yaml is not UTF-8",
        "cdictl: DIR/list.yaml:1: is [], not a mapping of keys (docs/generate.md)",
    ]


def test_rules_have_the_hosts_recipes_too(tmp_path: Path) -> None:
    root = grow(tmp_path, ["/etc/cdi-runc/recipes.d/x.yaml = " + GOOD.replace("\n", "\\n")])
    assert 'SUBSYSTEM=="x"' in recipes("udev-rules", "--root", root).stdout
    assert 'SUBSYSTEM=="x"' not in recipes("udev-rules", "--shipped").stdout
