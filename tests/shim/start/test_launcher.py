"""The launcher takes its short cuts only where Python would take them too, on every shell that it may meet."""

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdi_runc.host import settings as shim_settings
from cdi_runc.shim.cmdline import parse
from cdi_runc.shim.runtime import LAUNCHER
from tests.shim.conftest import START, Launcher, bundle, executable, make_launcher, shell

STARTS = ("create", "run", "restore")
CASES: list[dict[str, Any]] = json.loads(Path(__file__).parents[1].joinpath("argv_cases.json").read_text())

pass_through = [
    ["state", "id"],
    ["--root", "/run/x", "--log", "/b/log.json", "--log-format", "json", "--systemd-cgroup", "start", "id"],
    ["--root=create", "--debug", "delete", "--force", "create"],
    ["--root", "create", "kill", "id", "KILL"],
    ["--log", "run", "exec", "--bundle", "x", "id", "create"],
    ["--version"],
    ["features"],
]
sees_nothing_asked_for = [
    ["create", "--bundle", "plain", "id"],
    ["--root", "/run/x", "--log=l", "create", "--bundle", "plain", "--pid-file", "p", "--console-socket", "s", "id"],
    ["--rootless=false", "create", "-b", "plain", "--preserve-fds=2", "--no-pivot", "--no-new-keyring", "id"],
    ["run", "--bundle=plain", "--detach", "--keep", "id"],
    ["run", "-d", "--no-subreaper", "-b", "plain", "create"],
    ["--root", "create", "run", "--bundle", "plain", "id"],
]
leaves_to_python = [
    ["create", "--bundle", "asks", "id"],
    ["--root", "plain", "run", "-b", "asks", "id"],
    ["create", "--bundle", "plain", "--bundle", "asks", "id"],
    ["create", "-bplain", "id"],
    ["create", "--bundle=", "id"],
    ["create", "--bundle", "missing", "id"],
    ["create", "id"],
    ["create", "--bundle", "plain"],
    ["create", "--bundle", "plain", "id", "more"],
    ["create", "--bundle", "plain", "--", "id"],
    ["create", "--bundle", "plain", "--pid-file"],
    ["create", "--no-such-option", "--bundle", "plain", "id"],
    ["restore", "--bundle", "plain", "id"],
    ["--rootless", "state", "create", "--bundle", "plain", "id"],
    ["-bundle", "state", "id"],
    ["--cdi-version"],
    ["--cdi-runtime=bin/runc", "state", "id"],
    [],
    [""],
]


@pytest.mark.parametrize("args", pass_through + sees_nothing_asked_for, ids=" ".join)
def test_python_is_not_started_for_what_asks_for_nothing(launcher: Launcher, args: list[str]) -> None:
    assert launcher.decide(args) == f"{launcher.directory}/bin/runc"


@pytest.mark.parametrize("args", leaves_to_python, ids=" ".join)
def test_python_decides_where_the_launcher_is_not_certain(launcher: Launcher, args: list[str]) -> None:
    assert launcher.decide(args) == "python"


@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join([case["runtime"], *case["args"]]))
def test_the_launcher_agrees_with_python_on_every_command_line(case: dict[str, Any], tmp_path: Path) -> None:
    launcher = make_launcher(tmp_path, shell("dash"))
    name = case["runtime"] if case["runtime"] in ("runc", "crun", "youki") else "runc"
    if launcher.decide(case["args"], name) != "python":
        call = parse(case["args"], name)
        assert call.command not in STARTS or call.config is None, case["why"]


