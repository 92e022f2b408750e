from pathlib import Path

import pytest

from cdi_runc.ctl.options import Options
from cdi_runc.ctl.why import guard
from cdi_runc.ctl.why.health import Host
from cdi_runc.engines import launcher
from cdi_runc.engines.engine import Found, Runtimes


class Podman:
    """A Podman that knows cdi-runc."""

    def __init__(self, version: str) -> None:
        self.version = version

    def find(self, config: str | None) -> Found:
        return Found("podman", "/usr/bin/podman", self.version, "/c", None, "on")

    def runtimes(self, found: Found) -> Runtimes:
        return Runtimes("runc", {"cdi-runc": {"path": "/usr/bin/cdi-runc"}})


@pytest.mark.parametrize(
    ("version", "settings", "warned"),
    [("4.3.1", "", True), ("4.3.1", "requests:\n  annotations: []\n", False), ("4.6.0", "", False)],
)
def test_images_that_can_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, settings: str, warned: bool
) -> None:
    (tmp_path / "config.yaml").write_text(settings)
    monkeypatch.setattr(guard, "NAMES", ("docker", "podman"))
    monkeypatch.setattr(guard, "engine_of", lambda name: Podman(version))
    monkeypatch.setattr(launcher, "is_ours", lambda path: path == "/usr/bin/cdi-runc")
    found = list(guard.asking_images(Host(Options(config=str(tmp_path / "config.yaml")))))
    assert [(result.level, "annotations: []" in result.mend) for result in found] == [("warning", True)] * warned
