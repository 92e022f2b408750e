from pathlib import Path

import pytest

from cdi_runc.shim.lxc.config import LxcConfig


def read(tmp_path: Path, text: str) -> LxcConfig:
    path = tmp_path / "config"
    path.write_text(text)
    return LxcConfig(str(path))


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        ("lxc.environment = A=b c\n", {"A": "b c"}),
        ('lxc.environment = "A=b  "\n', {"A": "b  "}),
        ("  lxc.environment=A=b=c  \n", {"A": "b=c"}),
        ("# lxc.environment = A=b\n", {}),
        ("lxc.environment = A=1\nlxc.environment = A=2\n", {"A": "2"}),
        ("lxc.environment = A=1\nlxc.environment =\nlxc.environment = B=2\n", {"B": "2"}),
        ("no line of LXC's\nlxc.environment\n", {}),
    ],
)
def test_variables(tmp_path: Path, text: str, environment: dict[str, str]) -> None:
    assert read(tmp_path, text).environment == environment


def test_what_is_given_twice_is_known(tmp_path: Path) -> None:
    assert read(tmp_path, "lxc.environment = A=1\nlxc.environment = A=2\n").repeated == {"A"}


@pytest.mark.parametrize(
    ("text", "mapped", "root"),
    [
        ("", False, 0),
        ("lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 200000 65536\n", True, 100000),
        ("lxc.idmap = u 1 100000 10\nlxc.idmap = b 0 7 1\n", True, 7),
        ("lxc.idmap = u 0 100000 65536\nlxc.idmap =\n", False, 100000),
    ],
)
def test_the_id_map(tmp_path: Path, text: str, mapped: bool, root: int) -> None:
    config = read(tmp_path, text)
    assert (config.mapped, config.root) == (mapped, root)


def test_included_files_and_directories(tmp_path: Path) -> None:
    directory = tmp_path / "conf.d"
    directory.mkdir()
    (directory / "a.conf").write_text("lxc.environment = A=1\n")
    (directory / "b.txt").write_text("lxc.environment = B=2\n")
    (tmp_path / "one").write_text(f"lxc.include = {directory}\nlxc.environment = C=3\n")
    config = read(tmp_path, f"lxc.include = {tmp_path}/one\nlxc.include = {tmp_path}/none\n")
    assert config.environment == {"A": "1", "C": "3"}
    assert config.includes == {str(directory), f"{tmp_path}/one", f"{tmp_path}/none"}


def test_a_file_that_includes_itself_ends(tmp_path: Path) -> None:
    assert read(tmp_path, f"lxc.environment = A=1\nlxc.include = {tmp_path}/config\n").environment == {"A": "1"}


def test_what_hooks_cannot_give(tmp_path: Path) -> None:
    text = "lxc.init.groups = 44, 7\nlxc.net.3.link = eth9\nlxc.cgroup2.devices.allow = c 1:3 rwm\n"
    config = read(tmp_path, text + "lxc.hook.start = /dev/.cdi-start\n")
    assert config.groups == {"44", "7"}
    assert config.interfaces == {"eth9"}
    assert config.rights == {"c 1:3 rwm"}
    assert config.start_hooks == ["/dev/.cdi-start"]
