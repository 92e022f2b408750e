from typing import Any

import pytest

from cdi_runc.ctl.specs.check.releases import newest_known, too_new


def spec(version: str, **device: Any) -> dict[str, Any]:
    return {"cdiVersion": version, "kind": "v.com/x", "devices": [{"name": "a", "containerEdits": {}} | device]}


@pytest.mark.parametrize(
    ("engine", "release", "version"),
    [
        ("podman", "4.0", None),
        ("podman", "4.2", "0.4.0"),
        ("podman", "4.3.1", "0.5.0"),
        ("podman", "5.8", "1.0.0"),
        ("docker", "20.10.24", None),
        ("docker", "25", "0.6.0"),
        ("docker", "v26.1.5", "0.7.0"),
        ("docker", "29.2.0", "1.1.0"),
        ("containerd", "1.6.20", None),
        ("containerd", "1.7", "0.5.0"),
        ("containerd", "1.7.24", "0.7.0"),
        ("containerd", "2.0.0", "0.8.0"),
        ("crio", "1.28", "0.6.0"),
        ("spec", "0.5", "0.5.0"),
        ("spec", "1.1.0", "1.1.0"),
    ],
)
def test_the_newest_version_that_a_release_knows(engine: str, release: str, version: str | None) -> None:
    assert newest_known(engine, release) == version


@pytest.mark.parametrize(
    ("data", "engine", "said"),
    [
        (spec("0.4.0"), "podman", []),
        (
            spec("0.6.0"),
            "podman",
            ["is 0.6.0, and podman 4.2 knows 0.4.0 at most; nothing in the file needs more than 0.3.0: cdictl spec"],
        ),
        (spec("0.5.0", name="0"), "podman", ["is 0.5.0, and podman 4.2 knows 0.4.0 at most; devices[0].name needs"]),
        (spec("0.3.0"), "docker", ["docker 4.2 knows nothing of CDI; with cdi-runc it takes any version"]),
    ],
)
def test_what_a_release_refuses(data: Any, engine: str, said: list[str]) -> None:
    found = [message for _, message in too_new(data, engine, "4.2")]
    assert [message[: len(start)] for message, start in zip(found, said, strict=True)] == said
