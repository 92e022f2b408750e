from __future__ import annotations

import json
import tempfile
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from cdi_runc.ctl.options import Options
from cdi_runc.ctl.why import cluster
from cdi_runc.ctl.why.host import Host
from cdi_runc.engines.engine import NotInstalled
from tests.kubernetes.pod_resources import Kubelet


@pytest.fixture
def host(spec_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A node with two devices and a kubelet, and no engine."""
    monkeypatch.setattr(cluster, "KUBELET", str(tmp_path / "kubelet"))
    for name in ("device-plugins", "plugins_registry"):
        (tmp_path / "kubelet" / name).mkdir(parents=True)
    (tmp_path / "kubelet/device-plugins/kubelet.sock").touch()
    monkeypatch.setattr(cluster, "engine_of", lambda name: SimpleNamespace(find=none))
    return Host(Options(spec_dirs=[str(spec_dir)]))


def none(config: None) -> None:
    raise NotInstalled("none")


def offer(tmp_path: Path, *names: str) -> None:
    for name in names:
        (tmp_path / "kubelet" / name).touch()


PLUGIN, DRIVER = "device-plugins/cdi-vendor.com_gpu.sock", "plugins_registry/cdi-runc-01-reg.sock"


def said(host: Host) -> list[tuple[str, str]]:
    return [(result.level, result.text) for result in cluster.devices_reach_pods(host)]


@pytest.mark.parametrize("there", [True, False])
def test_whether_the_kubelet_can_be_asked(there: bool, host: Host, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as directory:
        host.files.settings["requests"] |= {"kubelet": True, "kubelet-dir": directory}
        kubelet = Kubelet(directory)
        with kubelet.serving() if there else nullcontext():
            level, text = said(host)[0]
    assert level == ("ok" if there else "warning")
    assert str(kubelet.socket) in text
    assert there or "No such file or directory, so that no container of a pod can start" in text


def test_an_engine_that_drops_names_which_the_kubelet_is_asked_for(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(tmp_path, DRIVER)
    old = SimpleNamespace(find=lambda config: SimpleNamespace(cdi="off", version="1.6.20"))
    monkeypatch.setattr(cluster, "engine_of", lambda name: old)
    assert [level for level, text in said(host) if "drops the names" in text] == ["warning", "warning"]
    host.files.settings["requests"] |= {"kubelet": True}
    assert [level for level, text in said(host) if "drops the names" in text] == ["ok", "ok"]


def test_where_no_kubelet_is_nothing_is_said(host: Host, tmp_path: Path) -> None:
    (tmp_path / "kubelet/device-plugins/kubelet.sock").unlink()
    assert said(host) == []


def test_a_kubelet_that_is_offered_nothing(host: Host) -> None:
    assert said(host) == [("ok", "a kubelet is here, and cdi-node offers it nothing")]


@pytest.mark.parametrize(("name", "way"), [(PLUGIN, "1 device plugin"), (DRIVER, "the driver for claims")])
def test_devices_that_are_offered_one_way(name: str, way: str, host: Host, tmp_path: Path) -> None:
    offer(tmp_path, name)
    assert said(host) == [("ok", f"cdi-node offers the devices by {way}")]


def test_a_kind_that_is_offered_both_ways(host: Host, tmp_path: Path, spec_dir: Path) -> None:
    offer(tmp_path, PLUGIN, DRIVER)
    assert [level for level, _ in said(host)] == ["ok", "warning"]
    spec = json.loads((spec_dir / "gpu.json").read_text())
    (spec_dir / "gpu.json").write_text(
        json.dumps({**spec, "cdiVersion": "0.6.0", "annotations": {"cdi-runc/serve": "dra"}})
    )
    host.files.registry.refresh()
    assert [level for level, _ in said(host)] == ["ok"]


@pytest.mark.parametrize(("cdi", "levels"), [("on", ["ok"]), ("off", ["ok", "warning", "warning"])])
def test_an_engine_that_drops_names(
    cdi: str, levels: list[str], host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(tmp_path, DRIVER)
    found = SimpleNamespace(cdi=cdi, version="1.6.20")
    monkeypatch.setattr(cluster, "engine_of", lambda name: SimpleNamespace(find=lambda config: found))
    assert [level for level, _ in said(host)] == levels
