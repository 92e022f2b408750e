"""Damaged, missing, foreign and old frozen code stops no start, and the next one finds it mended."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cdi_runc.shim.start import freeze
from tests.shim.conftest import executable, shell

# The few lines in which the launcher reads frozen code.
TEXT = (freeze.START / "launcher.sh").read_text()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A library of its own below `lib`, and a launcher for it that says its version."""
    shutil.copytree(freeze.LIB / "cdi_runc", tmp_path / "lib/cdi_runc", ignore=shutil.ignore_patterns("__pycache__"))
    python = Path(sys.executable).resolve()
    paths = {"python": python, "full": python, "lib": tmp_path / "lib"}
    text = TEXT
    for variable, path in paths.items():
        text = text.replace(f"_cdi_{variable}=''", f"_cdi_{variable}='{path}'", 1)
    executable(tmp_path / "cdi-runc", text)
    if not (python.parent / f"python3.{sys.version_info.minor}").exists():
        pytest.skip(f"no python3.{sys.version_info.minor} beside {python}")
    return tmp_path


def start(tree: Path, **environ: str) -> str:
    """What `cdi-runc --cdi-version` says."""
    command = [*shell("dash"), str(tree / "cdi-runc"), "--cdi-version"]
    environ = {"PATH": "/usr/bin:/bin", **environ}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def frozen(tree: Path) -> Path:
    return tree / "lib/cdi_runc/shim/start/__pycache__" / freeze.frozen_path().name


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def cut_in_the_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:7])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def fill_with_zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def another_text_in_the_code(path: Path) -> None:
    """What marshal takes for good code, which does something else."""
    path.write_bytes(path.read_bytes().replace(b"cdi-runc ", b"cdi-rump "))


def of_another_build(path: Path) -> None:
    path.write_bytes(b"\x01\x02\r\n" + path.read_bytes()[4:])


def leads_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("/nowhere")


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE = [
    truncate,
    cut_in_the_header,
    empty,
    fill_with_zeros,
    another_text_in_the_code,
    of_another_build,
    leads_nowhere,
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_frozen_code_is_mended(tree: Path, damage: Callable[[Path], None]) -> None:
    assert start(tree) == "cdi-runc 0.1.0\n"
    good = frozen(tree).read_bytes()
    damage(frozen(tree))
    assert start(tree) == "cdi-runc 0.1.0\n"
    assert len(frozen(tree).read_bytes()) == len(good)
    inode = frozen(tree).stat().st_ino
    assert start(tree) == "cdi-runc 0.1.0\n"
    assert frozen(tree).stat().st_ino == inode


def test_frozen_code_that_cannot_be_mended_stops_nothing(tree: Path) -> None:
    start(tree)
    directory(frozen(tree))
    assert start(tree) == "cdi-runc 0.1.0\n"


def test_frozen_code_that_is_removed_after_the_launcher_saw_it_stops_nothing(tree: Path) -> None:
    start(tree)
    thaw = re.search(r"^_cdi_thaw='(.*?)'$", TEXT, re.MULTILINE | re.DOTALL)
    assert thaw
    frozen(tree).unlink()
    command = [sys.executable, "-I", "-S", "-X", "utf8", "-c", thaw[1], str(frozen(tree))]
    done = subprocess.run(
        [*command, sys.executable, "/x/cdi-runc", *[""] * 5, "--cdi-version"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("cdi-runc 0.1.0\n", "")


def started_from_boot(tree: Path) -> bool:
    """Whether a start needs boot.py, which is broken for that time."""
    boot = tree / "lib/cdi_runc/shim/start/boot.py"
    text = boot.read_text()
    boot.write_text("import posix\nposix.write(1, b'boot.py\\n')\nposix._exit(0)\n")
    try:
        return start(tree) == "boot.py\n"
    finally:
        boot.write_text(text)


@pytest.mark.parametrize("normalised", [0, 1])
def test_times_that_an_image_normalised_say_nothing(tree: Path, normalised: int) -> None:
    start(tree)
    sources = list((tree / "lib/cdi_runc").rglob("*.py"))
    for path in sources:
        os.utime(path, (normalised, normalised))
    assert not started_from_boot(tree)
    launch = tree / "lib/cdi_runc/shim/launch.py"
    launch.write_text(launch.read_text() + "\n")
    os.utime(launch, (normalised, normalised))
    assert started_from_boot(tree)


def test_the_sources_of_an_installation_are_not_looked_at(tree: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(tree / 'lib')!r}); from cdi_runc.shim.start.freeze import freeze"
    subprocess.run([sys.executable, "-I", "-c", f"{code}; freeze(checked=False)"], check=True, timeout=60)
    launch = tree / "lib/cdi_runc/shim/launch.py"
    launch.write_text(launch.read_text() + "\n")
    assert not started_from_boot(tree)


def test_a_full_disk_is_left_as_it_was(tree: Path) -> None:
    full = tree / "lib/cdi_runc/shim/start/__pycache__"
    full.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "full", str(full)], capture_output=True, timeout=60
    )
    if mounted.returncode != 0:
        pytest.skip("a small file system needs root")
    try:
        assert [start(tree), start(tree)] == ["cdi-runc 0.1.0\n"] * 2
        assert [path.name for path in full.iterdir() if not path.name.endswith(".pyc")] == []
        assert not frozen(tree).exists()
    finally:
        subprocess.run(["umount", str(full)], check=True, timeout=60)


