"""Real containers start whatever becomes of their line for audit."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from integration.bundles import WIDGET, WITH, report
from integration.conftest import BIN, Runtime


@pytest.mark.parametrize("place", ["audit.log", "pipe", "directory", "none/audit.log"])
def test_a_container_starts_and_its_line_is_there_or_lost(
    runtime: Runtime, bundle: Callable[..., Path], tmp_path: Path, spec_dir: Path, place: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    target = f"file:{tmp_path}/{place}"
    runtime.settings.write_text(json.dumps({"spec-dirs": [str(spec_dir)], "audit": target}))
    log = tmp_path / "runtime.log"

    done = runtime.shim("--log", str(log), "run", "--bundle", str(bundle()), "box")

    assert report(done.stdout) == WITH, done.stderr
    lost = log.read_text().count(f"a line for audit: {target} is lost") if log.exists() else 0
    assert lost == (place != "audit.log")
    if not lost:
        entry = json.loads((tmp_path / place).read_text())
        assert (entry["container"], entry["allowed"], entry["devices"]) == ("box", True, [WIDGET])
        spec = spec_dir / "widget.json"
        assert entry["specs"] == {str(spec): sha256(spec.read_bytes()).hexdigest()}


def test_who_finds_a_container_of_a_runtime_whose_state_is_anywhere(
    runtime: Runtime, bundle: Callable[..., Path], tmp_path: Path, spec_dir: Path
) -> None:
    """Neither the directory of its state nor that of its bundle is one of an engine's."""
    runtime.settings.write_text(json.dumps({"spec-dirs": [str(spec_dir)], "audit": f"file:{tmp_path}/audit.log"}))
    running = bundle(["sleep", "60"])
    pid_file = tmp_path / "pid"

    assert runtime.shim("run", "--detach", "--bundle", str(running), f"--pid-file={pid_file}", "box").returncode == 0

    def cdictl(*words: str) -> dict[str, list[dict[str, object]]]:
        command = [str(BIN / "cdictl"), "--config", str(runtime.settings), *words, "-o", "json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        found: dict[str, list[dict[str, object]]] = json.loads(done.stdout)
        return found

    holders = {row["pid"]: row["nodes"] for row in cdictl("who", WIDGET)["containers"]}
    assert holders.get(int(pid_file.read_text())) == ["/dev/widget"]
    [decision] = cdictl("log", "--device", WIDGET)["decisions"]
    assert decision["container"] == "box"


def test_a_container_starts_though_the_disk_is_full(
    runtime: Runtime, bundle: Callable[..., Path], tmp_path: Path, spec_dir: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    target = f"file:{disk}/audit.log"
    runtime.settings.write_text(json.dumps({"spec-dirs": [str(spec_dir)], "audit": target}))
    log = tmp_path / "runtime.log"
    fill = 'mount -t tmpfs -o size=4k disk "$0" && head -c 4096 /dev/zero > "$0/full" && exec "$@"'
    full = replace(runtime, into=(*runtime.into, "unshare", "--mount", "sh", "-c", fill, str(disk)))

    done = full.shim("--log", str(log), "run", "--bundle", str(bundle()), "box")

    assert report(done.stdout) == WITH, done.stderr
    assert log.read_text().count(f"a line for audit: {target} is lost: No space left on device") == 1


def test_a_denial_is_written_down(
    runtime: Runtime, bundle: Callable[..., Path], tmp_path: Path, spec_dir: Path
) -> None:
    runtime.settings.write_text(json.dumps({"spec-dirs": [str(spec_dir)], "audit": f"file:{tmp_path}/audit.log"}))
    asking = bundle(annotations={"cdi.k8s.io/x": "example.com/widget=none"})

    assert runtime.shim("run", "--bundle", str(asking), "box").returncode == 1

    entry = json.loads((tmp_path / "audit.log").read_text())
    assert (entry["container"], entry["allowed"], entry["devices"]) == ("box", False, [])
    assert "example.com/widget=none" in entry["reason"]
