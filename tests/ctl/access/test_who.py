import json
import os
from pathlib import Path

import pytest

from cdi_runc.ctl.why import containers
from cdi_runc.ctl.why.containers import Container
from tests.ctl.conftest import Cdictl
from tests.ctl.test_schema import check


@pytest.fixture
def device(spec_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A device with the node /dev/null, which this process has, and a second that nobody has; three containers."""
    nodes = [{"path": "/dev/null"}, {"path": "/dev/none", "hostPath": "/dev/zero"}]
    devices = [{"name": "a", "containerEdits": {"deviceNodes": nodes}}]
    spec = {"cdiVersion": "0.5.0", "kind": "v.com/c", "devices": devices}
    (spec_dir / "v.json").write_text(json.dumps(spec))
    other = {"path": "/dev/zero", "hostPath": "/dev/null"}  # another device at that path
    spec["devices"] = [{"name": "b", "containerEdits": {"deviceNodes": [other]}}]
    (spec_dir / "w.json").write_text(json.dumps({**spec, "kind": "v.com/d"}))
    found = [Container("here", "/b", os.getpid()), Container("ended", "/b"), Container("gone", "/b", 2**22 + 1)]
    monkeypatch.setattr(containers, "everything", lambda: found)
    return spec_dir


def test_a_container_that_has_a_node_is_found(cdictl: Cdictl, device: Path) -> None:
    said = cdictl("who", "v.com/c=a", "-o", "json")
    check("who", said.stdout)
    assert json.loads(said.stdout) == {
        "containers": [{"container": "here", "pid": os.getpid(), "nodes": ["/dev/null"]}]
    }
    assert cdictl("who", "v.com/c=a").stdout.splitlines()[1].split() == ["here", str(os.getpid()), "/dev/null"]


def test_another_device_at_the_path_does_not_count(cdictl: Cdictl, device: Path) -> None:
    assert cdictl("who", "v.com/d=b").stdout.splitlines() == ["CONTAINER  PID  NODES"]


@pytest.mark.parametrize(
    ("name", "words"), [("v.com/c=z", "defines v.com/c=z"), ("vendor.com/gpu=0", "has no device node on this host")]
)
def test_what_nobody_can_tell(cdictl: Cdictl, device: Path, name: str, words: str) -> None:
    said = cdictl("who", name)
    assert (said.exit_code, words in said.stderr) == (1, True)
