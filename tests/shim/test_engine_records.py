"""A container's name and image, as Docker and Podman have noted them down."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cdi_runc.shim.engine_records import names

DOCKERS = {"Name": "/web", "Config": {"Image": "probe:1"}, "State": {"Weight": 1.5}}
PODMANS = [
    {"id": "other", "names": ["o"], "metadata": "{}"},
    {"id": "box", "names": ["web"], "metadata": json.dumps({"image-name": "localhost/probe:1"})},
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (json.dumps(DOCKERS), ("web", "probe:1")),
        (json.dumps({"Name": 1, "Config": {"Image": None}}), ("", "")),
        (json.dumps({"Config": None}), ("", "")),
        ("[]", ("", "")),
        ("{", ("", "")),
        ("\udcff", ("", "")),
        (None, ("", "")),
    ],
)
def test_docker(tmp_path: Path, text: str | None, expected: tuple[str, str]) -> None:
    directory = tmp_path / "containers" / "box"
    directory.mkdir(parents=True)
    if text is not None:
        (directory / "config.v2.json").write_text(text, errors="surrogateescape")
    config = {"mounts": [{"source": "proc"}, None, {"source": f"{directory}/hostname", "destination": "/etc/hostname"}]}
    assert names("docker", "box", config, "/run") == expected


@pytest.mark.parametrize("name", ["containers.json", "volatile-containers.json"])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (PODMANS, ("web", "localhost/probe:1")),
        ([{"id": "box", "names": None, "metadata": "{"}], ("", "")),
        ([{"id": "box", "names": [], "metadata": "[]"}], ("", "")),
        ([None, "box"], ("", "")),
        ({"id": "box"}, ("", "")),
    ],
)
def test_podman(tmp_path: Path, name: str, data: Any, expected: tuple[str, str]) -> None:
    bundle = tmp_path / "overlay-containers" / "box" / "userdata"
    bundle.mkdir(parents=True)
    (tmp_path / "overlay-containers" / name).write_text(json.dumps(data))
    assert names("podman", "box", {}, f"{bundle}/config.json") == expected
    assert names("podman", "box", {"mounts": [{"source": f"{bundle}/hosts"}]}, "/run/other") == expected


@pytest.mark.parametrize("engine", ["", "crio", "containerd", "docker", "podman"])
@pytest.mark.parametrize("config", [{}, {"mounts": None}, {"mounts": [1, {"source": 1}]}])
def test_what_nobody_knows(engine: str, config: dict[str, Any]) -> None:
    assert names(engine, "box", config, "/bundle") == ("", "")


def test_a_record_that_is_no_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    directory = tmp_path / "containers" / "box"
    directory.mkdir(parents=True)
    os.mkfifo(directory / "config.v2.json")
    assert names("docker", "box", {"mounts": [{"source": f"{directory}/hostname"}]}, "") == ("", "")
