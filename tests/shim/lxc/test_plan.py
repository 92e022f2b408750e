import os
import time
from pathlib import Path

import pytest

from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.lxc import plan, waiting


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(plan, "ROOTS", str(tmp_path / "roots"))
    monkeypatch.setattr("cdi_runc.host.places.is_host_root", lambda: True)
    return "/var/lib/lxc/c/config"


def test_a_bundle_is_found_once_it_has_a_plan(config: str) -> None:
    bundle = plan.new_bundle(config, 0)
    assert plan.find_bundle(config) == ""
    plan.write(bundle, {"nodes": []}, {"root": {"path": "/r"}}, ["c 1:3 r"], calls_hooks=True)
    assert plan.find_bundle(config) == bundle
    assert (plan.read(bundle), plan.read_config(bundle)) == ({"nodes": []}, {"root": {"path": "/r"}})
    assert Path(bundle, "start-host").exists()


def test_nothing_is_left(config: str, tmp_path: Path) -> None:
    bundle = plan.new_bundle(config, 0)
    plan.write(bundle, {}, {}, ["c 1:3 r"], calls_hooks=False)
    plan.remove(bundle)
    assert list((tmp_path / "roots").iterdir()) == []


def test_what_a_killed_container_left_is_made_anew(config: str) -> None:
    plan.say(plan.new_bundle(config, 0), "old")
    bundle = plan.new_bundle(config, 0)
    assert plan.said(bundle) == []
    plan.say(bundle, "new\nlines")
    assert plan.said(bundle) == ["new", "lines"]


def test_a_directory_that_others_may_write_to_is_refused(config: str, tmp_path: Path) -> None:
    (tmp_path / "roots").mkdir()
    (tmp_path / "roots/var/lib/lxc/c/config/mine").mkdir(parents=True)
    (tmp_path / "roots/var/lib/lxc/c/config").chmod(0o777)
    with pytest.raises(ShimError, match="nobody else may write to"):
        plan.new_bundle(config, 0)


def test_a_damaged_plan_is_an_error(config: str) -> None:
    bundle = plan.new_bundle(config, 0)
    Path(bundle, "plan.json").write_text("{")
    with pytest.raises(ShimError, match="start the container again"):
        plan.read(bundle)


def test_a_bundle_that_is_removed_leaves_no_process_behind(config: str) -> None:
    """Of a start that came no further than pre-start."""
    bundle = plan.new_bundle(config, 0)
    child = waiting.leave(bundle, lambda pid: 0)
    plan.remove(bundle)
    deadline = time.monotonic() + 20
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not os.path.exists(bundle)
