import json
import os
from pathlib import Path
from typing import Any

import pytest

from cdi_runc.ctl.access.lines import entries
from tests.ctl.conftest import Cdictl
from tests.ctl.test_schema import check


def _entry(when: str, container: str, device: str, allowed: bool = True, **more: Any) -> str:
    request = {"device": device, "through": "annotation", "where": "cdi.k8s.io/x"}
    entry = {"time": when, "container": container, "requests": [request], "allowed": allowed, "reason": "no", **more}
    return json.dumps(entry, separators=(",", ":")) + "\n"


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "audit"
    path.write_text(
        _entry("2026-01-01T00:00:00Z", "one", "v.com/gpu=0", namespace="ml", pod="train", name="main")
        + '{"time": "cut sh\n[1]\n'
        + '{"time":"2026-01-01T12:00:00Z","container":"cut sho'  # as a disk leaves it that was full for a while
        + _entry("2026-01-02T00:00:00Z", "two", "v.com/nic=a", allowed=False, engine="podman")
    )
    (tmp_path / "config.yaml").write_text(f"audit: file:{path}\n")
    return path


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], ["one", "two"]),
        (["--device", "v.com/gpu=*"], ["one"]),
        (["--since", "2026-01-02"], ["two"]),
        (["--since", "2026-01-01T00:00:01Z"], ["two"]),
        (["--since", "1s"], []),
    ],
)
def test_what_is_found(cdictl: Cdictl, lines: Path, options: list[str], found: list[str]) -> None:
    said = cdictl("--config", f"{lines.parent}/config.yaml", "log", "-o", "json", *options)
    check("log", said.stdout)
    assert [entry["container"] for entry in json.loads(said.stdout)["decisions"]] == found


def test_a_table_says_who_and_why(cdictl: Cdictl, lines: Path) -> None:
    said = cdictl("--config", f"{lines.parent}/config.yaml", "log").stdout.splitlines()
    assert [" ".join(line.split()) for line in said[1:]] == [
        "2026-01-01T00:00:00Z one ml/train/main v.com/gpu=0 allowed",
        "2026-01-02T00:00:00Z two podman v.com/nic=a denied (no)",
    ]


@pytest.mark.parametrize(
    ("config", "options", "status", "words"),
    [
        ("", [], 1, "put `audit: file:/var/log/cdi-runc.log` into config.yaml"),
        ("audit: syslog\n", [], 1, "the lines are in the syslog"),
        ("audit: file:/none/log\n", [], 1, "/none/log is not there"),
        ("audit: file:{directory}/pipe\n", [], 1, "is no file, so only the program that reads it has the lines"),
        ("audit: file:{directory}/pipe\n", ["--follow"], 1, "is no file, so only the program that reads it"),
        ("audit: journal\n", ["--since", "soon"], 2, "--since soon: expected"),
    ],
)
def test_what_cannot_be_read(
    cdictl: Cdictl, tmp_path: Path, config: str, options: list[str], status: int, words: str
) -> None:
    os.mkfifo(tmp_path / "pipe")  # whoever opens it waits for a writer
    (tmp_path / "config.yaml").write_text(config.format(directory=tmp_path))
    said = cdictl("--config", f"{tmp_path}/config.yaml", "log", *options)
    assert (said.exit_code, words in said.stderr) == (status, True)


def test_following_goes_on_with_the_file_that_takes_its_place(lines: Path) -> None:
    following = entries(f"file:{lines}", follow=True)
    assert [next(following)["container"] for _ in range(2)] == ["one", "two"]
    os.rename(lines, f"{lines}.1")
    lines.write_text(_entry("2026-01-03T00:00:00Z", "three", "v.com/gpu=1"))
    assert next(following)["container"] == "three"
