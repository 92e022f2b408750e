"""An installed cdictl and real engines: those that know cdi-runc, never did, or have forgotten it, and a trial."""

import json

import jsonschema
import pytest

from integration.packaging.conftest import TREE
from integration.packaging.machine import Machine

FILES = {
    "podman": "/etc/containers/containers.conf.d/50-cdi-runc.conf",
    "containerd": "/etc/containerd/config.toml",
}


@pytest.fixture
def installed(machine: Machine) -> Machine:
    machine.must(f"make -C {TREE} install")
    return machine


def of_engines(machine: Machine) -> dict[str, list[str]]:
    """What doctor says of the engines, by level."""
    said: dict[str, list[str]] = {"problem": [], "warning": [], "ok": []}
    for check in json.loads(machine.run("cdictl -o json doctor").stdout)["checks"]:
        if check["topic"] == "engines" and "the annotations of an image" not in check["text"]:  # Podman before 4.6
            said[check["level"]].append(check["text"])
    return said


def test_an_engine_that_was_never_told(installed: Machine) -> None:
    [text] = of_engines(installed)["warning"]  # no problem, since Podman brings devices itself
    assert text.startswith("cdi-runc is not registered with containerd 1.")


def test_engines_that_know_it(installed: Machine) -> None:
    installed.must("cdictl engine enable podman --accept-image-annotations && cdictl engine enable containerd")
    said = of_engines(installed)
    assert (said["problem"], said["warning"]) == ([], [])
    assert [text.split()[0] for text in said["ok"] if "knows cdi-runc as cdi-runc" in text] == ["podman", "containerd"]


@pytest.mark.parametrize("engine", FILES)
def test_an_engine_that_has_forgotten_it(installed: Machine, engine: str) -> None:
    installed.must("cdictl engine enable podman --accept-image-annotations && cdictl engine enable containerd")
    installed.must(f"rm {FILES[engine]}")
    said = of_engines(installed)
    assert said["problem"] == [f"{engine} does not know cdi-runc any more, which was registered with it"]
    assert said["warning"] == []
    installed.must(f"cdictl engine enable {engine} --accept-image-annotations")
    assert of_engines(installed)["problem"] == []


def test_a_trial_says_what_its_schema_promises(installed: Machine) -> None:
    installed.must("cdictl engine enable podman --accept-image-annotations")
    trial = json.loads(installed.must("cdictl engine test podman -o json"))
    schema = json.loads((TREE / "docs/cdictl.schema.json").read_text())
    jsonschema.Draft7Validator({"$ref": "#/definitions/engine-test", **schema}).validate(trial)
    assert [step["works"] for step in trial["steps"]] == [True] * 5
