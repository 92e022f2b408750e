"""What is kept beside the config of an LXC container: whose files are read, and what is never written to."""

import os
from pathlib import Path
from typing import Any

import pytest

from cdi_runc import Registry
from cdi_runc.ctl import beside
from cdi_runc.host.known import SpecFiles
from cdi_runc.host.settings import read

ASKS = "lxc.environment = CDI_DEVICES=vendor.com/gpu=0\n"
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


@pytest.fixture
def known(spec_dir: Path, tmp_path: Path) -> SpecFiles:
    """The devices of spec_dir, without a policy."""
    (tmp_path / "config.yaml").write_text("")
    settings = read(str(tmp_path / "config.yaml"))
    rules: Any = {"fault": "", "rules": []}
    return SpecFiles(Registry([str(spec_dir)]), settings | {"policy": rules}, str(tmp_path / "config.yaml"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A container that asks."""
    home = tmp_path / "lxc/c"
    home.mkdir(parents=True)
    (home / "config").write_text(ASKS)
    (home / "config").chmod(0o640)
    return home


def test_the_file_is_written_once(home: Path, known: SpecFiles) -> None:
    found = beside.look("c", str(home), known)
    assert (found.fault, beside.write(found)) == ("", "written")
    before = (home / "cdi.conf").stat()
    assert "lxc.environment = GPU0=yes\n" in (home / "cdi.conf").read_text()
    assert beside.write(beside.look("c", str(home), known)) == "unchanged"
    assert (home / "cdi.conf").stat().st_ino == before.st_ino
    assert sorted(path.name for path in home.iterdir()) == ["cdi.conf", "config"]


@pytest.mark.parametrize("line", ["", "/", "/cdi.conf"])
def test_the_line_that_is_missing(home: Path, known: SpecFiles, line: str) -> None:
    assert beside.look("c", str(home), known).missing_line == f"lxc.include = {home}"
    (home / "config").write_text(f"{ASKS}lxc.include = {home}{line}\n")
    assert beside.look("c", str(home), known).missing_line == ""


def test_what_is_asked_for_no_more_leaves_an_empty_file(home: Path, known: SpecFiles) -> None:
    """LXC would not even show a container whose config includes a file that is gone."""
    (home / "config").write_text("")
    assert beside.write(beside.look("c", str(home), known)) == "none"
    assert not (home / "cdi.conf").exists()
    (home / "cdi.conf").write_text("lxc.environment = A=b\n")
    assert beside.write(beside.look("c", str(home), known)) == "emptied"
    assert (home / "cdi.conf").read_text() == ""


def test_a_device_that_is_refused_leaves_no_rights(home: Path, known: SpecFiles) -> None:
    (home / "cdi.conf").write_text("lxc.cgroup2.devices.allow = c 1:3 rwm\n")
    (home / "config").write_text("lxc.environment = CDI_DEVICES=vendor.com/gpu=7\n")
    found = beside.look("c", str(home), known)
    assert "vendor.com/gpu=7" in found.fault
    assert beside.write(found) == "emptied"


def test_a_link_in_the_files_place_is_replaced_and_not_followed(home: Path, known: SpecFiles, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    (home / "cdi.conf").symlink_to(theirs)
    assert beside.write(beside.look("c", str(home), known)) == "written"
    assert theirs.read_text() == "theirs"
    assert not (home / "cdi.conf").is_symlink()


def test_a_config_or_directory_that_is_a_link_is_left_alone(home: Path, known: SpecFiles, tmp_path: Path) -> None:
    (tmp_path / "lxc/link").symlink_to(home)
    found = beside.look("link", str(tmp_path / "lxc/link"), known)
    assert found.fault == f"{tmp_path}/lxc/link is not a directory, or is a link"
    assert beside.write(found) == "none"
    (home / "config").rename(tmp_path / "config")
    (home / "config").symlink_to(tmp_path / "config")
    assert beside.look("c", str(home), known).fault == f"{home}/config is not a file, or is a link"


@pytest.mark.parametrize("which", ["", "config"])
def test_what_others_may_write_is_left_alone(home: Path, known: SpecFiles, which: str) -> None:
    path = home / which
    path.chmod(path.stat().st_mode | 0o002)
    found = beside.look("c", str(home), known)
    assert found.fault.startswith(f"others than root may write {path} (chown root")
    assert beside.write(found) == "none"


@root
@pytest.mark.parametrize(
    ("owner", "lines", "trusted"),
    [
        (0, "", True),
        (100000, "lxc.idmap = u 0 100000 65536\n", True),  # as lxc-create makes it
        (100000, "", False),
        (100001, "lxc.idmap = u 0 100000 65536\n", False),
    ],
)
def test_whose_directory_it_may_be(home: Path, known: SpecFiles, owner: int, lines: str, trusted: bool) -> None:
    (home / "config").write_text(ASKS + lines)
    os.chown(home, owner, owner)
    home.chmod(0o770)
    found = beside.look("c", str(home), known)
    assert (found.fault == "") == trusted
    assert beside.write(found) == ("written" if trusted else "none")


@root
def test_the_config_must_be_roots(home: Path, known: SpecFiles) -> None:
    (home / "config").write_text(ASKS + "lxc.idmap = u 0 100000 65536\n")
    os.chown(home / "config", 100000, 100000)
    assert beside.look("c", str(home), known).fault.startswith(f"others than root may write {home}/config")
