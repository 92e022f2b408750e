"""Which module a hook of another system is for."""

import sys

import pytest

from cdi_runc.shim import hooks
from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.launch import Launch

STAGES = ("pre-start", "mount", "start-host", "post-stop")


def launch(hook: str) -> Launch:
    found = Launch(["boot.py", sys.executable, "/x/cdi-runc", "", "", "", "", "", f"--cdi-hook={hook}"])
    assert found.take_own_options() == ""
    found.environ = {}
    return found


@pytest.mark.parametrize("hook", [f"{system}:{stage}" for system in ("lxc", "incus") for stage in STAGES])
def test_lxc_s_hooks_need_what_lxc_says(hook: str) -> None:
    with pytest.raises(ShimError, match="LXC calls this hook with"):
        hooks.run(launch(hook), pytest.fail)


@pytest.mark.parametrize(
    "hook",
    ["lxc:none", "lxc", "docker:mount", "docker:precreate", "podman:mount", "podman", "podman:", "incus:precreate"],
)
def test_a_hook_that_nobody_calls_is_an_error(hook: str) -> None:
    with pytest.raises(ShimError) as raised:
        hooks.run(launch(hook), pytest.fail)
    assert str(raised.value) == (
        f"--cdi-hook={hook}: unknown hook; expected podman:precreate, or lxc: or incus: with one of pre-start, mount,"
        " start-host, post-stop"
    )