def test_everybody_may_read_the_byte_code_that_root_leaves(tree: Path) -> None:
    command = ["sh", "-c", 'umask 077; "$@"', "sh", str(tree / "cdi-runc"), "--cdi-version"]
    subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=True, timeout=60)
    for path in (tree / "lib").rglob("__pycache__"):
        assert path.stat().st_mode & 0o077 == 0o055, path
    assert frozen(tree).stat().st_mode & 0o777 == 0o644


def test_a_module_that_is_missing_is_told_in_one_line(tree: Path) -> None:
    (tree / "lib/cdi_runc/shim/cmdline.py").unlink()
    done = subprocess.run([str(tree / "cdi-runc"), "--cdi-version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("cdi-runc: its library is not complete (No module named")
    assert done.stderr.count("\n") == 1


OLD = [f"3.{minor}" for minor in (6, 7, 8, 9)]


def old_python(version: str) -> str:
    """A Python of that version, from PATH or pyenv."""
    found = shutil.which(f"python{version}")
    for path in [*([found] if found else []), *map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python3"))]:
        done = subprocess.run(
            [path, "-c", "import sys; print(sys.version)"], capture_output=True, text=True, timeout=60
        )
        if done.returncode == 0 and done.stdout.startswith(f"{version}."):
            return path
    pytest.skip(f"Python {version} is not here")


@pytest.mark.parametrize("version", OLD)
def test_a_python_that_is_too_old_hands_over_to_the_one_of_the_installation(tree: Path, version: str) -> None:
    launcher = tree / "cdi-runc"
    text = launcher.read_text()
    full = Path(sys.executable).resolve()
    launcher.write_text(text.replace(f"_cdi_python='{full}'", f"_cdi_python='{old_python(version)}'"))
    assert start(tree, NAME="b\udce9") == "cdi-runc 0.1.0\n"
    assert frozen(tree).exists()
    assert not started_from_boot(tree)  # from now on, the newer one is started at once


@pytest.mark.parametrize("version", OLD)
@pytest.mark.parametrize("full", ["the same", "/nowhere"])
def test_only_old_pythons_are_told_in_one_line(tree: Path, version: str, full: str) -> None:
    old = old_python(version)
    boot = [old, "-I", "-S", "-X", "utf8", str(tree / "lib/cdi_runc/shim/start/boot.py")]
    arguments = [old if full == "the same" else full, "/x/cdi-runc", *[""] * 5, "--cdi-version"]
    done = subprocess.run([*boot, *arguments], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(rf"cdi-runc: \S+ is Python {version}, and 3\.10 or newer is needed: .*\n", done.stderr)
