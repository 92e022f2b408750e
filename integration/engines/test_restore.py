"""Checkpoint and restore of bare runc by CRIU: what the annotations ask for, and what the settings allow.

The bundle is as an engine makes it for a restore: anew, with the annotations and without the edits. crun is left out:
1.8 is built without CRIU, and 1.21 crashes at the checkpoint when a mount has no type, as those of a CDI spec.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from integration.bundles import PROBE, REQUEST, WIDGET, WITH, make_bundle, oci_config, report
from integration.engines.conftest import SETTINGS
from integration.engines.devices import NEVER, ONCE, Widget
from integration.engines.host import Host


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of a container that had the widget."""

    host: Host
    bundle: Path
    images: Path

    def restore(self, settings: str) -> tuple[int, str]:
        """Restores the container from a bundle made anew; gives the status and the shim's and runtime's log."""
        self.host.write("/etc/cdi-runc/config.yaml", SETTINGS + settings)
        log = self.bundle / "log"
        (self.bundle / "config.json").write_text(self.fresh_config())
        arguments = f"--log={log} restore --detach --image-path {self.images} --bundle {self.bundle} restored"
        done = self.host.run("sh", "-c", f"cdi-runc {arguments} >/dev/null")
        return done.returncode, log.read_text() + done.stderr

    @staticmethod
    def fresh_config() -> str:
        """The config.json of the container as its engine writes it."""
        return json.dumps(oci_config(["sh", "-c", "while :; do sleep 1; done"], REQUEST))


@pytest.fixture
def checkpoint(host: Host, widget: Widget, tmp_path: Path) -> Iterator[Checkpoint]:
    check = host.run("criu", "check") if host.has("criu") else None
    if check is None:
        pytest.skip("CRIU is not installed (make engines)")
    if check.returncode != 0:
        pytest.skip(f"CRIU does not work here: {check.stderr.strip().splitlines()[0]}")
    place = host.shared / f"restore-{tmp_path.name}"
    bundle = make_bundle(place, json.loads(Checkpoint.fresh_config()))
    # CRIU can't restore a standard output that is a deleted file, as ours is.
    for arguments in (
        f"run --detach --bundle {bundle} original >/dev/null 2>&1",
        f"checkpoint --image-path {place}/images original",
    ):
        done = host.run("sh", "-c", f"cdi-runc {arguments}")
        assert done.returncode == 0, done.stderr
    widget.forget()
    yield Checkpoint(host, bundle, place / "images")
    host.run("cdi-runc", "delete", "--force", "restored")
    host.write("/etc/cdi-runc/config.yaml", SETTINGS)


def test_inject_gives_a_restored_container_its_widget(checkpoint: Checkpoint, widget: Widget) -> None:
    status, log = checkpoint.restore("restore: inject\n")

    assert status == 0, log
    config = json.loads((checkpoint.bundle / "config.json").read_text())
    assert widget.standing_in(config) == ONCE
    done = checkpoint.host.run("cdi-runc", "exec", "restored", "sh", "-c", PROBE)
    assert report(done.stdout) == WITH


@pytest.mark.parametrize("settings", ["", "restore: ignore\n"])
def test_what_is_ignored_is_said_in_the_log(checkpoint: Checkpoint, widget: Widget, settings: str) -> None:
    _, log = checkpoint.restore(settings)

    assert (checkpoint.bundle / "config.json").read_text() == checkpoint.fresh_config()
    assert WIDGET in log
    assert widget.runs() == 0
    assert widget.standing() == NEVER
