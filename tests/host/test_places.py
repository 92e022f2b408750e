"""Who counts as the host's root: root of the host and of a system container, and no rootless user."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cdi_runc.host import places

TREE = Path(places.__file__).parents[2]

# Says what places.py says in a new user namespace whose uid 0 is the host's uid OUTSIDE: as its first process (in a
# system container), or beside the host's first process (a rootless engine).
# The library is loaded first: whoever is in the namespace may not read the tree (a clone in /root).
IN_A_NAMESPACE = """
import ctypes, os, sys
from cdi_runc.host import places
outside, first = sys.argv[1], sys.argv[2] == "first"
libc = ctypes.CDLL(None, use_errno=True)
def check(result, what):
    if result: sys.exit(f"{what}: {os.strerror(ctypes.get_errno())}")
ready, mapped = os.pipe(), os.pipe()
child = os.fork()
if child:
    os.read(ready[0], 1)
    for name in ("uid", "gid"):
        open(f"/proc/{child}/{name}_map", "w").write(f"0 {outside} 1000\\n")
    os.write(mapped[1], b"x")
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
check(libc.unshare(0x10000000 | 0x00020000 | (0x20000000 if first else 0)), "unshare")
os.write(ready[1], b"x")
os.read(mapped[0], 1)
os.setresgid(0, 0, 0)
os.setresuid(0, 0, 0)
grandchild = os.fork()
if grandchild:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
if first:
    check(libc.mount(b"none", b"/", None, 0x44000, None), "mount /")
    check(libc.mount(b"proc", b"/proc", b"proc", 0, None), "mount /proc")
assert os.geteuid() == 0
print(places.is_host_root())
"""


@pytest.mark.parametrize(("process", "root"), [("first", True), ("other", False)])
def test_root_of_a_system_container_counts_as_the_host_s_and_a_rootless_one_does_not(process: str, root: bool) -> None:
    if os.geteuid() != 0 or not places.is_host_root():
        pytest.skip("making a system container needs root")
    command = [sys.executable, "-c", IN_A_NAMESPACE, "100000", process]
    done = subprocess.run(command, cwd=TREE, capture_output=True, text=True, timeout=60)
    if done.returncode != 0 and ("unshare:" in done.stderr or "mount /" in done.stderr):
        pytest.skip(f"no namespaces here: {done.stderr.strip()}")
    assert (done.stdout, done.stderr) == (f"{root}\n", "")


def test_nobody_else_is_the_host_s_root() -> None:
    if os.geteuid() != 0:
        assert not places.is_host_root()
    else:
        drop = "import os; from cdi_runc.host import places; os.setuid(65534); print(places.is_host_root())"
        done = subprocess.run([sys.executable, "-c", drop], cwd=TREE, capture_output=True, text=True, timeout=60)
        assert done.stdout == "False\n", done.stderr


@pytest.mark.parametrize(
    ("environ", "rootless", "path"),
    [
        ({b"XDG_CONFIG_HOME": b"{}/xdg", b"HOME": b"{}/home"}, True, "{}/xdg/cdi-runc/config.yaml"),
        ({b"XDG_CONFIG_HOME": b"", b"HOME": b"{}/home"}, True, "{}/home/.config/cdi-runc/config.yaml"),
        ({b"HOME": b"{}/home"}, True, "{}/home/.config/cdi-runc/config.yaml"),
        ({b"XDG_CONFIG_HOME": b"{}/none", b"HOME": b"{}/home"}, True, "/etc/cdi-runc/config.yaml"),
        ({b"XDG_CONFIG_HOME": b"xdg"}, True, "/etc/cdi-runc/config.yaml"),
        ({}, True, "/etc/cdi-runc/config.yaml"),
        ({b"XDG_CONFIG_HOME": b"{}/xdg"}, False, "/etc/cdi-runc/config.yaml"),
    ],
)
def test_the_config_that_counts(
    tmp_path: Path, environ: dict[bytes, bytes], rootless: bool, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for directory in ("xdg", "home/.config"):
        (tmp_path / directory / "cdi-runc").mkdir(parents=True)
        (tmp_path / directory / "cdi-runc/config.yaml").touch()
    monkeypatch.chdir(tmp_path)
    here = {name: value.replace(b"{}", str(tmp_path).encode()) for name, value in environ.items()}
    assert places.config_path(here, rootless) == path.format(tmp_path)


@pytest.mark.parametrize(
    ("environ", "rootless", "directory"),
    [
        ({b"XDG_RUNTIME_DIR": b"/run/user/1\xff"}, True, "/run/user/1\udcff/cdi-runc"),
        ({b"XDG_RUNTIME_DIR": b"run"}, True, ""),
        ({}, True, ""),
        ({b"XDG_RUNTIME_DIR": b"/run/user/1"}, False, "/run/cdi-runc"),
    ],
)
def test_where_snapshots_are_kept(environ: dict[bytes, bytes], rootless: bool, directory: str) -> None:
    assert places.state_directory(environ, rootless) == directory


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ("/etc/cdi-runc/config.yaml", "snapshot"),
        ("/a/b%c.yaml", "snapshot%a%b%25c.yaml"),
        ("/%2F", "snapshot%%252F"),
        ("/" + "a" * 246, "snapshot%" + "a" * 246),
    ],
)
def test_a_snapshot_is_named_for_its_config(config: str, name: str) -> None:
    assert places.snapshot_name(config) == name
    assert places.config_of(name) == ("" if name == "snapshot" else config)


@pytest.mark.parametrize("config", ["/" + "a" * 247, "/" + "%" * 83, "/" + "\xe9" * 124, "/" + "a" * 4000])
def test_a_long_path_has_a_name_that_a_file_may_have(config: str) -> None:
    name = places.snapshot_name(config)
    assert name.startswith("snapshot#")
    assert len(name) == len("snapshot#") + 32
    assert places.config_of(name) == ""
    assert places.snapshot_name(config + "b") != name


def test_the_longest_names_are_names_that_a_file_may_have() -> None:
    for letter in ("a", "%", "\xe9", "\udcff"):
        names = [places.snapshot_name("/" + letter * count) for count in range(1, 300)]
        assert max(len(name.encode("utf-8", "surrogateescape")) for name in names) <= 255
        assert len(set(names)) == len(names)


def test_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    assert places.exists(str(tmp_path))
    assert not places.exists(f"{tmp_path}/none")
    assert not places.exists(f"{tmp_path}/link")


def test_a_user_namespace_is_seen() -> None:
    code = "from cdi_runc.host import places; print(places.in_user_namespace(), places.is_host_root())"
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-c", code]
    done = subprocess.run(command, cwd=TREE, capture_output=True, text=True, timeout=60)
    if "unshare" in done.stderr:
        pytest.skip("this machine allows no user namespace")
    assert (done.stdout.split()[0], done.stderr) == ("True", "")
    whole = Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]
    assert places.in_user_namespace() != whole
