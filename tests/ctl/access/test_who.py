import json
import os
from pathlib import Path
from typing import Any

import pytest

from cdi_runc.ctl.access import holders
from cdi_runc.ctl.why import containers
from cdi_runc.ctl.why.containers import Container
from cdi_runc.ctl.why.live import Node
from tests.ctl.conftest import Cdictl
from tests.ctl.test_schema import check

NAMES = ("engine", "namespace", "pod", "name")
CRI = {"sandbox-namespace": "ml", "sandbox-name": "train", "container-name": "main"}


@pytest.fixture
def device(spec_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A device with /dev/null, and /dev/zero at a path where nobody has it; three containers, and this one runs."""
    nodes = [{"path": "/dev/null"}, {"path": "/dev/none", "hostPath": "/dev/zero"}]
    devices = [{"name": "a", "containerEdits": {"deviceNodes": nodes}}]
    spec = {"cdiVersion": "0.5.0", "kind": "v.com/c", "devices": devices}
    (spec_dir / "v.json").write_text(json.dumps(spec))
    found = [Container("here", "/b", os.getpid()), Container("ended", "/b"), Container("gone", "/b", 2**22 + 1)]
    monkeypatch.setattr(containers, "everything", lambda: found)
    (spec_dir.parent / "proc").mkdir()
    monkeypatch.setattr(holders, "PROC", str(spec_dir.parent / "proc"))  # the host has containers of its own
    return spec_dir


def test_a_container_that_has_a_node_is_found(cdictl: Cdictl, device: Path) -> None:
    said = cdictl("who", "v.com/c=a", "-o", "json")
    check("who", said.stdout)
    [row] = json.loads(said.stdout)["containers"]
    assert row == {
        "container": "here",
        "pid": os.getpid(),
        "nodes": ["/dev/null", "/dev/zero"],
        **dict.fromkeys(NAMES, ""),
    }
    assert cdictl("who", "v.com/c=a").stdout.splitlines()[1].split() == [
        *("here", str(os.getpid()), "-"),
        *("/dev/null", "/dev/zero"),
    ]


def test_another_device_at_the_path_does_not_count(device: Path) -> None:
    here = holders.Running("here", os.getpid())
    assert holders.nodes_held(here, {"/dev/zero": Node("c", 1, 3), "/dev/full": Node("c", 1, 7)}) == ["/dev/full"]


@pytest.mark.parametrize(
    "config",
    [
        {"linux": {"devices": [{"path": "/dev/null", "type": "c", "major": 1, "minor": 3}, None]}},
        {"mounts": [{"source": "/dev/null", "destination": "/dev/null"}, {"source": "tmpfs"}, 1]},
    ],
)
def test_a_node_at_another_path_is_found_by_the_config(config: dict[str, Any]) -> None:
    wanted = {"/dev/gpu0": Node("c", 1, 3)}
    assert holders.nodes_held(holders.Running("x", os.getpid()), wanted) == []
    assert holders.nodes_held(holders.Running("x", os.getpid(), config=config), wanted) == ["/dev/null"]


@pytest.mark.parametrize("config", ["{", "[]", '{"linux": [], "mounts": {}, "annotations": 1}', None])
def test_a_config_that_says_nothing_is_no_matter(
    cdictl: Cdictl, device: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str | None
) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    monkeypatch.setattr(containers, "everything", lambda: [Container("here", str(tmp_path), os.getpid())])
    assert cdictl("who", "v.com/c=a").stdout.splitlines()[1].split()[0] == "here"


def test_whose_it_is_is_in_the_config(
    cdictl: Cdictl, device: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotations = {f"io.kubernetes.cri.{key}": value for key, value in CRI.items()}
    (tmp_path / "config.json").write_text(json.dumps({"annotations": annotations}))
    monkeypatch.setattr(containers, "everything", lambda: [Container("here", str(tmp_path), os.getpid())])
    assert cdictl("who", "v.com/c=a").stdout.splitlines()[1].split()[2] == "ml/train/main"


def test_this_process_is_in_no_container_of_its_own() -> None:
    """A service with a mount namespace of its own shares root and /dev with the host, as this process with itself."""
    assert os.getpid() not in {each.pid for each in holders.running()}


@pytest.mark.parametrize(
    ("cgroup", "found"),
    [
        ("0::/lxc.payload.web/init.scope", ("lxc", "web")),
        ("9:pids:/lxc/web", ("lxc", "web")),
        ("0::/machine.slice/machine-web.scope/payload", ("systemd-nspawn", "web")),
        ("0::/machine.slice/systemd-nspawn@web.service/payload", ("systemd-nspawn", "web")),
        ("0::/user.slice/box", ("", "box")),
        ("0::/system.slice/x.service", ("", "comm")),
        ("0::/", ("", "comm")),
    ],
)
def test_the_name_without_a_runtimes_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cgroup: str, found: tuple[str, str]
) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7/cgroup").write_text(f"{cgroup}\n")
    (tmp_path / "7/comm").write_text("comm\n")
    monkeypatch.setattr(holders, "PROC", str(tmp_path))
    assert holders._of_cgroup(7) == found


@pytest.mark.parametrize(
    ("name", "words"), [("v.com/c=z", "defines v.com/c=z"), ("vendor.com/gpu=0", "has no device node on this host")]
)
def test_what_nobody_can_tell(cdictl: Cdictl, device: Path, name: str, words: str) -> None:
    said = cdictl("who", name)
    assert (said.exit_code, words in said.stderr) == (1, True)
