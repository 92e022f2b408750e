import os
import subprocess
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]


def test_the_image_is_built_with_limits_that_everybody_may_have(tmp_path: Path) -> None:
    podman = tmp_path / "podman"
    podman.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {tmp_path}/words\n")
    podman.chmod(0o755)
    environ = {**os.environ, "PODMAN": str(podman)}
    subprocess.run([TREE / "packaging/image/build"], env=environ, check=True, stdout=subprocess.DEVNULL, timeout=60)
    words = (tmp_path / "words").read_text().splitlines()
    limits = [words[place + 1] for place, word in enumerate(words) if word == "--ulimit"]
    assert limits == ["nofile=1024:1024", "nproc=1024:1024"]
