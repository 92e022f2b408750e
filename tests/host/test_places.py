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
IN_A_NAMESPACE = """
import ctypes, os, sys
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
from cdi_runc.host import places
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
        drop = "import os; os.setuid(65534); from cdi_runc.host import places; print(places.is_host_root())"
        done = subprocess.run([sys.executable, "-c", drop], cwd=TREE, capture_output=True, text=True, timeout=60)
        assert done.stdout == "False\n", done.stderr
