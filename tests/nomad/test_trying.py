"""`cdi-nomad --try`, and `cdictl engine test nomad` over it: the plugin is started as the agent starts it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cdi_runc.ctl import main
from cdi_runc.engines import nomad, nomad_files
from cdi_runc.nomad import trying
from tests.nomad.agent import program
from tests.nomad.conftest import Node

NULL = {"deviceNodes": [{"path": "/dev/null"}]}


def script(node: Node, path: Path) -> Path:
    """The plugin with the test's settings, as a file."""
    import shlex

    path.write_text(f'#!/bin/sh\nexec {shlex.join(program(node.settings))} "$@"\n')
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("mode", "given"),
    [
        ("name", {"mounts": ["/var/run/cdi-devices/vendor.com/gpu/0"], "nodes": []}),
        ("edits", {"mounts": [], "nodes": ["/dev/null"]}),
    ],
)
def test_what_the_plugin_answers(node: Node, mode: str, given: dict[str, Any]) -> None:
    node.spec("gpu.json", {"0": NULL})
    said = trying.tried(str(script(node, node.things / "cdi-nomad")), node.config(mode), "vendor.com/gpu=0")
    assert said["devices"] == {"vendor.com/gpu=0": ""}
    assert {name: said[name] for name in given} == given
    assert (said["name"], said["refused"]) == ("cdi-nomad", "")


def test_a_device_that_is_not_there(node: Node) -> None:
    said = trying.tried(str(script(node, node.things / "cdi-nomad")), node.config("name"), "vendor.com/gpu=9")
    assert said["refused"] == "vendor.com/gpu=9: there is no such device on this node"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("#!/bin/sh\necho broken >&2; exit 1\n", "is no plugin that works: broken"),
        ("#!/bin/sh\n", "is no plugin that works: it says nothing"),
        ("#!/bin/sh\necho hello\n", "is no plugin that works: hello"),
        ("#!/nowhere\n", "No such file or directory"),
    ],
)
def test_a_plugin_that_does_not_work(node: Node, text: str, says: str) -> None:
    path = node.things / "cdi-nomad"
    path.write_text(text)
    path.chmod(0o755)
    assert says in json.loads(trying.main(str(path), "{}", "vendor.com/gpu=0"))["fault"]


@pytest.mark.parametrize("mode", ["name", "edits"])
def test_cdictl_engine_test(node: Node, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    script(node, node.things / "cdi-nomad")
    agent = node.things / "nomad.d"
    agent.mkdir()
    (agent / "agent.hcl").write_text(
        f'plugin_dir = "{node.things}"\nplugin "cdi-nomad" {{ config {{ mode = "{mode}"\n'
        f'spec_dirs = ["{node.specs}"] }} }}\nplugin "docker" {{ config {{ allow_runtimes = ["cdi-runc"] }} }}\n'
    )
    command = node.things / "nomad"
    command.write_text("#!/bin/sh\necho Nomad v1.7.3\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(node.things), prepend=":")
    monkeypatch.setattr("sys.argv", [f"{Path(sys.executable).parent}/cdictl"])
    monkeypatch.setattr(nomad, "_DIRECTORY", str(agent))
    monkeypatch.setattr(nomad_files, "running", lambda: None)
    done = CliRunner().invoke(main, ["engine", "test", "nomad", "-o", "json"], catch_exceptions=False)
    steps = json.loads(done.stdout)["steps"]
    names = ["registered", "plugin started", "device offered", "device reserved"]
    assert [step["name"] for step in steps] == names + ["a task may name the runtime"] * (mode == "name")
    assert all(step["works"] for step in steps), steps
    assert list(node.specs.iterdir()) == []


def test_a_plugin_that_is_not_registered(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    command = node.things / "nomad"
    command.write_text("#!/bin/sh\necho Nomad v1.7.3\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(node.things), prepend=":")
    monkeypatch.setattr(nomad, "_DIRECTORY", str(node.things / "none"))
    monkeypatch.setattr(nomad_files, "running", lambda: None)
    done = CliRunner().invoke(main, ["engine", "test", "nomad"], catch_exceptions=False)
    assert (done.exit_code, "FAILED  registered: no plugin " in done.stdout) == (1, True)