words = st.sampled_from(
    [
        *(
            "create",
            "run",
            "restore",
            "state",
            "exec",
            "delete",
            "id",
            "asks",
            "plain",
            "",
            "create run",
            "./asks",
            "asks/",
        ),
        *("--bundle", "-b", "--bundle=asks", "--bundle=plain", "-basks", "--bundle=", "-bundle", "--bund", "-db", "-d"),
        *(
            "--root",
            "--root=x",
            "--log",
            "--rootless",
            "--rootless=true",
            "--debug",
            "--systemd-cgroup",
            "--config",
            "-f",
        ),
        *(
            "--pid-file",
            "--pid-file=x",
            "--console-socket",
            "--preserve-fds",
            "--detach",
            "--no-pivot",
            "--no-pivot=true",
        ),
        *("--", "-", "--help", "--version", "-v"),
    ]
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(args=st.lists(words, max_size=8), name=st.sampled_from(["runc", "crun", "youki"]))
def test_no_request_is_missed_however_it_is_typed(tmp_path: Path, args: list[str], name: str) -> None:
    launcher = make_launcher(tmp_path, shell("dash"))
    call = parse(args, name)
    if call.command in STARTS and call.config and "asks" in (tmp_path / call.config).resolve().parts:
        assert launcher.decide(args, name) == "python"


def hidden(text: str, choose: random.Random) -> str:
    """JSON for a text, each letter of it written in one of the ways that JSON has."""
    ways = {
        letter: [letter, f"\\u{ord(letter):04x}", f"\\u{ord(letter):04X}"] + (["\\/"] if letter == "/" else [])
        for letter in text
    }
    return '"' + "".join(choose.choice(ways[letter]) for letter in text) + '"'


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(choose=st.randoms(use_true_random=False), name=st.sampled_from(["dash", "busybox"]))
def test_no_request_is_missed_however_json_hides_it(tmp_path: Path, choose: random.Random, name: str) -> None:
    launcher = make_launcher(tmp_path, shell(name))
    key = hidden("cdi.k8s.io/x", choose)
    space = choose.choice(["", " ", "\n", "\r\n\t", "\n" * 70000])
    text = f'{{{space}"annotations"{space}:{space}{{{key}{space}:{space}{hidden("vendor.com/gpu=0", choose)}}}{space}}}'
    assert json.loads(text) == {"annotations": {"cdi.k8s.io/x": "vendor.com/gpu=0"}}
    (tmp_path / "plain" / "config.json").write_text(text)
    assert launcher.decide(["create", "--bundle", "plain", "id"]) == "python"


def test_what_go_escapes_is_no_request(launcher: Launcher) -> None:
    (launcher.directory / "plain" / "config.json").write_text(
        r'{"process":{"args":["a \u0026\u0026 b \u003e c \u003C d"]}}'
    )
    assert launcher.decide(["create", "--bundle", "plain", "id"]).endswith("/bin/runc")


@pytest.mark.parametrize(
    ("config", "runtime", "asks_by"),
    [
        ("", "bin/runc", []),
        ("# runtimes:\n#   runc: /nowhere\n\n", "bin/runc", []),
        ("runtimes:\n  crun: /nowhere\n  runc: DIR/other\n", "other", []),
        ("spec-dirs: [/a, /b]\nrestore: inject\n", "bin/runc", []),
        ("spec-dirs:\n  - /a\n  - /b\nruntimes:\n  runc: DIR/other", "other", []),
        ("requests:\n  annotations: [cdi.k8s.io/]\n  mounts: /var/run/cdi-devices\n", "bin/runc", ["mount"]),
        ("requests:\n  env: CDI_DEVICES\n  mounts: null\n", "bin/runc", ["variable"]),
        ("requests:\n  env: CDI_DEVICES\n  mounts: /var/run/cdi-devices\n", "bin/runc", ["mount", "variable"]),
    ],
)
def test_a_simple_config_is_read_without_python(
    launcher: Launcher, config: str, runtime: str, asks_by: list[str]
) -> None:
    directory = launcher.directory
    executable(directory / "other", '#!/bin/sh\necho "$0"\n')
    bundle(directory / "mount", mounts=[{"destination": "/var/run/cdi-devices/vendor.com/gpu/0"}])
    bundle(directory / "variable", process={"env": ["CDI_DEVICES=vendor.com/gpu=0"]})
    own = directory / "config.yaml"
    own.write_text(config.replace("DIR", str(directory)))
    for name in ("plain", "asks", "mount", "variable"):
        wanted = "python" if name in ["asks", *asks_by] else f"{directory}/{runtime}"
        assert launcher.decide([f"--cdi-config={own}", "create", "--bundle", name, "id"]) == wanted
    assert launcher.decide([f"--cdi-config={own}", "state", "id"]) == f"{directory}/{runtime}"


@pytest.mark.parametrize(
    "config",
    [
        '"runtimes":\n  runc: /other\n',
        "? runtimes\n: runc: /other\n",
        "runtimes:\n  'runc': /other\n",
        "runtimes: {runc: /other, runc: /again}\n",
        "runtimes: {runc: /other\n",
        "runtimes: {crun: /other}\n  runc: /more\n",
        "runtimes:\n  runc: &a /other\n",
        "runtimes:\n  runc: /other\n  runc: /again\n",
        "runtimes:\n  runc: /other\nruntimes:\n  crun: /x\n",
        "runtimes:\n\trunc: /other\n",
        "runtimes:\r\n  runc: /other\r\n",
        "runtimes:\n  runc:\n    /other\n",
        "  runc: /other\n",
        "requests:\n  annotations: [/]\n",
        "requests:\n  mounts: /a/\n",
        "requests: {env: off}\n",
        "requests: [env]\n",
        "requests: {env:X}\n",
        "requests:\n  env: X Y\n",
        "restore: perhaps\n",
        "other: 1\n",
        "restore: ignore\n---\n",
        "%YAML 1.1\n",
    ],
)
def test_python_reads_any_other_config(launcher: Launcher, config: str) -> None:
    own = launcher.directory / "config.yaml"
    own.write_text(config)
    assert launcher.decide([f"--cdi-config={own}", "state", "id"]) == "python"


lines = st.sampled_from(
    [
        *(
            "",
            "# a: b",
            "runtimes:",
            "  runc: DIR/other",
            "  crun: /x",
            "  runc: DIR/a:b",
            "  runc: /x: y",
            "runtimes: {}",
        ),
        *(
            "spec-dirs:",
            "spec-dirs: [/a]",
            "  - /a",
            "- /a",
            "  - /b c",
            "spec-dirs: [/a, [/b]]",
            "spec-dirs: [/a, b: c]",
        ),
        *("requests:", "  mounts: /m/dev-ices", "  env: CDI", "  env: null", "  annotations: [cdi.k8s.io/]"),
        "restore: inject",
    ]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=st.lists(lines, max_size=7).map("\n".join))
def test_a_config_is_read_as_python_reads_it(tmp_path: Path, config: str) -> None:
    launcher = make_launcher(tmp_path, shell("dash"))
    executable(tmp_path / "other", '#!/bin/sh\necho "$0"\n')
    own = tmp_path / "config.yaml"
    own.write_text(config.replace("DIR", str(tmp_path)))
    decision = launcher.decide([f"--cdi-config={own}", "state", "id"])
    if decision != "python":
        wanted = shim_settings.read(str(own))["runtimes"].get("runc", f"{tmp_path}/bin/runc")
        assert decision == wanted, yaml.safe_load(own.read_text())


def test_a_system_config_counts_unless_another_is_named(launcher: Launcher) -> None:
    executable(launcher.directory / "other", '#!/bin/sh\necho "$0"\n')
    (launcher.directory / "etc").mkdir()
    (launcher.directory / "etc" / "config.yaml").write_text(f"runtimes:\n  runc: {launcher.directory}/other\n")
    assert launcher.decide(["state", "id"]) == f"{launcher.directory}/other"
    assert launcher.decide(["--cdi-config=/nowhere", "state", "id"]) == "python"
    assert launcher.decide([f"--cdi-runtime={launcher.directory}/bin/crun", "state", "id"]).endswith("/bin/crun")


def test_a_user_s_own_config_is_for_python_to_weigh(launcher: Launcher) -> None:
    own = launcher.directory / ".config" / "cdi-runc"
    own.mkdir(parents=True)
    (own / "config.yaml").write_text("")
    assert launcher.decide(["state", "id"]) == "python"
    assert launcher.decide(["state", "id"], env={"XDG_CONFIG_HOME": "/nowhere"}).endswith("/bin/runc")


@pytest.mark.parametrize("link", ["symlink", "hard link", "directory", "not executable"])
def test_a_runtime_that_is_none_is_for_python_to_tell(launcher: Launcher, link: str) -> None:
    runtime = launcher.directory / "bin" / "runc"
    runtime.unlink()
    if link == "symlink":
        runtime.symlink_to("../cdi-runc")
    elif link == "hard link":
        runtime.hardlink_to(launcher.directory / "cdi-runc")
    elif link == "directory":
        runtime.mkdir(mode=0o755)
    else:
        runtime.touch()
    assert launcher.decide(["state", "id"], env={"PATH": f"{launcher.directory}/bin"}) == "python"


def test_frozen_code_is_started_by_the_python_it_was_frozen_for(launcher: Launcher) -> None:
    asks = ["create", "--bundle", "asks", "id"]
    python = executable(launcher.directory / "python3.99", '#!/bin/sh\necho "3.99 starts ${7##*/}"\n')
    assert launcher.decide(asks) == "python"
    frozen = launcher.directory / "lib" / "cdi_runc" / "shim" / "start" / "__pycache__"
    frozen.mkdir(parents=True)
    (frozen / "frozen-3.98.pyc").write_text("for a Python that is gone")
    (frozen / "frozen-3.99.pyc").write_text("code")
    assert launcher.decide(asks) == "3.99 starts frozen-3.99.pyc"
    python.unlink()
    assert launcher.decide(asks) == "python"


def test_without_python_only_what_starts_containers_fails(launcher: Launcher) -> None:
    text = (launcher.directory / "cdi-runc").read_text()
    for path in (f"{launcher.directory}/python", "/usr/bin/python3", "/usr/local/bin/python3"):
        text = text.replace(path, "/nowhere/python3")
    executable(launcher.directory / "cdi-runc", text)

    def call(*args: str) -> "subprocess.CompletedProcess[str]":
        command = [*launcher.shell, str(launcher.directory / "cdi-runc"), *args]
        environ = {"PATH": f"{launcher.directory}/bin:/usr/bin:/bin"}
        return subprocess.run(command, cwd=launcher.directory, env=environ, capture_output=True, text=True, timeout=60)

    assert call("state", "id").stdout.endswith("/bin/runc\n")
    assert call("create", "--bundle", "plain", "id").stdout.endswith("/bin/runc\n")
    assert call("--rootless", "true", "kill", "id").stdout.endswith("/bin/runc\n")
    refused = call("create", "--bundle", "asks", "id")
    assert refused.returncode == 1
    assert refused.stderr.startswith("cdi-runc: no python3 ")
    assert refused.stderr.count("\n") == 1


def test_the_launcher_starts_as_the_copies_of_it_are_known_by() -> None:
    assert (START / "launcher.sh").read_bytes().startswith(LAUNCHER)


@pytest.mark.parametrize("args", [["create", "-b", "bundle", "id"], ["run", "--config", "other.json", "id"]])
def test_python_takes_back_the_edits_of_an_earlier_run(launcher: Launcher, args: list[str]) -> None:
    """A bundle may ask for nothing any more."""
    directory = bundle(launcher.directory / "bundle")
    (launcher.directory / "other.json").write_text("{}")
    assert launcher.decide(args, "crun").endswith("/bin/crun")
    (directory / ".config.json.after-cdi-runc").touch()
    (launcher.directory / ".other.json.after-cdi-runc").touch()
    assert launcher.decide(args, "crun") == "python"
