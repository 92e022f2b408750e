import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.lxc import oci_hooks

STATE = oci_hooks.state("c", "created", 7, "/b")


def sh(script: str, **fields: Any) -> dict[str, Any]:
    return {"path": "/bin/sh", "args": ["sh", "-c", script], **fields}


def test_a_hook_gets_the_state_and_its_own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "1")
    oci_hooks.run("prestart", [sh(f'cat > {tmp_path}/state; echo "$OURS:$A" > {tmp_path}/env', env=["A=b"])], STATE)
    state = json.loads((tmp_path / "state").read_text())
    assert state == {"ociVersion": "1.0.2", "id": "c", "status": "created", "pid": 7, "bundle": "/b"}
    assert (tmp_path / "env").read_text() == ":b\n"


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        (sh("echo no card >&2; exit 3"), "hook prestart /bin/sh: exit status 3: no card"),
        (sh("kill -9 $$"), "hook prestart /bin/sh: killed by signal 9"),
        (sh("exec sleep 60", timeout=0.1), "hook prestart /bin/sh: not done after 0.1 s"),
        ({"path": "/none"}, "hook prestart /none: can't be executed: No such file or directory"),
    ],
)
def test_a_hook_that_fails_is_named_with_its_words(hook: dict[str, Any], said: str) -> None:
    with pytest.raises(ShimError) as raised:
        oci_hooks.run("prestart", [hook], STATE)
    assert str(raised.value) == said


def test_one_that_fails_stops_the_rest(tmp_path: Path) -> None:
    with pytest.raises(ShimError):
        oci_hooks.run("prestart", [sh("exit 1"), sh(f"touch {tmp_path}/ran")], STATE)
    assert not (tmp_path / "ran").exists()


def test_nobody_waits_for_what_a_hook_leaves_behind() -> None:
    oci_hooks.run("prestart", [sh("sleep 3 & exit 0")], STATE)


def test_the_script_for_the_container(tmp_path: Path) -> None:
    hooks = [sh(f'cat > {tmp_path}/out; echo "$A" >> {tmp_path}/out', env=["A=it's"])]
    subprocess.run(["sh", "-c", oci_hooks.script(hooks, STATE)], check=True, timeout=30)
    assert (tmp_path / "out").read_text() == f"{STATE}it's\n"
