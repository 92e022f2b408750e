from __future__ import annotations

from pathlib import Path

import pytest

from cdi_runc.inventory.tree import Tree


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("/etc/cdi", "/etc/cdi"),
        ("/var/run/cdi", "/run/cdi"),  # an absolute link stays below the root
        ("/up/etc", "/etc"),  # and so does one that wants to climb out of it
        ("/../../etc", "/etc"),
        ("/etc/none/at/all", "/etc/none/at/all"),
        ("/last", "/etc"),
    ],
)
def test_links_are_followed_as_the_host_follows_them(path: str, leads_to: str, tmp_path: Path) -> None:
    for name in ("etc/cdi", "run/cdi", "var"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "var/run").symlink_to("/run")
    (tmp_path / "up").symlink_to("../../../..")
    (tmp_path / "last").symlink_to("etc")
    assert Tree(str(tmp_path)).real(path) == f"{tmp_path}{leads_to}"


def test_a_link_at_the_end_is_followed_only_where_asked(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("/b")
    assert Tree(str(tmp_path)).real("/a", follow=False) == f"{tmp_path}/a"


def test_a_loop_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("/b")
    (tmp_path / "b").symlink_to("/a")
    with pytest.raises(OSError, match="symbolic links"):
        Tree(str(tmp_path)).real("/a/file")


def test_messages_have_the_paths_of_the_host(tmp_path: Path) -> None:
    assert Tree(str(tmp_path)).shown(f"{tmp_path}/etc/cdi/a.yaml:1: wrong") == "/etc/cdi/a.yaml:1: wrong"
