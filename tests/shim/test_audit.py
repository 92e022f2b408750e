"""The line for audit: what is in it, and that whatever is wrong with its place only loses the line."""

import errno
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from cdi_runc import Registry
from cdi_runc.host.known import SpecFiles
from cdi_runc.shim import audit
from cdi_runc.shim.cmdline import parse
from cdi_runc.shim.decision import decide
from cdi_runc.shim.errors import Denied, ShimError
from cdi_runc.shim.requests import Request

SPEC = '{"cdiVersion": "0.5.0", "kind": "v.com/c", "devices": [{"name": "a", "containerEdits": {"env": ["A=1"]}}]}'
CONFIG: dict[str, Any] = {
    "annotations": {
        "cdi.k8s.io/x": "v.com/c=a",
        "io.kubernetes.cri.sandbox-namespace": "ml",
        "io.kubernetes.cri.sandbox-name": "train",
        "io.kubernetes.cri.container-name": "main",
        "io.kubernetes.cri.image-name": 'odd"\u20ac\n',
    }
}


@pytest.fixture
def known(tmp_path: Path) -> SpecFiles:
    (tmp_path / "cdi").mkdir()
    (tmp_path / "cdi/v.json").write_text(SPEC)
    settings = {
        "spec-dirs": [str(tmp_path / "cdi")],
        "requests": {"annotations": ["cdi.k8s.io/"], "mounts": None, "env": None},
        "restore": "ignore",
        "policy": {"rules": [], "fault": ""},
        "fault": "",
        "hashes": {str(tmp_path / "cdi/v.json"): "5ba1"},
    }
    return SpecFiles(Registry(settings["spec-dirs"]), settings)


def record(
    known: SpecFiles,
    target: str,
    denied: Exception | None = None,
    config: dict[str, Any] = CONFIG,
    bundle: str = "/bundle",
) -> list[str]:
    """The warnings."""
    warnings: list[str] = []
    known.settings["audit"] = target
    decided = denied or decide(config, "create", known)
    audit.record(parse(["create", "--bundle", bundle, "box"], "runc"), config, known, "runc", decided, warnings.append)
    return warnings


def test_who_asked_and_what_was_allowed(known: SpecFiles, tmp_path: Path) -> None:
    path = tmp_path / "log"
    for denied in (None, Denied("not in this namespace", "v.com/c=a", "policy.yaml:2")):
        assert record(known, f"file:{path}", denied) == []
    allowed, refused = (json.loads(line) for line in path.read_text().splitlines())
    assert allowed.pop("time") <= refused["time"]
    assert allowed.pop("cpu_ms") > 0
    assert allowed.pop("ms") > 0
    asked = [{"device": "v.com/c=a", "through": "annotation", "where": "cdi.k8s.io/x"}]
    pod = {"engine": "containerd", "namespace": "ml", "pod": "train", "name": "main", "image": 'odd"\u20ac\n'}
    assert allowed == {
        "container": "box",
        "command": "create",
        "runtime": "runc",
        "requests": asked,
        **pod,
        "allowed": True,
        "reason": "",
        "devices": ["v.com/c=a"],
        "rules": {},
        "edits": ["env"],
        "specs": {str(tmp_path / "cdi/v.json"): "5ba1"},
    }
    assert (refused["allowed"], refused["reason"], refused["requests"]) == (False, "not in this namespace", asked)
    assert (refused["rules"], refused["specs"]) == ({"v.com/c=a": "policy.yaml:2"}, allowed["specs"])
    assert set(allowed) | {"time", "cpu_ms", "ms"} == set(refused)
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_the_kubelet_gave_is_a_request_too(known: SpecFiles, tmp_path: Path) -> None:
    known.settings["audit"] = f"file:{tmp_path}/log"
    given = [Request("v.com/c=a", "kubelet", "claim ml/c")]
    call = parse(["create", "box"], "runc")
    for decided in (decide({}, "create", known, given=given), Denied("no", "v.com/c=a", "x")):
        audit.record(call, {}, known, "runc", decided, pytest.fail, given)
    audit.record(call, {}, known, "runc", ShimError("the kubelet does not answer"), pytest.fail)
    asked = [{"device": "v.com/c=a", "through": "kubelet", "where": "claim ml/c"}]
    entries = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [(entry["allowed"], entry["requests"]) for entry in entries] == [(True, asked), (False, asked), (False, [])]


MOBY = "/run/containerd/io.containerd.runtime.v2.task/moby/box"


@pytest.mark.parametrize(
    ("bundle", "annotations", "engine"),
    [
        (MOBY, {}, "docker"),
        (MOBY, {"io.kubernetes.cri-o.Name": "x"}, "docker"),  # Docker lets its users write annotations
        ("/var/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/box", {}, "docker"),
        ("/run/containerd/io.containerd.runtime.v2.task/default/box", {}, "containerd"),
        ("/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/box", {}, "containerd"),
        ("/run/containers/storage/overlay-containers/box/userdata", {"io.kubernetes.cri-o.Name": "x"}, "crio"),
        ("/var/lib/containers/storage/vfs-containers/box/userdata", {"io.container.manager": "libpod"}, "podman"),
        ("/bundle", {}, ""),
    ],
)
def test_the_engine(known: SpecFiles, tmp_path: Path, bundle: str, annotations: dict[str, str], engine: str) -> None:
    asking = {"annotations": {"cdi.k8s.io/x": "v.com/c=a", **annotations}}
    record(known, f"file:{tmp_path}/log", config=asking, bundle=bundle)
    assert json.loads((tmp_path / "log").read_text())["engine"] == engine


def test_the_name_and_the_image_of_the_engines_own_records(known: SpecFiles, tmp_path: Path) -> None:
    records = tmp_path / "containers/box"
    records.mkdir(parents=True)
    (records / "config.v2.json").write_text('{"Name": "/web", "Config": {"Image": "probe:1"}}')
    asking = {"annotations": {"cdi.k8s.io/x": "v.com/c=a"}, "mounts": [{"source": f"{records}/hostname"}]}
    record(known, f"file:{tmp_path}/log", config=asking, bundle=MOBY)
    entry = json.loads((tmp_path / "log").read_text())
    assert (entry["name"], entry["image"]) == ("web", "probe:1")


def test_who_asks_for_nothing_is_not_written_down(known: SpecFiles, tmp_path: Path) -> None:
    assert record(known, f"file:{tmp_path}/log", config={}) == []
    assert not (tmp_path / "log").exists()


def test_a_sandbox_is_denied(known: SpecFiles, tmp_path: Path) -> None:
    sandbox = {"annotations": {**CONFIG["annotations"], "io.kubernetes.cri.container-type": "sandbox"}}
    record(known, f"file:{tmp_path}/log", config=sandbox)
    entry = json.loads((tmp_path / "log").read_text())
    assert (entry["allowed"], entry["devices"]) == (False, [])


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("missing/log", "No such file or directory"),
        ("directory", "Is a directory"),
        ("pipe", "No such device or address"),  # that nobody reads
        ("link", "Too many levels of symbolic links"),
        ("/dev/full", "it is neither a file nor a pipe"),
        ("socket", "No such device or address"),
    ],
)
def test_a_place_that_takes_no_line_loses_it(known: SpecFiles, tmp_path: Path, place: str, reason: str) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/none")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tmp_path / "socket"))
        target = f"file:{tmp_path / place}"
        assert record(known, target) == [f"a line for audit: {target} is lost: {reason}"]


def test_a_pipe_that_is_full_loses_it(known: SpecFiles, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(tmp_path / "pipe", os.O_WRONLY | os.O_NONBLOCK)
    while True:
        try:
            os.write(writer, b"x" * 4096)
        except BlockingIOError:
            break
    assert record(known, f"file:{tmp_path}/pipe") == [
        f"a line for audit: file:{tmp_path}/pipe is lost: Resource temporarily unavailable"
    ]
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("written", [errno.ENOSPC, 3])
def test_a_full_disk_loses_it(known: SpecFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int) -> None:
    def write(descriptor: int, data: bytes) -> int:
        if written == errno.ENOSPC:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written

    monkeypatch.setattr("cdi_runc.shim.audit.posix.write", write)
    assert len(record(known, f"file:{tmp_path}/log")) == 1


@pytest.mark.parametrize("target", ["journal", "syslog"])
def test_the_journal_and_the_syslog(
    known: SpecFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(audit, target.upper(), "socket")
    assert len(record(known, target)) == 1  # nobody is there
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind("socket")
        assert record(known, target) == []
        text = daemon.recv(65536).decode()
        assert text.startswith(
            "<86>cdi-runc: {" if target == "syslog" else "SYSLOG_IDENTIFIER=cdi-runc\nPRIORITY=6\nMESSAGE={"
        )
        assert '"container":"box"' in text
        while record(known, target) == []:  # till its buffer is full, which keeps nobody waiting
            pass
